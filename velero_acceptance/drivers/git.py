"""A checkout of the repository that Flux deploys from."""

import os
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from velero_acceptance.core.errors import AcceptanceError
from velero_acceptance.core.programs import ExecResult, execute
from velero_acceptance.core.timeouts import seconds

# Larger files are not searched: archives and pictures, which would take minutes.
LARGEST = "1m"
# The commit before the first change; outlives a killed process.
REFS = "refs/acceptance"
BASE = f"{REFS}/base"
# The same for a mutant, whose run has scenarios with changes of their own on top.
MUTANT_BASE = f"{REFS}/mutant"
# Independent of the user's own configuration; the author tells who made the change.
ENVIRONMENT = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_SYSTEM": "/dev/null",
    "GIT_TERMINAL_PROMPT": "0",
    **{f"GIT_{role}_NAME": "acceptance suite" for role in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{role}_EMAIL": "acceptance@localhost" for role in ("AUTHOR", "COMMITTER")},
}


@dataclass(frozen=True)
class GitObject:
    """A version of a file, by its *path* in one of the commits that have it, or a commit or tag with its message."""

    name: str
    kind: str
    path: str
    content: bytes = field(repr=False)

    def __str__(self) -> str:
        return f"{self.path or self.kind} ({self.kind} {self.name[:12]})"


class Checkout:
    """A working tree with a remote ``origin``, whose state before changes is *base*.

    Raises AcceptanceError with Git's message.
    """

    def __init__(self, folder: Path, base: str = BASE) -> None:
        self.folder, self._base = folder, base

    def clone(self, folder: Path, *, bare: bool = False) -> "Checkout":
        """A clone of what is committed here, whose ``origin`` is this repository."""
        self._git("clone", "--quiet", *(["--bare"] if bare else []), str(self.folder.absolute()), str(folder))
        return Checkout(folder)

    def head(self) -> str:
        return self._git("rev-parse", "HEAD").strip()

    def read(self, path: str) -> str:
        return (self.folder / path).read_text()

    def files(self) -> list[str]:
        """Every tracked file, by its path from the root."""
        return self._git("ls-files", "-z").split("\0")[:-1]

    def history(self) -> Iterator[GitObject]:
        """Every file, commit and tag that a ref reaches, once; files of more than LARGEST are left out."""
        listed = self._git("rev-list", "--all", "--objects", f"--filter=blob:limit={LARGEST}")
        paths = dict(line.partition(" ")[::2] for line in listed.splitlines())
        packed = self._run("cat-file", "--batch", stdin="\n".join(paths)).stdout
        start = 0
        while start < len(packed):
            end = packed.index(b"\n", start)
            name, kind, size = packed[start:end].decode().split()
            start = end + 1 + int(size) + 1
            if kind != "tree":
                yield GitObject(name, kind, paths[name], packed[end + 1 : start - 1])

    def export(self, folder: Path) -> None:
        """Copy the files of the commit that is checked out to *folder*; the repository does not change."""
        with tempfile.TemporaryDirectory() as name:
            archive = Path(name) / "head.zip"
            self._git("archive", "--format=zip", f"--output={archive}", "HEAD")
            with zipfile.ZipFile(archive) as files:
                files.extractall(folder)

    def change(self, changes: Mapping[str, str | None], message: str) -> str:
        """Write *changes* (text by path, None to delete), commit and push; return the commit.

        :meth:`take_back` undoes it.
        """
        if not self.changed():
            self._git("update-ref", self._base, "HEAD")
        for path, text in changes.items():
            file = self.folder / path
            if text is None:
                file.unlink()
            else:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
        self._git("add", "--all", "--", *changes)
        return self._push(message)

    def changed(self) -> bool:
        """Whether there are changes to take back, of this process or of a killed one."""
        return bool(self._git("for-each-ref", self._base))

    def require_remote(self) -> None:
        """Raise AcceptanceError when ``origin`` cannot be reached."""
        self._git("ls-remote", "--quiet", "origin", "HEAD")

    def take_back(self) -> str | None:
        """Restore the files from before the first change, commit and push; return the commit, None without changes."""
        if not self.changed():
            return None
        self._git("read-tree", "-u", "--reset", self._base)
        commit = self._push("Take back the changes of an acceptance scenario")
        self._git("update-ref", "-d", self._base)
        return commit

    def forget(self) -> str:
        """Go back to before the first change, here and in ``origin``, whose history then lacks it; return the commit.

        What was committed on top of it is gone too, and so is the base of that.
        """
        if self.changed():
            self._git("reset", "--quiet", "--hard", self._base)
            self._git("push", "--quiet", "--force", "origin", "HEAD")
            for ref in self._git("for-each-ref", "--format=%(refname)", f"{REFS}/").split():
                self._git("update-ref", "-d", ref)
        return self.head()

    def _push(self, message: str) -> str:
        if self._git("diff", "--cached", "--name-only"):
            self._git("commit", "--quiet", f"--message={message}")
        self._git("push", "--quiet", "origin", "HEAD")
        return self.head()

    def _git(self, *arguments: str) -> str:
        return self._run(*arguments).text

    def _run(self, *arguments: str, stdin: str = "") -> ExecResult:
        what, environment = f"git {arguments[0]} in {self.folder}", {**os.environ, **ENVIRONMENT}
        limit = seconds("local_call")
        done = execute(
            "git", *arguments, timeout=limit, what=what, folder=self.folder, environment=environment, stdin=stdin
        )
        if done.code != 0:
            raise AcceptanceError(f"{what}: {done.stderr.strip()}")
        return done
