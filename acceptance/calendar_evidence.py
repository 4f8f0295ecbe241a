"""NFR-RELIABILITY-001, passive: the runs that the deployed schedule made by itself in the last 30 days."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from acceptance import ledger
from acceptance.checks.reliability import TICK, Rate, Run, Trial, allowed_failures, due_count, table, trials
from acceptance.checks.retention import seconds_of
from acceptance.drivers.kinds import NAMESPACE, Json, labels_of, name_of, time_of
from acceptance.drivers.kubernetes import Kubernetes
from acceptance.ledger import Look
from acceptance.naming import RUN_LABEL

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


def look(kubernetes: Kubernetes, schedule: Json, backups: Sequence[Json], now: datetime) -> Look:
    """What can be seen of *schedule* in its *backups*; runs that a scenario brought about are left out."""
    runs = tuple(Run.of(backup) for backup in backups if RUN_LABEL not in labels_of(backup))
    known = [time_of(schedule["metadata"]["creationTimestamp"]), *(run.created - TICK for run in runs)]
    kept = timedelta(seconds=seconds_of(schedule["spec"]["template"].get("ttl") or DEFAULT_TTL))
    cluster = kubernetes.require(NAMESPACE, "kube-system")["metadata"]["uid"]
    return Look(cluster, name_of(schedule), max(min(known), now - kept), now, runs)


def calendar(path: Path, cron: str, seen: Look) -> Calendar:
    """Enter what was seen into the ledger at *path*, and judge the window by all that is in it."""
    kept = ledger.update(path, seen)
    running = [run for run in seen.runs if not run.finished]
    return judge(cron, [*kept.runs.values(), *running], since=max(kept.since, seen.at - WINDOW), until=seen.at)


def judge(cron: str, runs: Sequence[Run], *, since: datetime, until: datetime) -> Calendar:
    """The window between two moments."""
    return Calendar(cron, since, until, trials(cron, runs, since=since, until=until))
