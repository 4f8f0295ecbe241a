"""The torture corpus: every attribute that is lost is seen, and a documented exception covers nothing else."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from velero_acceptance.corpus import layers
from velero_acceptance.corpus.differences import Difference, Entry, compare
from velero_acceptance.corpus.manifest import Corpus, Manifest
from velero_acceptance.corpus.uploaders import RESTIC, UPLOADERS
from velero_acceptance.criteria.load import load

SPARSE = 8 << 20
FILE = Entry("a", "file", "0644", 0, 0, 1, 3, "0" * 64, links=1, allocated=4096)
LINK = replace(FILE, path="l", type="symlink", size=0, sha256="", allocated=0)
ROOT = Entry(".", "directory", "0700", 1000, 3000, 1, 0, xattrs={"user.a": "1" * 64})
FAR = 13_569_465_600_000_000_005  # 2400; 64 bits end in 2262
MARK = "2f1c6a0e-5a39-4f7d-9d5c-0d5e0e1b2c3d"


@pytest.fixture
def torture(program: Path) -> Corpus:
    return Corpus(program, "a seed", ("-torture", "-many=120", f"-sparse={SPARSE}"))


@pytest.fixture
def volume(program: Path, torture: Corpus, tmp_path: Path) -> Path:
    """A folder that holds the corpus; written as root, because owners are part of it."""
    if os.geteuid() != 0:
        pytest.skip("only root can give files to other owners")
    folder = tmp_path / "volume"
    folder.mkdir()
    subprocess.run([program, "write", *torture.recipe, folder], check=True)
    return folder


def test_what_is_written_is_what_was_planned(torture: Corpus, volume: Path) -> None:
    difference = torture.manifest().compare(torture.read(volume))
    # What a file system or the rights of this machine may refuse.
    assert all(f.path.startswith(layers.OPTIONAL) for f in difference.findings), difference.table()
    assert difference.total > 600


def test_the_file_of_holes_takes_little_room(torture: Corpus, volume: Path) -> None:
    entry = torture.read(volume).entries["large/sparse.bin"]
    assert entry.size == SPARSE and entry.allocated < SPARSE / 8


def test_a_file_beyond_4_gib_is_not_held_in_memory(program: Path) -> None:
    corpus = Corpus(program, "a seed", ("-torture", "-many=0", f"-sparse={(4 << 30) + 12345}"))
    limit = ["prlimit", f"--data={512 << 20}", "--"]
    done = subprocess.run([*limit, program, "plan", *corpus.recipe], capture_output=True, check=True)
    entry = Manifest.parse(done.stdout).entries["large/sparse.bin"]
    assert (entry.size, entry.allocated) == ((4 << 30) + 12345, 3 << 16)


def set_attribute(path: Path, name: str, value: bytes) -> None:
    os.setxattr(path, name, value, follow_symlinks=False)


def keeping_time(path: Path, change: Callable[[Path], object]) -> None:
    times = path.stat()
    change(path)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def rename_to_other_form(volume: Path) -> None:
    """The same letter to a reader, in another order of its marks."""
    (volume / "strange names/combined-a\u0323\u0307").rename(volume / "strange names/combined-\u1ea1\u0307")


def relink(volume: Path, name: str, target: str | bytes) -> None:
    link = volume / name
    times = link.lstat()
    link.unlink()
    os.symlink(target, os.fsencode(link) if isinstance(target, bytes) else link)
    os.utime(link, ns=(times.st_atime_ns, times.st_mtime_ns), follow_symlinks=False)


def unshare(volume: Path) -> None:
    """A hard link that came back as a copy of its own, with all its attributes."""
    twin = volume / "strange links/other name"
    shutil.copy2(twin, volume / "copy")
    twin.unlink()
    (volume / "copy").rename(twin)


def link_from_outside(volume: Path) -> None:
    os.link(volume / "strange links/private", volume.parent / "outside")


def share(volume: Path) -> None:
    """Two files of the same content that came back as one."""
    name, other = volume / "crowd/000/00008", volume / "crowd/000/00009"
    other.unlink()
    os.link(name, other)


def other_device(volume: Path) -> None:
    whiteout = volume / layers.OPTIONAL / "whiteout"
    whiteout.unlink()
    os.mknod(whiteout, 0o640 | stat.S_IFCHR, os.makedev(1, 3))


def without_flags(volume: Path) -> None:
    """As a restore makes it: a new file with the same content, mode and times."""
    flags = volume / layers.OPTIONAL / "flags"
    shutil.copy2(flags, volume / "flags")
    (volume / "flags").rename(flags)


def fill_beyond(volume: Path) -> None:
    """A byte in a hole."""

    def write(path: Path) -> None:
        with path.open("r+b") as file:
            file.seek(SPARSE // 4)
            file.write(b"\x01")

    keeping_time(volume / "large/sparse.bin", write)


def move_data(volume: Path) -> None:
    """The middle of the file, one block off: what an offset of 32 bits, or a hole too many, does."""

    def write(path: Path) -> None:
        with path.open("r+b") as file:
            file.seek(SPARSE // 2)
            block = file.read(1 << 16)
            file.seek(SPARSE // 2)
            file.write(bytes(1 << 16) + block)

    keeping_time(volume / "large/sparse.bin", write)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda v: os.removexattr(v / "attributes/user", "user.text"), "'attributes/user' xattrs"),
        (lambda v: os.removexattr(v / "attributes/user", "user.empty"), "'attributes/user' xattrs"),
        (lambda v: set_attribute(v / "attributes/user", "user.binary", b"\x00"), "'attributes/user' xattrs"),
        (lambda v: set_attribute(v / "attributes/user", "user.new", b""), "'attributes/user' xattrs"),
        (lambda v: os.removexattr(v / "attributes/folder", "user.folder"), "'attributes/folder' xattrs"),
        (
            lambda v: os.removexattr(v / "attributes/folder", "system.posix_acl_default"),
            "'attributes/folder' xattrs",
        ),
        (
            lambda v: os.removexattr(v / "attributes/access-list", "system.posix_acl_access"),
            "'attributes/access-list' xattrs",
        ),
        # What a chown does, and nobody notices.
        (lambda v: os.chown(v / "attributes/capability", 0, 0), "'attributes/capability' xattrs"),
        (lambda v: (v / "attributes/folder/owned").chmod(0o750), "'attributes/folder/owned' mode: '4750' became"),
        (lambda v: (v / "attributes/folder").chmod(0o750), "'attributes/folder' mode: '2750' became '0750'"),
        (
            lambda v: os.chown(v / "attributes/folder/owned", 65534, -1),
            "'attributes/folder/owned' uid: 4294967294",
        ),
        (lambda v: os.chown(v / "strange links/long", 1, 1, follow_symlinks=False), "'strange links/long' uid"),
        (unshare, "'strange links/private' hardlink"),
        (link_from_outside, "'strange links/private' links: 2 became 3"),
        (share, "'crowd/000/00009' hardlink: '' became 'crowd/000/00008'"),
        (lambda v: relink(v, "links/dangling", "nothing/there"), "'links/dangling' target: 'nothing/here' became"),
        (lambda v: relink(v, "strange links/with spaces", "/no such/ place"), "'strange links/with spaces' target"),
        (lambda v: relink(v, "strange links/not-utf8", b"not-utf8-\xff\xfd"), "'strange links/not-utf8' target"),
        (lambda v: relink(v, "strange links/not-utf8", "not-utf8-\ufffd"), "'strange links/not-utf8' target"),
        (rename_to_other_form, "missing   'strange names/combined-a\u0323\u0307'"),
        (
            lambda v: os.rename(os.fsencode(v) + b"/strange names/latin1-\xe9", v / "strange names/latin1-\u00e9"),
            "missing   'strange names/latin1-%E9'",
        ),
        (lambda v: v.chmod(0o777), "'.' mode: '0700' became '0777'"),
        (lambda v: os.chown(v, 0, 3000), "'.' uid: 1000 became 0"),
        (lambda v: os.removexattr(v, "user.volume"), "'.' xattrs"),
        (lambda v: os.removexattr(v, "system.posix_acl_default"), "'.' xattrs"),
        (lambda v: os.utime(v, ns=(0, 0)), "'.' mtime_ns: 1700000001123456789 became 0"),
        (lambda v: os.removexattr(v / "attributes/samba", "user.DOSATTRIB"), "'attributes/samba' xattrs"),
        (lambda v: (v / "cache/inside").unlink(), "missing   'cache/inside'"),
        (lambda v: (v / "listed/file.listed").unlink(), "missing   'listed/file.listed'"),
        (lambda v: (v / "lost+found").chmod(0o755), "'lost+found' mode: '0700' became '0755'"),
        (lambda v: shutil.rmtree(v / ".velero"), "missing   '.velero/of the user'"),
        (lambda v: (v / layers.OPTIONAL / "whiteout").unlink(), "missing   'where supported/whiteout'"),
        (other_device, "'where supported/whiteout' device: 'character 0:0' became 'character 1:3'"),
        (lambda v: shutil.copy2(v / layers.OPTIONAL / "flags", v / "flags"), "too much  'flags'"),
        (without_flags, "'where supported/flags' flags: 'Ad' became ''"),
        (lambda v: os.utime(v / layers.OPTIONAL / "after-2262", (0, 0)), "'where supported/after-2262' mtime_ns"),
        (lambda v: (v / "specials/fifo").unlink(), "missing   'specials/fifo'"),
        (lambda v: ((v / "specials/socket").unlink(), (v / "specials/socket").touch()), "'specials/socket' type"),
        (fill_beyond, "'large/sparse.bin' sha256"),
        (move_data, "'large/sparse.bin' sha256"),
        (lambda v: shutil.rmtree(v / "crowd/001"), "missing   'crowd/001/00119'"),
    ],
)
def test_every_loss_is_seen(torture: Corpus, volume: Path, damage: Callable[[Path], object], says: str) -> None:
    try:
        damage(volume)
    except OSError as error:
        if error.errno == errno.ENOTSUP or layers.OPTIONAL in str(error.filename):
            pytest.skip("this file system has no such attribute, or this account no right to it")
        raise
    difference = torture.manifest().compare(torture.read(volume))
    assert not difference.equal and difference.percent_equal < 100
    assert says in difference.table(), difference.table()


def compared(expected: Entry | None, found: Entry | None) -> Difference:
    old, new = ({entry.path: entry} if entry else {} for entry in (expected, found))
    return compare(old, new, RESTIC.known_deviations)


@pytest.mark.parametrize(
    ("expected", "found", "erratum"),
    [
        (None, replace(FILE, path=f".velero/{MARK}", size=0), "E-16"),
        (None, replace(FILE, path=".velero", type="directory", size=0), "E-16"),
        (ROOT, replace(ROOT, mtime_ns=2), "E-16"),
        (ROOT, replace(ROOT, mode="0777", uid=0, gid=0, xattrs={}), "E-29"),
        (replace(FILE, mtime_ns=FAR), replace(FILE, mtime_ns=FAR - (1 << 64)), "E-30"),
        (replace(FILE, mtime_ns=FAR), replace(FILE, mtime_ns=-(1 << 31) * 10**9), "E-30"),
        (replace(FILE, flags="Ad"), FILE, "E-31"),
        (replace(FILE, path=".velero/own"), None, "E-32"),
        (replace(FILE, path=f".velero/{MARK}", size=0), None, "E-32"),  # of a restore before this one
        (
            replace(ROOT, path=".velero"),
            replace(ROOT, path=".velero", mode="0755", uid=0, gid=0, xattrs={}, mtime_ns=2),
            "E-32",
        ),
        (replace(FILE, type="socket"), None, "E-28"),
        (replace(LINK, target="a%FF%25"), replace(LINK, target="a\ufffd%25"), "E-24"),
        (replace(LINK, links=2, hardlink="k"), LINK, "E-25"),
        (replace(FILE, size=1 << 20, allocated=4096), replace(FILE, size=1 << 20, allocated=1 << 20), "E-26"),
    ],
)
def test_a_documented_loss_is_counted_and_shown(expected: Entry | None, found: Entry | None, erratum: str) -> None:
    difference = compared(expected, found)
    assert difference.equal and difference.percent_equal == 100
    assert [loss.erratum for loss, count in difference.known.items() if count == 1] == [erratum]
    assert f"({erratum}, " in difference.table() and "1 differ as documented" in difference.table()


@pytest.mark.parametrize(
    ("expected", "found"),
    [
        (None, replace(FILE, path=f".velero/{MARK}")),  # a mark with content
        (None, replace(FILE, path=f".velero/{MARK}", type="directory", size=0)),
        (None, replace(FILE, path=".velero", size=0)),
        (None, replace(FILE, path=".velero/other", size=0)),
        # Of the volume's root, and of a folder .velero of the user's, no more than the uploader and Velero change.
        (replace(ROOT, path="a"), replace(ROOT, path="a", mode="0777")),
        (ROOT, replace(ROOT, type="file", links=1, sha256="0" * 64)),
        (ROOT, replace(ROOT, mode="0777", xattrs={"user.b": "1" * 64})),
        (ROOT, None),
        (replace(ROOT, path=".velero"), None),
        (replace(ROOT, path=".velero"), replace(ROOT, path=".velero", mode="0777", uid=0, gid=0, xattrs={})),
        (replace(FILE, path=".velero2/own"), None),
        (replace(FILE, path=".velero/own"), replace(FILE, path=".velero/own", sha256="1" * 64)),
        (replace(FILE, mtime_ns=FAR), replace(FILE, mtime_ns=0)),
        (replace(FILE, mtime_ns=FAR - (1 << 64)), replace(FILE, mtime_ns=-(1 << 31) * 10**9)),
        (replace(FILE, flags="Ad"), replace(FILE, flags="A")),
        (FILE, replace(FILE, flags="A")),
        (replace(FILE, path="c/a"), None),  # restic knows no caches
        (replace(FILE, path="listed/a.listed"), None),
        (replace(FILE, before="1" * 64), replace(FILE, sha256="1" * 64)),
        (replace(FILE, type="device", device="block 7:0"), replace(FILE, type="device", device="block 7:1")),
        (None, replace(FILE, type="socket")),
        (replace(FILE, type="fifo"), None),
        (replace(LINK, target="a%FF"), replace(LINK, target="a")),
        (replace(LINK, target="a"), replace(LINK, target="\ufffd")),
        (replace(LINK, target="a%FF"), replace(LINK, target="a\ufffd", uid=1)),
        (replace(FILE, links=2), FILE),
        (replace(FILE, hardlink="k", links=2), FILE),
        (replace(LINK, links=3), replace(LINK, links=2)),
        (replace(FILE, size=1 << 20, allocated=4096), replace(FILE, size=1 << 20, sha256="1" * 64, allocated=1 << 20)),
    ],
)
def test_what_is_near_a_documented_loss_is_none(expected: Entry | None, found: Entry | None) -> None:
    difference = compared(expected, found)
    assert not difference.equal and difference.percent_equal == 0


def test_every_documented_loss_is_in_the_register_and_cited_by_the_criterion() -> None:
    register = load()
    cited = set(register.criteria["NFR-RELIABILITY-002"].errata)
    assert {loss.erratum for uploader in UPLOADERS.values() for loss in uploader.known_deviations} <= cited & {
        erratum.id for erratum in register.errata
    }


def test_what_the_disk_holds_is_information() -> None:
    assert compare({"a": FILE}, {"a": replace(FILE, allocated=8192)}).findings == ()


def test_each_layer_is_blamed_for_what_it_lost() -> None:
    plan = {name: replace(FILE, path=name) for name in "abcdef"}

    def without(*names: str) -> Manifest:
        return Manifest({name: entry for name, entry in plan.items() if name not in names})

    def worn(manifest: Manifest, name: str) -> Manifest:
        return Manifest({**manifest.entries, name: replace(plan[name], mtime_ns=0)})

    expected = Manifest(plan)
    found = layers.Layers(
        expected.compare(without("a")),
        expected.compare(worn(without("a", "b", "e"), "f")),
        expected.compare(worn(worn(without("a", "b"), "c"), "f")),
    )
    assert [(layer, finding.path, finding.what) for layer, finding in found.blame()] == [
        (layers.VOLUME, "a", "missing"),
        (layers.UPLOADER, "b", "missing"),
        (layers.UPLOADER, "f", "mtime_ns"),
        (layers.VELERO, "c", "mtime_ns"),
        (layers.READING, "e", "missing"),
    ]
    assert found.counts() == {layers.VOLUME: 1, layers.UPLOADER: 2, layers.VELERO: 1, layers.READING: 1}
    assert "different by Velero alone: 1\n  changed   'c' mtime_ns: 1 became 0" in found.table()


def test_what_the_volume_never_held_is_no_documented_loss() -> None:
    expected, empty = Manifest({"s": replace(FILE, path="s", type="socket")}, RESTIC.known_deviations), Manifest({})
    kept = layers.Layers(expected.compare(expected), expected.compare(empty), expected.compare(empty))
    never = layers.Layers.of(expected, empty, empty, empty)
    assert (kept.counts()[layers.VOLUME], kept.counts()[layers.UPLOADER]) == (0, 0)
    assert never.counts()[layers.VOLUME] == 1


def test_what_a_volume_refuses_is_named_and_not_tested() -> None:
    refused, held = f"{layers.OPTIONAL}loop", f"{layers.OPTIONAL}flags"
    expected = Manifest({path: replace(FILE, path=path) for path in ("a", refused, held)}, RESTIC.known_deviations)
    volume = expected.without([refused])
    found = layers.Layers.of(expected, volume, volume, volume.without([held]))
    assert (found.untested, found.volume.total, found.repository.equal) == ((refused,), 2, True)
    assert [finding.path for finding in found.restored.findings] == [held]


def test_what_a_volume_lost_otherwise_is_not_called_refused() -> None:
    expected = Manifest({path: replace(FILE, path=path) for path in ("a", "b")})
    found = layers.Layers.of(expected, expected.without("b"), expected, expected)
    assert not found.untested and not found.volume.equal


def test_layers_that_lose_the_same_differently_are_both_named() -> None:
    """The uploader alone gives another time, Velero none of the file: neither hides the other."""
    expected = Manifest({"a": FILE})
    worn = Manifest({"a": replace(FILE, mtime_ns=0)})
    found = layers.Layers(expected.compare(expected), expected.compare(worn), expected.compare(Manifest({})))
    assert [layer for layer, _ in found.blame()] == [layers.VELERO, layers.READING]
