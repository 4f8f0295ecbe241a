"""A repository of restic or kopia in S3, read by its uploader's own command without Velero: an independent check."""

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlparse

from velero_acceptance.core.errors import AcceptanceError
from velero_acceptance.core.programs import ExecResult, execute
from velero_acceptance.core.settings import S3Access
from velero_acceptance.core.timeouts import seconds

Call = Callable[..., ExecResult]


@dataclass(frozen=True)
class UploaderRepository(ABC):
    """The repository in *folder* (with its trailing slash) of *bucket*, opened with *password*, read only."""

    program: Path
    access: S3Access
    bucket: str
    folder: str
    password: str

    @abstractmethod
    def snapshots(self) -> set[str]:
        """The id of every snapshot, as Velero records it; raises AcceptanceError with the command's message."""

    @abstractmethod
    def restore(self, snapshot: str, target: Path) -> None:
        """Write a snapshot to *target*; raises AcceptanceError with the command's message."""

    @abstractmethod
    def check(self) -> str:
        """What is wrong with the repository when every byte is read; empty when nothing is."""

    def _call(self, *arguments: str, **variables: str) -> ExecResult:
        """Call the command with the keys of S3 and *variables* in its environment."""
        keys = {
            "AWS_ACCESS_KEY_ID": self.access.access_key.get_secret_value(),
            "AWS_SECRET_ACCESS_KEY": self.access.secret_key.get_secret_value(),
        }
        environment = {**os.environ, **keys, **variables}
        return execute(self.program, *arguments, timeout=seconds("repository_call"), environment=environment)


class ResticRepository(UploaderRepository):
    """A restic repository, never locked."""

    def snapshots(self) -> set[str]:
        return {str(snapshot["short_id"]) for snapshot in json.loads(self._checked(self._run("snapshots", "--json")))}

    def restore(self, snapshot: str, target: Path) -> None:
        self._checked(self._run("restore", snapshot, f"--target={target}"))

    def check(self) -> str:
        # The listing shows missing files. Data is only read if none is: restic 0.14 retries a missing file for nearly
        # a minute.
        for extent in ((), ("--read-data",)):
            if problem := _problem(self._run("check", *extent)):
                return problem
        return ""

    def _run(self, *arguments: str) -> ExecResult:
        url = f"s3:{self.access.endpoint}/{self.bucket}/{self.folder}".rstrip("/")
        authority = [f"--cacert={self.access.authority}"] if self.access.authority else []
        options = (f"--repo={url}", "--no-lock", "--no-cache", *authority)
        return self._call(*options, *arguments, RESTIC_PASSWORD=self.password)

    @staticmethod
    def _checked(done: ExecResult) -> str:
        if done.code != 0:
            raise AcceptanceError(f"restic: {done.stderr.strip()[-800:]}")
        return done.text


class KopiaRepository(UploaderRepository):
    """A kopia repository; each call connects to it, read only."""

    def snapshots(self) -> set[str]:
        return {str(snapshot["id"]) for snapshot in json.loads(self._checked("snapshot", "list", "--all", "--json"))}

    def restore(self, snapshot: str, target: Path) -> None:
        self._checked("snapshot", "restore", "--no-ignore-permission-errors", snapshot, str(target))

    def check(self) -> str:
        with self._connected() as call:
            for command in (("content", "verify", "--full"), ("snapshot", "verify", "--verify-files-percent=100")):
                if problem := _problem(call(*command)):
                    return problem
        return ""

    def _checked(self, *arguments: str) -> str:
        with self._connected() as call:
            done = call(*arguments)
        if done.code != 0:
            raise AcceptanceError(f"kopia: {done.stderr.strip()[-800:]}")
        return done.text

    @contextmanager
    def _connected(self) -> Iterator[Call]:
        """The command, connected while the body runs; its configuration and cache are removed afterwards."""
        with TemporaryDirectory(prefix="kopia-") as name:
            home = Path(name)
            call = partial(self._run, home)
            cache = f"--cache-directory={home / 'cache'}"
            done = call("repository", "connect", "s3", "--readonly", cache, *self._place())
            if done.code != 0:
                raise AcceptanceError(f"kopia cannot open {self.folder}: {done.stderr.strip()[-800:]}")
            yield call

    def _place(self) -> list[str]:
        url = urlparse(self.access.endpoint)
        place = [f"--bucket={self.bucket}", f"--prefix={self.folder}", f"--endpoint={url.netloc}"]
        place += [f"--region={self.access.region}", "--no-check-for-updates"]
        if self.access.authority:
            place.append(f"--root-ca-pem-path={self.access.authority}")
        return place if url.scheme == "https" else [*place, "--disable-tls"]

    def _run(self, home: Path, *arguments: str) -> ExecResult:
        own = [f"--config-file={home / 'config'}", f"--log-dir={home / 'log'}", "--no-use-keyring", "--no-progress"]
        return self._call(*arguments, *own, HOME=str(home), KOPIA_PASSWORD=self.password)


def _problem(done: ExecResult) -> str:
    return (done.stderr or done.text).strip() if done.code != 0 else ""
