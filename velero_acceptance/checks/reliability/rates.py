"""NFR-RELIABILITY-001: which runs of a schedule succeeded, failed or were missed, and what success rate that proves.

Every time the schedule is due is one trial. It succeeded only when its first run is Completed; FailedValidation,
Failed, PartiallyFailed and no run at all are failures.
"""

import math
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise, takewhile

from pydantic import BaseModel, ConfigDict

from velero_acceptance.checks import schedule
from velero_acceptance.checks.statistics import lower_bound
from velero_acceptance.drivers.kinds import Json, name_of, phase_of, time_of
from velero_acceptance.drivers.velero import FINISHED

CONFIDENCE = 0.95
# Velero checks once a minute which schedules are due (scheduleSyncPeriod); a run is not missing before that.
TICK = timedelta(seconds=65)
SUCCESS = "Completed"
MISSED = "missed"


class ScheduleRun(BaseModel):
    """A backup that a schedule made, with its phase."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    uid: str
    name: str
    created: datetime
    phase: str

    @staticmethod
    def of(backup: Json) -> "ScheduleRun":
        metadata = backup["metadata"]
        created = time_of(metadata["creationTimestamp"])
        return ScheduleRun(uid=metadata["uid"], name=name_of(backup), created=created, phase=phase_of(backup))

    @property
    def finished(self) -> bool:
        return self.phase in FINISHED


@dataclass(frozen=True)
class Trial:
    """A time the schedule was due, its outcome (a final phase, or ``missed``), its first run, and how many more."""

    due: datetime
    outcome: str
    run: ScheduleRun | None = None
    more: int = 0

    @property
    def succeeded(self) -> bool:
        return self.outcome == SUCCESS

    def line(self) -> str:
        made = f"{self.run.name}, {(self.run.created - self.due).total_seconds():.0f} s later" if self.run else ""
        return f"{self.due:%Y-%m-%d %H:%M} UTC  {self.outcome:<16}  {made}{f', and {self.more} more' * bool(self.more)}"


def trials(
    cron: str, runs: Iterable[ScheduleRun], *, since: datetime, until: datetime, unknown: Iterable[datetime] = ()
) -> list[Trial]:
    """Every time *cron* was due after *since* and up to *until*, with its outcome.

    A run belongs to the last due time before it was made. A time whose run is in progress, or that passed less than a
    tick ago without one, is no trial yet. A time without a run is no trial either if an *unknown* run began then: one
    that was synced from the bucket, which may be another cluster's.
    """
    elsewhere = sorted(unknown)
    made, found = sorted(runs, key=lambda run: run.created), []
    for due, following in _spans(cron, since, until):
        inside = [run for run in made if due <= run.created < following]
        if not inside:
            if due + TICK <= until and not any(due <= began < following for began in elsewhere):
                found.append(Trial(due, MISSED))
        elif inside[0].finished:
            found.append(Trial(due, inside[0].phase, inside[0], len(inside) - 1))
    return found


def due_count(cron: str, since: datetime, until: datetime) -> int:
    """How many times *cron* is due after *since* and up to *until*."""
    return sum(1 for _ in _spans(cron, since, until))


def _spans(cron: str, since: datetime, until: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Each due time after *since* and up to *until*, with the one that follows it."""
    return takewhile(lambda span: span[0] <= until, pairwise(schedule.due(cron, since)))


@dataclass(frozen=True)
class Rate:
    """Successes among trials, and what they prove of the probability of success."""

    succeeded: int
    total: int

    @staticmethod
    def of(found: Sequence[Trial]) -> "Rate":
        return Rate(sum(trial.succeeded for trial in found), len(found))

    @property
    def failed(self) -> int:
        return self.total - self.succeeded

    @property
    def percent(self) -> float:
        """Share of the trials that succeeded; raises ZeroDivisionError without any."""
        return 100 * self.succeeded / self.total

    @property
    def lower_bound(self) -> float:
        """The exact (Clopper-Pearson) one-sided lower bound in percent, at 95 % confidence; 0 without a trial."""
        return 100 * lower_bound(self.succeeded, self.total, CONFIDENCE)

    def still_needed(self, percent: float) -> int:
        """How many more trials, all of them successes, raise the lower bound to *percent*; 0 if it is reached."""

        def reached(more: int) -> bool:
            return Rate(self.succeeded + more, self.total + more).lower_bound >= percent

        highest = 1
        while not reached(highest):
            highest *= 2
        return bisect_left(range(highest + 1), True, key=reached)

    def sentence(self, percent: float) -> str:
        """What the trials prove, in one sentence."""
        if self.total == 0:
            return f"no run yet; {self.still_needed(percent)} in a row without a failure would prove {percent:g} %"
        bound = f"at 95 % confidence the rate is above {self.lower_bound:.1f} %"
        more = self.still_needed(percent)
        rest = f"{more} more without a failure would prove {percent:g} %" if more else f"this proves {percent:g} %"
        return f"{self.succeeded} of {self.total} runs succeeded; {bound}; {rest}"


def allowed_failures(count: int, percent: float) -> int:
    """How many of *count* runs may fail so that *percent* succeed."""
    return math.floor(count * (100 - percent) / 100 + 1e-9)


def table(found: Sequence[Trial]) -> str:
    return "\n".join(trial.line() for trial in found) or "the schedule was not due"
