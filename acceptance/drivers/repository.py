"""A repository in S3, read by its uploader's own command: what restic and kopia have in common."""

from __future__ import annotations

import os
import subprocess
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

from acceptance.settings import S3Access

CALL_SECONDS = 300.0


@dataclass(frozen=True)
class Repository(ABC):
    """The repository in *folder* (with its closing slash) of *bucket*, opened with *password* and never written to."""

    program: Path
    access: S3Access
    bucket: str
    folder: str
    password: str

    @abstractmethod
    def snapshots(self) -> set[str]:
        """The id of every snapshot, as Velero keeps it; raises AcceptanceError with the command's words."""

    @abstractmethod
    def restore(self, snapshot: str, target: Path) -> None:
        """Write a snapshot to *target*; raises AcceptanceError with the command's words."""

    @abstractmethod
    def check(self) -> str:
        """What is wrong with the repository when every byte is read; empty when nothing is."""

    def _call(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """The command, with the keys of S3 and *variables* in its environment."""
        keys = {
            "AWS_ACCESS_KEY_ID": self.access.access_key.get_secret_value(),
            "AWS_SECRET_ACCESS_KEY": self.access.secret_key.get_secret_value(),
        }
        return subprocess.run(
            [self.program, *arguments],
            capture_output=True,
            text=True,
            timeout=CALL_SECONDS,
            env={**os.environ, **keys, **variables},
        )
