"""The soak: what is done in each of its rounds, and how far it came, kept so that it goes on after an interruption.

A round is a minute: one backup by the schedule; in some rounds one restore; what is more than the backups to keep
expires. So the load does not grow, however long it takes.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from velero_acceptance.checks.reliability.run_history import write_whole
from velero_acceptance.core.errors import Refusal

# How many finished backups stay, and in which of the rounds one of them is restored.
KEEP = 4
RESTORE_EVERY = 3
# What is written anew for each round, and for how many rounds it stays.
BYTES = 2_000_000
ROUNDS_OF_DATA = 3
# More are counted, and no longer described.
DESCRIBED = 100


class Sample(StrEnum):
    """Which backup is restored."""

    LATEST = "latest"
    OLDER = "older"


@dataclass(frozen=True)
class Actions:
    """What a round does beside its backup: restore the kept backup *restore* (counted from the oldest), expire some."""

    sample: Sample | None
    restore: int | None
    expire: int


def actions(number: int, kept: int, seed: str) -> Actions:
    """What round *number* (from 0) does with *kept* finished backups: the same for the same seed."""
    expire = max(0, kept - KEEP)
    left = kept - expire
    if left == 0 or number % RESTORE_EVERY != RESTORE_EVERY - 1:
        return Actions(None, None, expire)
    older = (number // RESTORE_EVERY) % 2 == 1 and left > 1
    chosen = random.Random(f"{seed} {number}").randrange(left - 1) if older else left - 1
    return Actions(Sample.OLDER if older else Sample.LATEST, expire + chosen, expire)


class Soak(BaseModel):
    """How far a soak came on one cluster. *seconds* is the time it was at work."""

    model_config = ConfigDict(extra="forbid")

    schema_version: Literal["1"] = "1"
    cluster: str
    started: datetime
    seconds: float = 0.0
    interruptions: int = 0
    rounds: int = 0
    backups: int = 0
    backups_failed: int = 0
    restores: dict[Sample, int] = {}
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
        """The state in one line."""
        done, whole = (timedelta(seconds=round(seconds)) for seconds in (self.seconds, hours * 3600))
        restores = sum(self.restores.values())
        return (
            f"{done} of {whole}: {self.backups} backups ({self.backups_failed} failed), {restores} restores, "
            f"{self.deleted} of {self.expired} expired ones deleted, {self.problems} problems"
        )

    def save(self, path: Path) -> None:
        """Write the state, whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, self.model_dump_json(indent=1))


def resume(path: Path, cluster: str, hours: float) -> Soak:
    """The soak at *path* that was interrupted, or a new one: also after one that came to its end.

    Raises Refusal when the file cannot be read, or is of another cluster.
    """
    new = Soak(cluster=cluster, started=datetime.now(UTC))
    try:
        found = Soak.model_validate_json(path.read_text())
    except FileNotFoundError:
        return new
    except OSError as error:
        raise Refusal(f"the state of the soak {path} cannot be read: {error.strerror}") from None
    except (ValidationError, UnicodeDecodeError):
        raise Refusal(f"the state of the soak {path} is damaged: remove it, and the soak begins anew") from None
    if found.cluster != cluster:
        raise Refusal(f"the state of the soak {path} is of another cluster: remove it, and the soak begins anew")
    if found.seconds >= hours * 3600:
        return new
    found.interruptions += 1
    return found
