"""Files that change during a backup: a copy that is not whole goes red, and what is lost is counted."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fixtures.applications.live_writes import AppendLog, BlockFile, Loss, hooks, lost
from velero_acceptance.core.waiting import poll
from velero_acceptance.corpus.differences import HarnessError

WHOLE = {"records": 3, "first": 1, "last": 3, "last_ns": 5, "gaps": 0, "wrong": 0, "torn": 0}
RECORD = 98  # bytes


@pytest.mark.parametrize("text", ["", "[]", "{}", json.dumps({**WHOLE, "extra": 1}), json.dumps({**WHOLE, "gaps": -1})])
def test_a_journal_that_cannot_be_trusted_is_an_error_of_the_harness(text: str) -> None:
    with pytest.raises(HarnessError):
        AppendLog.parse(text.encode())


@pytest.mark.parametrize("text", ["", "{}", '{"blocks": 2, "generations": {"1": 1}, "damaged": 0}'])
def test_a_ledger_that_cannot_be_trusted_is_an_error_of_the_harness(text: str) -> None:
    with pytest.raises(HarnessError):
        BlockFile.parse(text.encode())


@pytest.mark.parametrize(
    ("change", "problems"),
    [
        ({}, []),
        ({"torn": 40}, []),
        ({"records": 0, "first": 0}, ["it has no records"]),
        ({"first": 2}, ["it begins with record 2"]),
        ({"gaps": 1}, ["1 gaps"]),
        ({"wrong": 2}, ["2 records are not as written"]),
    ],
)
def test_a_journal_has_to_be_the_beginning_of_what_was_written(change: dict[str, int], problems: list[str]) -> None:
    assert AppendLog(**{**WHOLE, **change}).problems() == problems


@pytest.mark.parametrize(
    ("ledger", "problems"),
    [
        (BlockFile(2, {"1": 2}, 0), []),
        (BlockFile(1, {"1": 1}, 0), ["1 blocks of 2"]),
        (BlockFile(2, {"1": 1, "2": 1}, 0), ["blocks of 2 generations"]),
        (BlockFile(2, {"1": 1}, 1), ["1 damaged blocks"]),
        (BlockFile(0, {}, 0), ["0 blocks of 2", "blocks of 0 generations"]),
    ],
)
def test_a_ledger_has_to_be_one_whole_state(ledger: BlockFile, problems: list[str]) -> None:
    assert ledger.problems(2) == problems


def test_a_loss_is_counted_by_the_writers_own_records() -> None:
    written, copy = AppendLog(**{**WHOLE, "last": 9, "last_ns": 2_500_000_005}), AppendLog(**WHOLE)
    assert lost(written, copy) == Loss(6, 2.5)
    assert lost(copy, written) == Loss(0, 0.0)


@pytest.fixture
def writers(program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder in which a journal and a ledger are being written; what freezes them stands there too."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    running = [
        subprocess.Popen([program, command, "-seed", "s", "-every", "1ms", tmp_path / command])
        for command in ("append", "rewrite")
    ]
    poll(
        lambda: all((tmp_path / command).exists() for command in ("append", "rewrite")),
        until=bool,
        event="both are there",
        timeout=10,
        interval=0.01,
    )
    yield tmp_path
    for writer in running:
        writer.kill()
        writer.wait()


def journal(program: Path, path: Path, seed: str = "s") -> AppendLog:
    return AppendLog.parse(subprocess.check_output([program, "journal", "-seed", seed, path]))


def ledger(program: Path, path: Path) -> BlockFile:
    return BlockFile.parse(subprocess.check_output([program, "ledger", "-seed", "s", path]))


def wait_for_records(program: Path, path: Path, number: int) -> AppendLog:
    return poll(
        lambda: journal(program, path),
        until=lambda found: found.last >= number,
        event=f"the journal has {number} records",
        timeout=10,
        interval=0.01,
    )


def test_a_journal_is_whole_while_it_is_written(program: Path, writers: Path) -> None:
    found = wait_for_records(program, writers / "append", 20)
    assert found.problems() == [] and found.records == found.last
    assert journal(program, writers / "append", "another seed").records == 0


def cut_inside(content: bytes) -> bytes:
    return content[: 5 * RECORD + 50]


def cut_out(content: bytes) -> bytes:
    return content[: 5 * RECORD] + content[6 * RECORD :]


def flip(content: bytes) -> bytes:
    place = 5 * RECORD + 20  # in the time stamp
    return content[:place] + (b"1" if content[place : place + 1] != b"1" else b"2") + content[place + 1 :]


def tear(content: bytes) -> bytes:
    """A record that is cut off, and others after it: no writer leaves that."""
    return content[: 5 * RECORD + 50] + content[6 * RECORD :]


@pytest.mark.parametrize(
    ("damage", "says", "torn"),
    [
        (cut_inside, [], 50),
        (cut_out, ["1 gaps"], 0),
        (flip, ["1 gaps", "1 records are not as written"], 0),
        (tear, ["1 gaps", "1 records are not as written"], 0),
        (lambda content: content[RECORD:], ["it begins with record 2"], 0),
        (lambda content: content + content[:RECORD], ["1 gaps"], 0),
        (lambda _: b"", ["it has no records"], 0),
        (lambda content: content + bytes(40), [], 40),
    ],
)
def test_a_damaged_journal_is_named(
    program: Path, writers: Path, damage: Callable[[bytes], bytes], says: list[str], torn: int
) -> None:
    wait_for_records(program, writers / "append", 20)
    content = (writers / "append").read_bytes()
    (writers / "copy").write_bytes(damage(content[: len(content) // RECORD * RECORD]))
    found = journal(program, writers / "copy")
    assert (found.problems(), found.torn) == (says, torn)


def test_a_ledger_is_one_state_when_it_is_frozen(program: Path, writers: Path) -> None:
    subprocess.run([program, "freeze", writers / "rewrite"], check=True)
    first, again = ledger(program, writers / "rewrite"), ledger(program, writers / "rewrite")
    subprocess.run([program, "thaw", writers / "rewrite"], check=True)
    assert first == again and first.problems(512) == []
    later = poll(
        lambda: ledger(program, writers / "rewrite"),
        until=lambda found: found.generations != first.generations,
        event="the ledger changes again",
        timeout=10,
        interval=0.01,
    )
    assert later.damaged == 0


@pytest.mark.parametrize(
    ("place", "change", "problem"),
    [
        (0, b"999999999999", "blocks of 2 generations"),
        (100, b"no such data", "1 damaged blocks"),
        ((1 << 16) * 511, None, "511 blocks of 512"),
    ],
)
def test_a_damaged_ledger_is_named(
    program: Path, writers: Path, place: int, change: bytes | None, problem: str
) -> None:
    subprocess.run([program, "freeze", writers / "rewrite"], check=True)
    with (writers / "rewrite").open("r+b") as file:
        if change is None:
            file.truncate(place)
        else:
            file.seek(place)
            file.write(change)
    assert ledger(program, writers / "rewrite").problems(512) == [problem]
    subprocess.run([program, "thaw", writers / "rewrite"], check=True)


def test_freezing_what_nobody_writes_fails_and_leaves_nothing(program: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [program, "freeze", "-within", "50ms", tmp_path / "nobody"],
        env={"TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and "did not stop" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_writer_is_not_started_over_a_file_that_is_there(program: Path, tmp_path: Path) -> None:
    (tmp_path / "journal").touch()
    done = subprocess.run([program, "start", "append", tmp_path / "journal"], capture_output=True, text=True)
    assert done.returncode == 1 and "is there already" in done.stderr


def test_the_hooks_are_those_that_velero_reads() -> None:
    found = hooks("/data/f", "/data/g")
    assert found["pre.hook.backup.velero.io/command"] == '["/corpus", "freeze", "/data/f", "/data/g"]'
    assert found["post.hook.backup.velero.io/command"] == '["/corpus", "thaw", "/data/f", "/data/g"]'
    assert {name.partition("/")[0] for name in found} == {"pre.hook.backup.velero.io", "post.hook.backup.velero.io"}
