"""The SQLite database that is backed up while it is written: what breaks its invariants goes red."""

from __future__ import annotations

import json
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fixtures.applications.live_writes import Database
from velero_acceptance.corpus.differences import HarnessError

WHOLE = {"integrity": "ok", "records": 3, "last": 3, "wrong": 0, "balance": 0, "stale": 0}


@pytest.mark.parametrize("text", ["", "{}", json.dumps({**WHOLE, "extra": 1})])
def test_a_database_that_cannot_be_trusted_is_an_error_of_the_harness(text: str) -> None:
    with pytest.raises(HarnessError):
        Database.parse(text.encode())


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"integrity": "database disk image is malformed"}, "SQLite says: database disk image is malformed"),
        ({"records": 0, "last": 0}, "it has no records"),
        ({"records": 2}, "2 records up to number 3"),
        ({"wrong": 1}, "1 records are not as written"),
        ({"balance": -3}, "the accounts are off by -3"),
        ({"stale": 7}, "7 pages are of another transaction"),
    ],
)
def test_a_database_has_to_be_the_state_after_some_transaction(change: dict[str, object], problem: str) -> None:
    assert Database.parse(json.dumps(WHOLE).encode()).problems() == []
    assert Database.parse(json.dumps({**WHOLE, **change}).encode()).problems() == [problem]


@pytest.fixture(scope="session")
def database(build_tool: Callable[[str], Path]) -> Path:
    """The database program."""
    return build_tool("database")


@pytest.fixture(scope="session")
def frozen(database: Path, program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A database whose writer is frozen after some transactions."""
    folder = tmp_path_factory.mktemp("frozen")
    environment = {"TMPDIR": str(folder)}
    writer = subprocess.Popen([database, "write", "-seed", "s", "-every", "1ms", folder / "db"], env=environment)
    subprocess.run([program, "freeze", folder / "db"], env=environment, check=True)
    yield folder / "db"
    writer.kill()
    writer.wait()


@pytest.fixture
def copy(frozen: Path, tmp_path: Path) -> Path:
    """A copy of its one file: what a frozen writer leaves beside it is not needed."""
    (tmp_path / "copy").write_bytes(frozen.read_bytes())
    return tmp_path / "copy"


def read(database: Path, path: Path, seed: str = "s") -> Database:
    return Database.parse(subprocess.check_output([database, "read", "-seed", seed, path]))


def test_a_frozen_database_is_whole_in_one_file(database: Path, frozen: Path, copy: Path) -> None:
    assert frozen.with_name("db-wal").stat().st_size == 0
    assert read(database, copy).problems() == []


def test_another_run_cannot_pass_for_this_one(database: Path, copy: Path) -> None:
    found = read(database, copy, "another")
    assert found.problems() == [f"{found.records} records are not as written"]


def execute(*statements: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        with sqlite3.connect(path, isolation_level=None) as connection:
            for statement in statements:
                connection.execute(statement)

    return change


def overwrite(path: Path) -> None:
    """A page in the middle, as a lost block leaves it."""
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2 // 4096 * 4096)
        file.write(bytes(4096))


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (execute("INSERT INTO records VALUES (100000, 'x')"), "records up to number 100000"),
        (execute("UPDATE records SET digest = 'x' WHERE number = 1"), "1 records are not as written"),
        (execute("UPDATE accounts SET amount = amount + 1 WHERE name = 'to'"), "the accounts are off by 1"),
        (execute("DELETE FROM accounts"), "the accounts are off by -1"),
        (execute("UPDATE pages SET written = written + 16 WHERE id = 7"), "1 pages are of another transaction"),
        (overwrite, "SQLite says: "),
        (lambda path: path.write_bytes(path.read_bytes()[: 1 << 20]), "SQLite says: "),
        (lambda path: path.write_bytes(b"no database" * 1000), "SQLite says: file is not a database"),
        (lambda path: path.unlink(), "SQLite says: unable to open"),
    ],
)
def test_a_damaged_database_is_named(
    database: Path, copy: Path, damage: Callable[[Path], object], problem: str
) -> None:
    damage(copy)
    assert problem in "; ".join(read(database, copy).problems())
