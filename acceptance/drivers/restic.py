"""The repository read by restic itself, without Velero: the independent oracle."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from acceptance.errors import AcceptanceError
from acceptance.settings import S3Access

CALL_SECONDS = 300.0


@dataclass(frozen=True)
class Repository:
    """A restic repository at *url* (``s3:https://…``), opened with *password*, never locked by us."""

    program: Path
    url: str
    password: str
    access: S3Access

    def snapshots(self) -> list[Any]:
        """Every snapshot, as restic describes it."""
        return list(json.loads(self._run("snapshots", "--json").stdout))

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
        authority = [f"--cacert={self.access.authority}"] if self.access.authority else []
        return subprocess.run(
            [self.program, f"--repo={self.url}", "--no-lock", "--no-cache", *authority, *arguments],
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
    def _checked(done: subprocess.CompletedProcess[str]) -> None:
        if done.returncode != 0:
            raise AcceptanceError(f"restic: {done.stderr.strip()[-800:]}")
