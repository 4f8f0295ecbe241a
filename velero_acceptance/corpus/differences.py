"""How the content of a volume differs from the expected one, and which differences are known and documented."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields

from velero_acceptance.core.errors import AcceptanceError

SHOWN = 60
ROOT = "."
MISSING, EXTRA, NAME, HOLES = "missing", "too much", "name", "holes"
# A byte that is not UTF-8 in a manifest, and what JSON replaces it with.
NOT_UTF8 = re.compile(r"%[89A-F][0-9A-F]")
REPLACEMENT = "\ufffd"


def as_utf8(text: str) -> str:
    """A path or link target of a manifest with U+FFFD for each byte that is not UTF-8, as in JSON."""
    return NOT_UTF8.sub(REPLACEMENT, text)


class HarnessError(AcceptanceError):
    """The checker itself failed: its output proves nothing."""


@dataclass(frozen=True)
class Entry:
    """One path of a volume with everything that a restore must restore.

    The path of the volume's root is ROOT. *hardlink* is the first of the inode's names unless it is this one, *links*
    their number (0: a directory), *xattrs* the SHA-256 of each extended attribute, *device* the kind and numbers of a
    device node, *flags* those that chattr sets. Not compared: *allocated*, the file's disk space, in a plan the bytes
    outside holes; and *before*, in a plan the SHA-256 of a file until a change that neither size nor time shows.
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
    device: str = ""
    flags: str = ""
    allocated: int = field(default=0, compare=False)
    before: str = field(default="", compare=False)


Entries = Mapping[str, Entry]
# The name is the key that two entries are found by.
ATTRIBUTES = tuple(attribute.name for attribute in fields(Entry) if attribute.compare and attribute.name != "path")


@dataclass(frozen=True)
class KnownDeviation:
    """Something that the uploader, or Velero, is known to change. The erratum in the register has the evidence.

    *changes* are the kinds of findings that it can explain. *rule* gets the expected entry, the found one and all
    expected entries; a missing or extra entry is both.
    """

    name: str
    erratum: str
    changes: tuple[str, ...]
    rule: Callable[[Entry, Entry, Entries], bool]

    def covers(self, what: str, expected: Entry | None, found: Entry | None, entries: Entries) -> bool:
        """Whether it explains that *what* changed."""
        known = expected or found
        return what in self.changes and known is not None and self.rule(expected or known, found or known, entries)


@dataclass(frozen=True)
class PathChange:
    """One difference: *what* is MISSING, EXTRA, NAME, HOLES or the attribute that changed."""

    path: str
    what: str
    expected: object = None
    actual: object = None
    known: KnownDeviation | None = None

    def __str__(self) -> str:
        reason = f"  ({self.known.erratum}, {self.known.name})" if self.known else ""
        if self.what in (MISSING, EXTRA):
            return f"{self.what:9} {self.path!r}{reason}"
        return f"changed   {self.path!r} {self.what}: {self.expected!r} became {self.actual!r}{reason}"


@dataclass(frozen=True)
class Difference:
    """Findings among *total* paths; known deviations count as equal, but are shown; *exceptions* were allowed."""

    total: int
    findings: tuple[PathChange, ...]
    exceptions: tuple[KnownDeviation, ...] = ()

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
    def known(self) -> dict[KnownDeviation, int]:
        """How many paths each allowed deviation covers here, also 0."""
        counts = Counter(known for _, known in {(f.path, f.known) for f in self.findings})
        return {deviation: counts[deviation] for deviation in self.exceptions}

    def table(self) -> str:
        """The differences as text, the first of each kind, then the known deviations."""
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

    def _wrong(self) -> list[PathChange]:
        return [finding for finding in self.findings if finding.known is None]


def compare(expected: Entries, found: Entries, exceptions: tuple[KnownDeviation, ...] = ()) -> Difference:
    """How *found* differs from *expected*, both ways; *exceptions* are the allowed deviations."""
    renamed = _renamed(expected, found)
    paths = sorted(expected.keys() | (found.keys() - set(renamed.values())))
    findings = []
    for path in paths:
        old, new = expected.get(path), found.get(renamed.get(path, path))
        for what, before, after in _raw(old, new):
            known = next((known for known in exceptions if known.covers(what, old, new, expected)), None)
            findings.append(PathChange(path, what, before, after, known))
    return Difference(len(paths), tuple(findings), exceptions)


def _renamed(expected: Entries, found: Entries) -> dict[str, str]:
    """Missing paths that exist as JSON writes them, each with that name."""
    altered = {path: as_utf8(path) for path in expected.keys() - found.keys()}
    names = Counter(altered.values())
    return {path: name for path, name in altered.items() if name in found.keys() - expected.keys() and names[name] == 1}


def _raw(expected: Entry | None, found: Entry | None) -> Iterator[tuple[str, object, object]]:
    if found is None:
        yield MISSING, None, None
    elif expected is None:
        yield EXTRA, None, None
    else:
        if expected.path != found.path:
            yield NAME, expected.path, found.path
        for name in ATTRIBUTES:
            if (old := getattr(expected, name)) != (new := getattr(found, name)):
                yield name, old, new
        if expected.allocated < expected.size <= found.allocated:
            yield HOLES, expected.allocated, found.allocated
