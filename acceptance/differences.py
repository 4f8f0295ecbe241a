"""How what a volume holds differs from what it must hold, and which differences are known and documented."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields

from acceptance.errors import AcceptanceError

SHOWN = 60
MISSING, EXTRA = "missing", "too much"
# What Velero leaves in a restored volume: a folder with one empty file, named after the restore's uid.
RESTORE_MARKER = re.compile(r"\.velero(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})?")
# A byte that is not UTF-8, as the manifest writes it, and what JSON makes of it.
NOT_UTF8 = re.compile(r"%[89A-F][0-9A-F]")
REPLACEMENT = "\ufffd"


class HarnessError(AcceptanceError):
    """The checker itself is at fault: its output cannot be trusted, so nothing follows from it."""


@dataclass(frozen=True)
class Entry:
    """One path of a volume with everything that a restore has to give back.

    *hardlink* is the first of the inode's names unless it is this one, *links* their number (0: a
    directory), *xattrs* the SHA-256 of each extended attribute. *allocated* is what the file takes of the
    disk, in a plan the bytes that are no hole: information, which is not compared.
    """

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
    links: int = 0
    xattrs: dict[str, str] = field(default_factory=dict)
    allocated: int = field(default=0, compare=False)


ATTRIBUTES = tuple(attribute.name for attribute in fields(Entry) if attribute.compare)


@dataclass(frozen=True)
class KnownLoss:
    """Something that the uploader, or Velero, is known to change. The erratum in the register has the evidence."""

    name: str
    erratum: str
    covers: Callable[[str, Entry | None, Entry | None], bool]


def _marks_a_restore(what: str, _: Entry | None, found: Entry | None) -> bool:
    if what != EXTRA or found is None or not RESTORE_MARKER.fullmatch(found.path):
        return False
    return found.type == ("file" if "/" in found.path else "directory") and found.size == 0


def _is_socket(what: str, expected: Entry | None, _: Entry | None) -> bool:
    return what == MISSING and expected is not None and expected.type == "socket"


def _target_became_utf8(what: str, expected: Entry | None, found: Entry | None) -> bool:
    if what != "target" or expected is None or found is None:
        return False
    return found.target == NOT_UTF8.sub(REPLACEMENT, expected.target)


def _link_lost_its_names(what: str, expected: Entry | None, found: Entry | None) -> bool:
    if what not in ("hardlink", "links") or expected is None or found is None:
        return False
    return expected.type == found.type == "symlink" and (found.links, found.hardlink) == (1, "")


def _holes_filled(what: str, *_: Entry | None) -> bool:
    return what == "holes"


# Velero's own; the others are an uploader's, which says so in acceptance/uploaders.py.
MARKER = KnownLoss("mark that a restore leaves", "E-16", _marks_a_restore)
SOCKETS = KnownLoss("sockets are not restored", "E-28", _is_socket)
LINK_TARGETS = KnownLoss("link targets that are not UTF-8 are altered", "E-24", _target_became_utf8)
LINKED_LINKS = KnownLoss("symbolic links of several names become several links", "E-25", _link_lost_its_names)
HOLES = KnownLoss("holes of sparse files are filled", "E-26", _holes_filled)


@dataclass(frozen=True)
class Finding:
    """One difference: *what* is MISSING, EXTRA, "holes" or the attribute that changed."""

    path: str
    what: str
    expected: object = None
    actual: object = None
    known: KnownLoss | None = None

    def __str__(self) -> str:
        reason = f"  ({self.known.erratum}, {self.known.name})" if self.known else ""
        if self.what in (MISSING, EXTRA):
            return f"{self.what:9} {self.path!r}{reason}"
        return f"changed   {self.path!r} {self.what}: {self.expected!r} became {self.actual!r}{reason}"


@dataclass(frozen=True)
class Difference:
    """Every finding, of *total* paths of both sides. What is known counts as equal, and is counted and shown.

    *exceptions* are those that were looked for.
    """

    total: int
    findings: tuple[Finding, ...]
    exceptions: tuple[KnownLoss, ...] = ()

    @property
    def equal(self) -> bool:
        return not self._wrong()

    @property
    def percent_equal(self) -> float:
        """Share of paths that are equal in every attribute; 100 only if all are."""
        if self.total == 0:
            raise HarnessError("nothing was compared: both sides are empty")
        return 100.0 * (self.total - len({finding.path for finding in self._wrong()})) / self.total

    @property
    def known(self) -> dict[KnownLoss, int]:
        """How many paths each documented exception covers here; every exception is named, also with 0."""
        counts = Counter(known for _, known in {(f.path, f.known) for f in self.findings})
        return {loss: counts[loss] for loss in self.exceptions}

    def table(self) -> str:
        """The differences as text, the first of each kind, after them what is excepted."""
        wrong = self._wrong()
        missing, extra = ([f for f in wrong if f.what == kind] for kind in (MISSING, EXTRA))
        changed = [finding for finding in wrong if finding.what not in (MISSING, EXTRA)]
        excepted = [finding for finding in self.findings if finding.known]
        counts = (len(missing), len(extra), len({f.path for f in changed}), len({f.path for f in excepted}))
        head = "{} paths compared: {} missing, {} too much, {} changed; {} differ as documented"
        return "\n".join(
            [head.format(self.total, *counts)]
            + [str(finding) for kind in (missing, extra, changed, excepted) for finding in kind[:SHOWN]]
        )

    def _wrong(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.known is None]


def compare(
    expected: dict[str, Entry], found: dict[str, Entry], exceptions: tuple[KnownLoss, ...] = (MARKER,)
) -> Difference:
    """How *found* differs from *expected*, both ways; *exceptions* are what may have been lost."""
    paths = sorted(expected.keys() | found.keys())
    pairs = ((path, expected.get(path), found.get(path)) for path in paths)
    findings = [finding for path, old, new in pairs for finding in _findings(path, old, new, exceptions)]
    return Difference(len(paths), tuple(findings), exceptions)


def _findings(
    path: str, expected: Entry | None, found: Entry | None, exceptions: tuple[KnownLoss, ...]
) -> Iterator[Finding]:
    for what, old, new in _raw(expected, found):
        known = next((loss for loss in exceptions if loss.covers(what, expected, found)), None)
        yield Finding(path, what, old, new, known)


def _raw(expected: Entry | None, found: Entry | None) -> Iterator[tuple[str, object, object]]:
    if found is None:
        yield MISSING, None, None
    elif expected is None:
        yield EXTRA, None, None
    else:
        for name in ATTRIBUTES:
            if (old := getattr(expected, name)) != (new := getattr(found, name)):
                yield name, old, new
        if expected.allocated < expected.size <= found.allocated:
            yield "holes", expected.allocated, found.allocated
