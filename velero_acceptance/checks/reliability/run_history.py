"""The runs of a schedule that were seen, kept across runs of the suite: calendar evidence cannot be made in a day.

One JSON file a target. It is written whole or not at all; one that cannot be read is left as it is.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from filelock import FileLock
from pydantic import BaseModel, ConfigDict, ValidationError

from velero_acceptance.checks.reliability.rates import (
    TICK,
    Rate,
    ScheduleRun,
    Trial,
    allowed_failures,
    due_count,
    table,
    trials,
)
from velero_acceptance.checks.schedule import seconds_of
from velero_acceptance.core.errors import Refusal
from velero_acceptance.core.naming import RUN_LABEL
from velero_acceptance.drivers.kinds import NAMESPACE, Json, labels_of, name_of, time_of
from velero_acceptance.drivers.kubernetes import Kubernetes


@dataclass(frozen=True)
class ScheduleObservation:
    """What was seen of a schedule *at* a moment: its runs, all of them from *since* on."""

    cluster: str
    schedule: str
    since: datetime
    at: datetime
    runs: tuple[ScheduleRun, ...]


class RunHistory(BaseModel):
    """Finished runs by their uid. *cluster* is the uid of its namespace kube-system."""

    model_config = ConfigDict(extra="forbid")

    schema_version: Literal["1"] = "1"
    cluster: str
    schedule: str
    # Between these two every run of the schedule is in here.
    since: datetime
    until: datetime
    runs: dict[str, ScheduleRun] = {}

    def merge(self, look: ScheduleObservation) -> RunHistory:
        """With what *look* saw entered; what a run ended as is never changed by a later look.

        After a pause so long that runs may have come and gone unseen, the ledger is whole only since the look.
        """
        seen = {run.uid: run for run in look.runs if run.finished}
        since = look.since if look.since > self.until else min(self.since, look.since)
        return self.model_copy(update={"runs": {**seen, **self.runs}, "since": since, "until": look.at})


def load(path: Path) -> RunHistory | None:
    """The ledger at *path*, or None when there is none; raises Refusal when it cannot be read."""
    try:
        return RunHistory.model_validate_json(path.read_text())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Refusal(f"the ledger {path} cannot be read: {error.strerror}") from None
    except (ValidationError, UnicodeDecodeError):
        raise Refusal(
            f"the ledger {path} is damaged, or of another version: mend it or move it away; it was left as it is"
        ) from None


def update(path: Path, look: ScheduleObservation) -> RunHistory:
    """Enter *look* into the ledger at *path* and return it; raises Refusal when it is of another target, or damaged."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        known = load(path) or RunHistory(cluster=look.cluster, schedule=look.schedule, since=look.since, until=look.at)
        if (known.cluster, known.schedule) != (look.cluster, look.schedule):
            raise Refusal(
                f"the ledger {path} is of the schedule {known.schedule} of another cluster: set ACCEPTANCE_LEDGER"
            )
        merged = known.merge(look)
        write_whole(path, merged.model_dump_json(indent=1))
    return merged


def write_whole(path: Path, text: str) -> None:
    """Write *text* to *path*, whole or not at all; raises OSError."""
    partial = path.with_suffix(".partial")
    with partial.open("w") as out:
        out.write(text + "\n")
        out.flush()
        os.fsync(out.fileno())
    partial.rename(path)


# NFR-RELIABILITY-001, passive: the runs that the deployed schedule made by itself in the last 30 days.


WINDOW = timedelta(days=30)
# As long as Velero keeps a backup that says nothing of it (--default-backup-ttl).
DEFAULT_TTL = "720h0m0s"


@dataclass(frozen=True)
class Calendar:
    """The trials of a window: what the schedule did between two moments."""

    cron: str
    since: datetime
    until: datetime
    trials: Sequence[Trial]

    @property
    def rate(self) -> Rate:
        return Rate.of(self.trials)

    @property
    def observed(self) -> timedelta:
        """How long the runs are known, at most the window."""
        return self.until - self.since

    def above_allowance(self, percent: float) -> int:
        """How many more runs failed than *percent* allows of all that are due in a whole window.

        Above 0 the window cannot be saved any more; 0 says little while it is short.
        """
        due = due_count(self.cron, self.until - WINDOW, self.until)
        return max(0, self.rate.failed - allowed_failures(due, percent))

    def table(self, percent: float) -> str:
        head = f"{self.since:%Y-%m-%d %H:%M} to {self.until:%Y-%m-%d %H:%M} UTC, cron {self.cron}"
        return "\n".join([head, self.rate.sentence(percent), table(self.trials)])


def observe(kubernetes: Kubernetes, schedule: Json, backups: Sequence[Json], now: datetime) -> ScheduleObservation:
    """What can be seen of *schedule* in its *backups*; runs that a scenario brought about are left out."""
    runs = tuple(ScheduleRun.of(backup) for backup in backups if RUN_LABEL not in labels_of(backup))
    known = [time_of(schedule["metadata"]["creationTimestamp"]), *(run.created - TICK for run in runs)]
    kept = timedelta(seconds=seconds_of(schedule["spec"]["template"].get("ttl") or DEFAULT_TTL))
    cluster = kubernetes.require(NAMESPACE, "kube-system")["metadata"]["uid"]
    return ScheduleObservation(cluster, name_of(schedule), max(min(known), now - kept), now, runs)


def calendar(path: Path, cron: str, seen: ScheduleObservation) -> Calendar:
    """Enter what was seen into the ledger at *path*, and judge the window by all that is in it."""
    kept = update(path, seen)
    running = [run for run in seen.runs if not run.finished]
    return judge(cron, [*kept.runs.values(), *running], since=max(kept.since, seen.at - WINDOW), until=seen.at)


def judge(cron: str, runs: Sequence[ScheduleRun], *, since: datetime, until: datetime) -> Calendar:
    """The window between two moments."""
    return Calendar(cron, since, until, trials(cron, runs, since=since, until=until))
