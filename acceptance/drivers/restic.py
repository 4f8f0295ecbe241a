"""The repository read by restic itself, without Velero: the independent oracle."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from acceptance.drivers import repository
from acceptance.errors import AcceptanceError


class Repository(repository.Repository):
    """A restic repository, never locked."""

    def snapshots(self) -> set[str]:
        return {str(snapshot["short_id"]) for snapshot in json.loads(self._checked(self._run("snapshots", "--json")))}

    def restore(self, snapshot: str, target: Path) -> None:
        self._checked(self._run("restore", snapshot, f"--target={target}"))

    def check(self) -> str:
        # What is missing shows in its listing: only a whole one is read, because restic 0.14 asks for a file that is
        # gone for nearly a minute.
        for extent in ((), ("--read-data",)):
            done = self._run("check", *extent)
            if done.returncode != 0:
                return (done.stderr or done.stdout).strip()
        return ""

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        url = f"s3:{self.access.endpoint}/{self.bucket}/{self.folder}".rstrip("/")
        authority = [f"--cacert={self.access.authority}"] if self.access.authority else []
        options = (f"--repo={url}", "--no-lock", "--no-cache", *authority)
        return self._call(*options, *arguments, RESTIC_PASSWORD=self.password)

    @staticmethod
    def _checked(done: subprocess.CompletedProcess[str]) -> str:
        if done.returncode != 0:
            raise AcceptanceError(f"restic: {done.stderr.strip()[-800:]}")
        return done.stdout
