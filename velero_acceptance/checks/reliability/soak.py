"""NFR-RELIABILITY-002, the soak: the actions of each round, and its progress, saved so that it can be resumed.

A round is a minute: one backup by the schedule; in some rounds one restore; backups beyond those to keep expire, so
that the load does not grow, however long it takes.
"""

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from velero_acceptance.checks.reliability.run_history import read_state
from velero_acceptance.core.errors import Refusal
from velero_acceptance.core.files import write_whole

# How many finished backups are kept, and how often one of them is restored.
KEEP = 4
RESTORE_EVERY = 3
# New data of each round, and for how many rounds it stays.
BYTES = 2_000_000
ROUNDS_OF_DATA = 3
# More problems are counted, but not described.
DESCRIBED = 100


class BackupAge(StrEnum):
    """Which backup is restored."""

    LATEST = "latest"
    OLDER = "older"


@dataclass(frozen=True)
class Actions:
    """A round's actions after its backup: restore the kept backup *restore* (0 is the oldest), expire the oldest."""

    sample: BackupAge | None
    restore: int | None
    expire: int


def actions(number: int, kept: int, seed: str) -> Actions:
    """The actions of round *number* (from 0) with *kept* finished backups; the same for the same seed."""
    expire = max(0, kept - KEEP)
    left = kept - expire
    if left == 0 or number % RESTORE_EVERY != RESTORE_EVERY - 1:
        return Actions(None, None, expire)
    older = (number // RESTORE_EVERY) % 2 == 1 and left > 1
    chosen = random.Random(f"{seed} {number}").randrange(left - 1) if older else left - 1
    return Actions(BackupAge.OLDER if older else BackupAge.LATEST, expire + chosen, expire)


class Soak(BaseModel):
    """The progress of a soak on one cluster. *seconds* is its running time."""

    model_config = ConfigDict(extra="forbid")

    schema_version: Literal["1"] = "1"
    cluster: str
    started: datetime
    seconds: float = 0.0
    interruptions: int = 0
    rounds: int = 0
    backups: int = 0
    backups_failed: int = 0
    restores: dict[BackupAge, int] = {}
    expired: int = 0
    deleted: int = 0
    problems: int = 0
    described: list[str] = []

    def problem(self, text: str) -> None:
        """Count a problem, and describe it while there are few."""
        self.problems += 1
        if len(self.described) < DESCRIBED:
            self.described.append(f"round {self.rounds}: {text}")

    def line(self, hours: float) -> str:
        done, whole = (timedelta(seconds=round(seconds)) for seconds in (self.seconds, hours * 3600))
        restores = sum(self.restores.values())
        return (
            f"{done} of {whole}: {self.backups} backups ({self.backups_failed} failed), {restores} restores, "
            f"{self.deleted} of {self.expired} expired ones deleted, {self.problems} problems"
        )

    def save(self, path: Path) -> None:
        """Write the state, whole or not at all."""
        write_whole(path, self.model_dump_json(indent=1) + "\n")


def resume(path: Path, cluster: str, hours: float) -> Soak:
    """The unfinished soak at *path*, or a new one; Refusal when the file is unreadable or of another cluster."""
    found = read_state(path, Soak, "the state of the soak", "remove it to start a new soak")
    if found and found.cluster != cluster:
        raise Refusal(f"the state of the soak {path} is of another cluster: remove it to start a new soak")
    if found is None or found.seconds >= hours * 3600:
        return Soak(cluster=cluster, started=datetime.now(UTC))
    found.interruptions += 1
    return found
