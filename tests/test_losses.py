"""What kopia is known to lose is counted, and nothing that is near it; restic's are in test_torture.py."""

from __future__ import annotations

from dataclasses import replace

import pytest

from velero_acceptance.corpus.differences import Difference, Entry, compare
from velero_acceptance.corpus.uploaders import KOPIA, RESTIC

FILE = Entry("d/a", "file", "0644", 0, 0, 1_000_000_001, 3, "0" * 64, links=1, allocated=4096)
LINK = replace(FILE, path="d/l", type="symlink", size=0, sha256="", allocated=0, mtime_ns=5_123_456_789)
FOLDER = Entry("d", "directory", "0755", 0, 0, 7_000_000_000, 0)
INNER = Entry("d/i", "directory", "0755", 0, 0, 6_000_000_000, 0)
PIPE = replace(FILE, path="d/p", type="fifo", size=0, sha256="", mtime_ns=9_000_000_000)
TAG, CACHED = replace(FILE, path="d/c/CACHEDIR.TAG"), replace(FILE, path="d/c/e/f")
ROOT = replace(FOLDER, path=".", mode="0700", uid=1000)
EMPTY = replace(FOLDER, path="e")


def compared(old: list[Entry], new: list[Entry]) -> Difference:
    before, after = ({entry.path: entry for entry in entries} for entries in (old, new))
    return compare(before, after, KOPIA.known_deviations)


@pytest.mark.parametrize(
    ("expected", "found", "errata"),
    [
        ([replace(FILE, xattrs={"user.a": "1" * 64})], [FILE], {"E-41"}),
        ([replace(FILE, links=2, hardlink="d/b")], [FILE], {"E-42"}),
        ([replace(LINK, links=2, hardlink="d/b")], [LINK], {"E-42"}),
        ([PIPE], [], {"E-43"}),
        ([replace(PIPE, type="socket")], [], {"E-43"}),
        ([replace(PIPE, type="device", device="character 0:0")], [], {"E-43"}),
        ([TAG, CACHED], [], {"E-33"}),
        ([replace(FILE, path="listed/a.listed")], [], {"E-34"}),
        ([replace(FILE, before="1" * 64)], [replace(FILE, sha256="1" * 64)], {"E-35"}),
        ([ROOT], [replace(ROOT, mtime_ns=8_000_000_000)], {"E-16"}),
        ([replace(FILE, path="d/%FF%25")], [replace(FILE, path="d/\ufffd%25")], {"E-44"}),
        # The newest in it is the folder below; a pipe is not stored, so its time does not count.
        (
            [FOLDER, FILE, LINK, INNER, PIPE],
            [replace(FOLDER, mtime_ns=INNER.mtime_ns), FILE, LINK, INNER, PIPE],
            {"E-45"},
        ),
        ([LINK], [replace(LINK, mtime_ns=5_123_457_000)], {"E-46"}),
        ([replace(FILE, size=1 << 20, allocated=0)], [replace(FILE, size=1 << 20, allocated=1 << 20)], {"E-26"}),
    ],
)
def test_what_kopia_loses_is_counted_and_shown(expected: list[Entry], found: list[Entry], errata: set[str]) -> None:
    difference = compared(expected, found)
    assert difference.equal and difference.percent_equal == 100
    assert {loss.erratum for loss, count in difference.known.items() if count} == errata
    assert all(f"({erratum}, " in difference.table() for erratum in errata)


@pytest.mark.parametrize(
    ("expected", "found"),
    [
        (
            [replace(FILE, xattrs={"user.a": "1" * 64, "user.b": "2" * 64})],
            [replace(FILE, xattrs={"user.a": "1" * 64})],
        ),
        ([replace(FILE, xattrs={"user.a": "1" * 64})], [replace(FILE, xattrs={"user.a": "2" * 64})]),
        ([replace(FILE, links=3)], [replace(FILE, links=2)]),
        ([replace(FILE, links=2, hardlink="d/b")], [replace(FILE, hardlink="d/c")]),
        ([FILE], []),
        # Beside a folder with the tag; another content than the one before; and what kopia keeps of the root.
        ([TAG, CACHED, replace(FILE, path="c2/f")], [TAG, CACHED]),
        ([replace(FILE, path="listed/a")], []),
        ([FILE], [replace(FILE, sha256="1" * 64)]),
        ([replace(FILE, before="1" * 64)], [replace(FILE, sha256="2" * 64)]),
        ([replace(FILE, before="1" * 64)], []),
        ([ROOT], [replace(ROOT, mode="0777")]),
        ([ROOT], [replace(ROOT, uid=0)]),
        ([ROOT], [replace(ROOT, mtime_ns=0)]),
        ([replace(FILE, path="d/%FF")], []),
        ([replace(FILE, path="d/%FF")], [replace(FILE, path="d/\ufffd\ufffd")]),
        ([replace(FILE, path="d/%FF")], [replace(FILE, path="d/\ufffd", sha256="1" * 64)]),
        ([], [replace(FILE, path="d/\ufffd")]),
        # Two names that become one: one of the files is lost.
        ([replace(FILE, path="d/%FF"), replace(FILE, path="d/%FE")], [replace(FILE, path="d/\ufffd")]),
        ([FOLDER, FILE], [replace(FOLDER, mtime_ns=FILE.mtime_ns + 1), FILE]),
        ([FOLDER, FILE], [replace(FOLDER, mtime_ns=0), FILE]),
        ([EMPTY], [replace(EMPTY, mtime_ns=0)]),
        ([LINK], [replace(LINK, mtime_ns=5_123_456_000)]),
        ([FILE], [replace(FILE, mtime_ns=1_000_001_000)]),
        ([replace(LINK, target="a%FF")], [replace(LINK, target="a\ufffd")]),
    ],
)
def test_what_is_near_it_is_none(expected: list[Entry], found: list[Entry]) -> None:
    assert not compared(expected, found).equal


def test_one_uploaders_losses_are_not_the_others() -> None:
    without = {"d/a": FILE}
    with_attribute = {"d/a": replace(FILE, xattrs={"user.a": "1" * 64})}
    assert compare(with_attribute, without, KOPIA.known_deviations).equal
    assert not compare(with_attribute, without, RESTIC.known_deviations).equal
    assert not compare(
        {"s": replace(LINK, path="s", target="%FF")}, {"s": replace(LINK, path="s", target="\ufffd")}
    ).equal
