"""Files that change while they are backed up: whether a copy is consistent, and what is lost since.

A journal only grows, each record on disk before the next; a ledger changes in place, all its blocks
in one generation. ``lab/tools/corpus`` writes and reads both, ``lab/tools/database`` an SQLite database.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import Any

from acceptance.differences import HarnessError


@dataclass(frozen=True)
class Journal:
    """What a journal holds: *gaps* in the numbers, *wrong* records, *torn* bytes of a record that is cut off."""

    records: int
    first: int
    last: int
    last_ns: int
    gaps: int
    wrong: int
    torn: int

    @staticmethod
    def parse(output: bytes) -> Journal:
        """A journal from the program's output; raises HarnessError for anything else."""
        found = _object(output, Journal)
        if any(not isinstance(value, int) or value < 0 for value in found.values()):
            raise HarnessError(f"the state of a journal has something else than counts: {found}")
        return Journal(**found)

    def problems(self) -> list[str]:
        """Why it is not the beginning of what was written. A torn end is none: its writer was never told it is safe."""
        wrong = {
            "it has no records": self.records == 0,
            f"it begins with record {self.first}": self.records > 0 and self.first != 1,
            f"{self.gaps} gaps": self.gaps > 0,
            f"{self.wrong} records are not as written": self.wrong > 0,
        }
        return [problem for problem, holds in wrong.items() if holds]


@dataclass(frozen=True)
class Ledger:
    """What a ledger holds: blocks of each generation, and *damaged* ones that no generation has written."""

    blocks: int
    generations: dict[str, int]
    damaged: int

    @staticmethod
    def parse(output: bytes) -> Ledger:
        """A ledger from the program's output; raises HarnessError for anything else."""
        found = Ledger(**_object(output, Ledger))
        if sum(found.generations.values()) + found.damaged != found.blocks:
            raise HarnessError(f"the state of a ledger miscounts its blocks: {found}")
        return found

    def problems(self, blocks: int) -> list[str]:
        """Why it is not one whole state of a ledger of so many blocks."""
        wrong = {
            f"{self.blocks} blocks of {blocks}": self.blocks != blocks,
            f"{self.damaged} damaged blocks": self.damaged > 0,
            f"blocks of {len(self.generations)} generations": len(self.generations) != 1,
        }
        return [problem for problem, holds in wrong.items() if holds]


@dataclass(frozen=True)
class Database:
    """What an SQLite database holds: *integrity* in SQLite's words, and what the writer's transactions keep true.

    *wrong* records, how far the accounts are off in *balance*, and pages *stale* by the last record.
    """

    integrity: str
    records: int
    last: int
    wrong: int
    balance: int
    stale: int

    @staticmethod
    def parse(output: bytes) -> Database:
        """A database from the program's output; raises HarnessError for anything else."""
        return Database(**_object(output, Database))

    def problems(self) -> list[str]:
        """Why it is not the state after some transaction."""
        wrong = {
            f"SQLite says: {self.integrity}": self.integrity != "ok",
            "it has no records": self.records == 0,
            f"{self.records} records up to number {self.last}": self.records != self.last,
            f"{self.wrong} records are not as written": self.wrong != 0,
            f"the accounts are off by {self.balance}": self.balance != 0,
            f"{self.stale} pages are of another transaction": self.stale != 0,
        }
        return [problem for problem, holds in wrong.items() if holds]


@dataclass(frozen=True)
class Loss:
    """What a copy lacks of a journal, by the writer's own numbers and times."""

    records: int
    seconds: float


def lost(written: Journal, copy: Journal) -> Loss:
    """What of *written* is not in *copy*; none when the copy is newer."""
    records = max(0, written.last - copy.last)
    return Loss(records, (written.last_ns - copy.last_ns) / 1e9 if records else 0.0)


def _object(output: bytes, kind: type[Any]) -> dict[str, Any]:
    try:
        found = json.loads(output)
    except ValueError as error:
        raise HarnessError(f"the state of a {kind.__name__.lower()} cannot be read: {error}") from None
    if not isinstance(found, dict) or set(found) != {field.name for field in fields(kind)}:
        raise HarnessError(f"the state of a {kind.__name__.lower()} is incomplete: {found}")
    return found
