"""The corpus: its expected content, and the content of a volume.

The expected content is computed on this machine from the seed alone, that of a volume in the pod. Both are one JSON
object a line, with a count at the end (``lab/tools/corpus``).
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from velero_acceptance.core.programs import execute
from velero_acceptance.core.timeouts import seconds
from velero_acceptance.corpus import differences
from velero_acceptance.corpus.differences import Difference, Entry, HarnessError, KnownDeviation
from velero_acceptance.corpus.known_deviations import MARKS

SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Manifest:
    """All entries of a volume by path, and the known deviations of its backups."""

    entries: dict[str, Entry]
    losses: tuple[KnownDeviation, ...] = MARKS

    @staticmethod
    def parse(output: bytes) -> "Manifest":
        """A manifest from the corpus program's output.

        Raises HarnessError when it is cut off, miscounted or names a path twice, or a file's hash is missing or short:
        two empty hashes would make lost data equal.
        """
        lines = output.splitlines()  # of bytes: in text, a name's U+0085 would end a line too
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
            _require_digests(entry)
        return Manifest(by_path)

    def without(self, paths: Iterable[str]) -> "Manifest":
        """This manifest without some of its paths."""
        left_out = set(paths)
        return replace(self, entries={path: entry for path, entry in self.entries.items() if path not in left_out})

    def compare(self, actual: "Manifest") -> Difference:
        """How *actual* differs from this manifest, both ways."""
        return differences.compare(self.entries, actual.entries, self.losses)


def _require_digests(entry: Entry) -> None:
    if entry.type == "file" and not SHA256.fullmatch(entry.sha256):
        raise HarnessError(f"the manifest has no SHA-256 of {entry.path!r}: {entry.sha256!r}")
    if not isinstance(entry.xattrs, dict):
        raise HarnessError(f"the manifest lists the attributes of {entry.path!r} without their values")
    for name, digest in entry.xattrs.items():
        if not SHA256.fullmatch(digest):
            raise HarnessError(f"the manifest has no SHA-256 of {entry.path!r}, attribute {name}: {digest!r}")
    if (entry.links == 0) != (entry.type == "directory"):
        raise HarnessError(f"the manifest gives {entry.path!r}, a {entry.type}, {entry.links} names")


@dataclass(frozen=True)
class Corpus:
    """A corpus by seed, and *options* if it is not the standard one; its program; known deviations of its backups.

    ``corpus change`` with the same recipe makes of its files those that *changed* is about.
    """

    program: Path
    seed: str
    options: tuple[str, ...] = ()
    losses: tuple[KnownDeviation, ...] = MARKS

    @property
    def recipe(self) -> tuple[str, ...]:
        """The program's arguments for this corpus."""
        return (*self.options, "-seed", self.seed)

    @property
    def changed(self) -> "Corpus":
        """What the corpus is after its change."""
        return replace(self, options=(*self.options, "-changed"))

    def manifest(self) -> Manifest:
        """The content of a volume after the corpus was written; computed without a cluster."""
        return replace(Manifest.parse(self._run("plan", *self.recipe)), losses=self.losses)

    def read(self, folder: Path) -> Manifest:
        """The content of a folder on this machine."""
        return Manifest.parse(self._run("read", str(folder)))

    def _run(self, *arguments: str) -> bytes:
        done = execute(self.program, *arguments, timeout=seconds("corpus_call"))
        if done.code != 0:
            raise HarnessError(f"corpus {arguments[0]}: {done.stderr.strip()}")
        return done.stdout
