"""A repository of restic or kopia in S3, read by its uploader's own command without Velero: the second reader."""

from __future__ import annotations

import json
import os
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlparse

from velero_acceptance.core.errors import AcceptanceError
from velero_acceptance.core.settings import S3Access

CALL_SECONDS = 300.0
Call = Callable[..., subprocess.CompletedProcess[str]]


@dataclass(frozen=True)
class UploaderRepository(ABC):
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


class ResticRepository(UploaderRepository):
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


class KopiaRepository(UploaderRepository):
    """A kopia repository, connected to read-only for each call."""

    def snapshots(self) -> set[str]:
        return {str(snapshot["id"]) for snapshot in json.loads(self._checked("snapshot", "list", "--all", "--json"))}

    def restore(self, snapshot: str, target: Path) -> None:
        self._checked("snapshot", "restore", "--no-ignore-permission-errors", snapshot, str(target))

    def check(self) -> str:
        with self._connected() as call:
            for command in (("content", "verify", "--full"), ("snapshot", "verify", "--verify-files-percent=100")):
                done = call(*command)
                if done.returncode != 0:
                    return (done.stderr or done.stdout).strip()
        return ""

    def _checked(self, *arguments: str) -> str:
        with self._connected() as call:
            done = call(*arguments)
        if done.returncode != 0:
            raise AcceptanceError(f"kopia: {done.stderr.strip()[-800:]}")
        return done.stdout

    @contextmanager
    def _connected(self) -> Iterator[Call]:
        """The command, connected for as long as the body runs; what it writes down and keeps goes with it."""
        with TemporaryDirectory(prefix="kopia-") as name:
            home = Path(name)

            def call(*arguments: str) -> subprocess.CompletedProcess[str]:
                return self._run(home, *arguments)

            done = call(
                "repository", "connect", "s3", "--readonly", f"--cache-directory={home / 'cache'}", *self._place()
            )
            if done.returncode != 0:
                raise AcceptanceError(f"kopia cannot open {self.folder}: {done.stderr.strip()[-800:]}")
            yield call

    def _place(self) -> list[str]:
        url = urlparse(self.access.endpoint)
        place = [f"--bucket={self.bucket}", f"--prefix={self.folder}", f"--endpoint={url.netloc}"]
        place += [f"--region={self.access.region}", "--no-check-for-updates"]
        if self.access.authority:
            place.append(f"--root-ca-pem-path={self.access.authority}")
        return place if url.scheme == "https" else [*place, "--disable-tls"]

    def _run(self, home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        own = [f"--config-file={home / 'config'}", f"--log-dir={home / 'log'}", "--no-use-keyring", "--no-progress"]
        return self._call(*arguments, *own, HOME=str(home), KOPIA_PASSWORD=self.password)
