"""The manifest's checker goes red for every way in which a restore can lose data."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from velero_acceptance.core.waiting import poll
from velero_acceptance.corpus.differences import HarnessError
from velero_acceptance.corpus.manifest import Corpus, Manifest

DIGEST = "0" * 64
LINE = {"path": "a", "type": "file", "mode": "0644", "uid": 0, "gid": 0, "mtime_ns": 1, "size": 3, "links": 1}
LINE |= {"sha256": DIGEST, "allocated": 4096}
FOLDER = {**LINE, "type": "directory", "size": 0, "links": 0}


def output(*entries: dict[str, object], **closing: int) -> bytes:
    sizes = [int(str(entry["size"])) for entry in entries]
    end = {"entries": len(entries), "bytes": sum(sizes), **closing}
    return "\n".join(json.dumps(line) for line in (*entries, end)).encode()


def test_a_manifest_is_read() -> None:
    assert Manifest.parse(output(LINE, {**LINE, "path": "b"})).entries["b"].size == 3


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"", "printed nothing"),
        (output(LINE, {**LINE, "path": "b"}).rsplit(b"\n", 1)[0], "cut off"),
        (output(LINE, entries=2), "lists 1 entries but counts 2"),
        (output(LINE, bytes=4), "lists 1 entries"),
        (output(LINE, LINE), "twice"),
        (output({**LINE, "sha256": ""}), "no SHA-256"),
        (output({**LINE, "sha256": "abc"}), "no SHA-256"),
        (output({**LINE, "xattrs": {"user.a": ""}}), "no SHA-256 of 'a', attribute user.a"),
        (output({**LINE, "xattrs": {"user.a": DIGEST[:63]}}), "no SHA-256 of 'a', attribute user.a"),
        (output({**LINE, "xattrs": ["user.a"]}), "attributes of 'a'"),
        (output({**LINE, "links": 0}), "a file, 0 names"),
        (output({**FOLDER, "links": 2}), "a directory, 2 names"),
        (output({**LINE, "colour": "red"}), "cannot be read"),
        (b"not json", "cannot be read"),
    ],
)
def test_a_manifest_that_cannot_be_trusted_is_an_error_of_the_harness(text: bytes, says: str) -> None:
    with pytest.raises(HarnessError, match=says):
        Manifest.parse(text)


def test_two_empty_sides_are_not_equal_data() -> None:
    empty = Manifest({})
    with pytest.raises(HarnessError, match="nothing was compared"):
        _ = empty.compare(empty).percent_equal


@pytest.fixture
def corpus(program: Path) -> Corpus:
    return Corpus(program, "a seed")


@pytest.fixture
def volume(program: Path, corpus: Corpus, tmp_path: Path) -> Path:
    """A folder that holds the corpus; written as root, because owners are part of it."""
    if os.geteuid() != 0:
        pytest.skip("only root can give files to other owners")
    folder = tmp_path / "volume"
    folder.mkdir()
    subprocess.run([program, "write", "-seed", corpus.seed, folder], check=True)
    return folder


def test_what_is_written_is_what_was_planned(corpus: Corpus, volume: Path) -> None:
    difference = corpus.manifest().compare(corpus.read(volume))
    assert difference.equal and difference.percent_equal == 100.0, difference.table()
    assert difference.total > 300


def test_another_seed_is_another_corpus(program: Path, corpus: Corpus) -> None:
    difference = corpus.manifest().compare(Corpus(program, "another").manifest())
    assert difference.percent_equal < 50


def flip_a_byte(volume: Path) -> None:
    path = volume / "sizes/large.bin"
    times = path.stat()
    with path.open("r+b") as file:
        file.seek(7_000_000)
        byte = file.read(1)[0]
        file.seek(7_000_000)
        file.write(bytes([byte ^ 1]))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def truncate(volume: Path) -> None:
    os.truncate(volume / "sizes/random-4097.bin", 4096)


def relink(volume: Path) -> None:
    link = volume / "links/relative"
    link.unlink()
    link.symlink_to("elsewhere")


def unshare(volume: Path) -> None:
    """A hard link that came back as a copy of its own."""
    twin = volume / "links/second-name"
    shutil.copy2(twin, volume / "copy")
    twin.unlink()
    (volume / "copy").rename(twin)


def swap(volume: Path) -> None:
    first, second = volume / "many/100", volume / "many/101"
    first.rename(volume / "swap")
    second.rename(first)
    (volume / "swap").rename(second)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (flip_a_byte, "'sizes/large.bin' sha256"),
        (truncate, "'sizes/random-4097.bin' size"),
        (lambda v: (v / "names/.hidden").unlink(), "missing   'names/.hidden'"),
        (lambda v: (v / "empty").rmdir(), "missing   'empty'"),
        (lambda v: (v / "extra").touch(), "too much  'extra'"),
        (lambda v: (v / "modes/file-4755").chmod(0o755), "'modes/file-4755' mode: '4755' became '0755'"),
        (lambda v: (v / "modes/folder-1777").chmod(0o777), "'modes/folder-1777' mode"),
        (lambda v: os.chown(v / "owners/1000-0", 0, 0), "'owners/1000-0' uid: 1000 became 0"),
        (lambda v: os.chown(v / "owners/2000000000-3", 2_000_000_000, 0), "gid: 3 became 0"),
        (
            lambda v: os.utime(v / "times/nanoseconds", ns=(0, 1_700_000_000_123_456_000)),
            "'times/nanoseconds' mtime_ns",
        ),
        (
            lambda v: os.utime(v / "times/before-epoch", ns=(0, 0)),
            "'times/before-epoch' mtime_ns: -86400000000000 became 0",
        ),
        (relink, "'links/relative' target: 'original' became 'elsewhere'"),
        (unshare, "'links/second-name' hardlink"),
        (swap, "'many/100' sha256"),
        (lambda v: (v / "names/nfd-e\u0301").rename(v / "names/nfd-\u00e9"), "missing   'names/nfd-e\u0301'"),
    ],
)
def test_every_loss_is_seen(corpus: Corpus, volume: Path, damage: Callable[[Path], object], says: str) -> None:
    damage(volume)
    difference = corpus.manifest().compare(corpus.read(volume))
    assert not difference.equal and difference.percent_equal < 100
    assert says in difference.table()


def test_the_marker_of_a_restore_is_excepted_and_nothing_like_it(corpus: Corpus, volume: Path) -> None:
    marker = volume / ".velero"
    marker.mkdir()
    (marker / "2f1c6a0e-5a39-4f7d-9d5c-0d5e0e1b2c3d").touch()
    assert corpus.manifest().compare(corpus.read(volume)).equal
    (marker / "other").touch()
    difference = corpus.manifest().compare(corpus.read(volume))
    assert not difference.equal and "1 too much" in difference.table() and "'.velero/other'" in difference.table()


def test_a_corpus_is_never_written_over_another(program: Path, volume: Path) -> None:
    done = subprocess.run([program, "write", "-seed", "b", volume], capture_output=True, text=True)
    assert done.returncode == 1 and "already holds a corpus" in done.stderr


def test_a_missing_folder_is_an_error_not_an_empty_manifest(corpus: Corpus, tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="no such file"):
        corpus.read(tmp_path / "nowhere")


def test_the_probe_wants_the_identity_file(program: Path, volume: Path) -> None:
    assert subprocess.run([program, "probe", volume]).returncode == 0
    (volume / "identity.txt").write_text("")
    assert subprocess.run([program, "probe", volume], capture_output=True).returncode == 1


def test_strain_uses_the_memory_it_is_told(program: Path) -> None:
    done = subprocess.run([program, "strain", "-bytes=1"], capture_output=True, text=True, timeout=10)
    assert done.returncode == 1 and "-bytes must be" in done.stderr
    process = subprocess.Popen([program, "strain", "-bytes=50000000"])
    try:
        status = Path(f"/proc/{process.pid}/status")
        poll(
            lambda: int(re.findall(r"RssAnon:\s+(\d+) kB", status.read_text())[0]),
            until=lambda kilobytes: kilobytes * 1024 >= 50_000_000,
            event="its memory is in use",
            timeout=10,
            interval=0.05,
        )
    finally:
        process.kill()
        process.wait()


def change(program: Path, corpus: Corpus, volume: Path) -> None:
    subprocess.run([program, "change", *corpus.recipe, volume], check=True)


def test_what_is_changed_is_what_was_planned(program: Path, corpus: Corpus, volume: Path) -> None:
    change(program, corpus, volume)
    difference = corpus.changed.manifest().compare(corpus.read(volume))
    assert difference.findings == (), difference.table()


def test_the_plan_of_the_change_has_every_kind_of_it(corpus: Corpus) -> None:
    """Each is a way by which an uploader may take what is new for what it knows."""
    before, after = corpus.manifest(), corpus.changed.manifest()
    found = {(finding.path, finding.what) for finding in before.compare(after).findings}
    assert {
        ("added/file", "too much"),
        ("sizes/added.bin", "too much"),
        ("sizes/random-1048576.bin", "sha256"),
        ("sizes/compressible.txt", "size"),
        ("sizes/random-65536.bin", "size"),
        ("sizes/random-511.bin", "type"),
        ("sizes/random-512.bin", "target"),
        ("empty", "type"),
        ("links/relative", "target"),
        ("times/y1999", "sha256"),
        ("many/100", "missing"),
        ("many/renamed", "too much"),
        ("deep/level-00", "missing"),
        ("deeper/level-00", "too much"),
        ("links/original", "links"),
        ("many/101", "missing"),
        ("owners", "missing"),
        ("modes/file-0640", "mode"),
        ("modes/folder-0700", "uid"),
        ("sizes/large.bin", "mtime_ns"),
    } <= found
    unseen = {path: entry for path, entry in after.entries.items() if entry.before}
    assert set(unseen) == {"sizes/random-4096.bin", "sizes/random-4097.bin"}
    for path, entry in unseen.items():
        old = before.entries[path]
        assert (entry.before, entry.size, entry.mtime_ns) == (old.sha256, old.size, old.mtime_ns)
        assert entry.sha256 != old.sha256


def test_a_backup_from_before_the_change_is_seen(corpus: Corpus, volume: Path) -> None:
    """As an uploader that takes each file for unchanged would restore it."""
    difference = corpus.changed.manifest().compare(corpus.read(volume))
    assert not difference.equal and "missing   'added/file'" in difference.table()
    assert "'sizes/random-4096.bin' sha256" in difference.table()


def test_what_the_change_does_not_name_is_not_touched(program: Path, corpus: Corpus, volume: Path) -> None:
    """A new time of change would make restic read everything, and so hide that it takes nothing for unchanged."""
    names = ("sizes/zeros.bin", "many/102", "names/case", "sizes/random-4096.bin")
    before = [(volume / name).stat() for name in names]
    change(program, corpus, volume)
    after = [(volume / name).stat() for name in names]
    assert [old.st_ctime_ns == new.st_ctime_ns for old, new in zip(before, after, strict=True)] == [*[True] * 3, False]
    assert [old.st_ino == new.st_ino for old, new in zip(before, after, strict=True)] == [True] * 4


def test_a_change_of_no_corpus_is_an_error(program: Path, corpus: Corpus, tmp_path: Path) -> None:
    for folder in (str(tmp_path), ""):
        done = subprocess.run([program, "change", *corpus.recipe, folder], capture_output=True, text=True)
        assert done.returncode == 1 and done.stderr.startswith("corpus: ")


def test_stirred_files_come_change_and_go(program: Path, tmp_path: Path) -> None:
    folder = tmp_path / "stirred"
    with subprocess.Popen([program, "stir", "-every=1ms", folder]) as writer:
        try:
            seen: set[tuple[str, int]] = set()

            def look() -> bool:
                with suppress(FileNotFoundError):
                    seen.update((entry.name, entry.stat().st_ino) for entry in os.scandir(folder) if entry.is_file())
                return len(seen) > 60  # more files than names: some went, and others came in their place

            poll(look, until=bool, event="files come and go", timeout=20, interval=0.01)
            assert writer.poll() is None
        finally:
            writer.kill()
