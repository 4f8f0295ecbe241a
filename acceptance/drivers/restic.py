"""The repository read by restic itself, without Velero: the independent oracle."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from acceptance.errors import AcceptanceError
from acceptance.settings import S3Access

CALL_SECONDS = 300.0


@dataclass(frozen=True)
class Repository:
    """The restic repository in *folder* (with its closing slash) of *bucket*, opened with *password*, never locked."""

    program: Path
    access: S3Access
    bucket: str
    folder: str
    password: str

    def snapshots(self) -> set[str]:
        """The short id of every snapshot, which is the one that Velero keeps."""
        return {str(snapshot["short_id"]) for snapshot in json.loads(self._checked(self._run("snapshots", "--json")))}

    def restore(self, snapshot: str, target: Path) -> None:
        """Write a snapshot to *target*; raises AcceptanceError with restic's words."""
        self._checked(self._run("restore", snapshot, f"--target={target}"))

    def check(self) -> str:
        """What is wrong with the repository when every byte is read; empty when nothing is.

        What is missing shows in its listing: only a whole one is read, because restic 0.14 asks for
        a file that is gone for nearly a minute.
        """
        for extent in ((), ("--read-data",)):
            done = self._run("check", *extent)
            if done.returncode != 0:
                return (done.stderr or done.stdout).strip()
        return ""

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        url = f"s3:{self.access.endpoint}/{self.bucket}/{self.folder}".rstrip("/")
        authority = [f"--cacert={self.access.authority}"] if self.access.authority else []
        return subprocess.run(
            [self.program, f"--repo={url}", "--no-lock", "--no-cache", *authority, *arguments],
            capture_output=True,
            text=True,
            timeout=CALL_SECONDS,
            env={
                **os.environ,
                "RESTIC_PASSWORD": self.password,
                "AWS_ACCESS_KEY_ID": self.access.access_key.get_secret_value(),
                "AWS_SECRET_ACCESS_KEY": self.access.secret_key.get_secret_value(),
            },
        )

    @staticmethod
    def _checked(done: subprocess.CompletedProcess[str]) -> str:
        if done.returncode != 0:
            raise AcceptanceError(f"restic: {done.stderr.strip()[-800:]}")
        return done.stdout
