"""The corpus: what it must be, what a volume really holds, and how the two differ.

What it must be is computed on this machine from the seed alone; what a volume holds is computed
in the pod. Both come as one JSON object a line with a closing count (``lab/tools/corpus``).
"""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass, fields
from pathlib import Path

from acceptance.errors import AcceptanceError

SHA256 = re.compile(r"[0-9a-f]{64}")
SHOWN = 60
# What Velero leaves in a restored volume: a folder with one empty file, named after the restore's uid.
RESTORE_MARKER = re.compile(r"\.velero(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})?")


class HarnessError(AcceptanceError):
    """The checker itself is at fault: its output cannot be trusted, so nothing follows from it."""


@dataclass(frozen=True)
class Entry:
    """One path of a volume with everything that a restore has to give back."""

    path: str
    type: str
    mode: str
    uid: int
    gid: int
    mtime_ns: int
    size: int
    sha256: str = ""
    target: str = ""
    hardlink: str = ""


@dataclass(frozen=True)
class Manifest:
    """All entries of a volume by path."""

    entries: dict[str, Entry]

    @staticmethod
    def parse(output: bytes) -> Manifest:
        """A manifest from the corpus program's output.

        Raises HarnessError when it is cut off, miscounted, doubled, or a file's hash is missing or
        short: an empty hash equals another empty hash, and would call lost data equal.
        """
        lines = output.decode().splitlines()
        if not lines:
            raise HarnessError("the manifest is empty: the corpus program printed nothing")
        try:
            *described, closing = (json.loads(line) for line in lines)
            entries = [Entry(**entry) for entry in described]
            expected = (int(closing["entries"]), int(closing["bytes"]))
        except (ValueError, KeyError, TypeError) as error:
            raise HarnessError(f"the manifest cannot be read or is cut off: {error}") from None
        if (len(entries), sum(entry.size for entry in entries)) != expected:
            raise HarnessError(f"the manifest lists {len(entries)} entries but counts {expected[0]}")
        by_path = {entry.path: entry for entry in entries}
        if len(by_path) != len(entries):
            raise HarnessError("the manifest names a path twice")
        for entry in entries:
            if entry.type == "file" and not SHA256.fullmatch(entry.sha256):
                raise HarnessError(f"the manifest has no SHA-256 of {entry.path!r}: {entry.sha256!r}")
        return Manifest(by_path)

    def compare(self, actual: Manifest) -> Difference:
        """How *actual* differs from this manifest, both ways."""
        expected, found = self.entries, {p: e for p, e in actual.entries.items() if not RESTORE_MARKER.fullmatch(p)}
        changed = [
            Change(path, field.name, getattr(expected[path], field.name), getattr(found[path], field.name))
            for path in sorted(expected.keys() & found.keys())
            for field in fields(Entry)
            if getattr(expected[path], field.name) != getattr(found[path], field.name)
        ]
        missing, extra = sorted(expected.keys() - found.keys()), sorted(found.keys() - expected.keys())
        return Difference(len(expected.keys() | found.keys()), tuple(missing), tuple(extra), tuple(changed))


@dataclass(frozen=True)
class Change:
    """One attribute of one path that is not what it was."""

    path: str
    field: str
    expected: object
    actual: object


@dataclass(frozen=True)
class Difference:
    """What is missing, what is too much, and what has changed, out of *total* paths of both sides."""

    total: int
    missing: tuple[str, ...]
    extra: tuple[str, ...]
    changed: tuple[Change, ...]

    @property
    def equal(self) -> bool:
        return not (self.missing or self.extra or self.changed)

    @property
    def percent_equal(self) -> float:
        """Share of paths that are equal in every attribute; 100 only if all are."""
        if self.total == 0:
            raise HarnessError("nothing was compared: both sides are empty")
        wrong = len(self.missing) + len(self.extra) + len({change.path for change in self.changed})
        return 100.0 * (self.total - wrong) / self.total

    def table(self) -> str:
        """The differences as text, the first of each kind."""
        counts = (len(self.missing), len(self.extra), len({change.path for change in self.changed}))
        lines = ["{} paths compared: {} missing, {} too much, {} changed".format(self.total, *counts)]
        lines += [f"missing   {path!r}" for path in self.missing[:SHOWN]]
        lines += [f"too much  {path!r}" for path in self.extra[:SHOWN]]
        lines += [f"changed   {c.path!r} {c.field}: {c.expected!r} became {c.actual!r}" for c in self.changed[:SHOWN]]
        return "\n".join(lines)


@dataclass(frozen=True)
class Corpus:
    """The standard corpus of one seed, and the program that knows it."""

    program: Path
    seed: str

    def manifest(self) -> Manifest:
        """What a volume must hold after the corpus was written; computed without any cluster."""
        return Manifest.parse(self._run("plan", "-seed", self.seed))

    def read(self, folder: Path) -> Manifest:
        """What a folder of this machine holds."""
        return Manifest.parse(self._run("read", str(folder)))

    def _run(self, *arguments: str) -> bytes:
        done = subprocess.run([self.program, *arguments], capture_output=True, timeout=300)
        if done.returncode != 0:
            raise HarnessError(f"corpus {arguments[0]}: {done.stderr.decode(errors='replace').strip()}")
        return done.stdout
