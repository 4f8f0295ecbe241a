"""The repository read by kopia's own command, without Velero: the independent oracle."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlparse

from acceptance.drivers import repository
from acceptance.errors import AcceptanceError

Call = Callable[..., subprocess.CompletedProcess[str]]


class Repository(repository.Repository):
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
