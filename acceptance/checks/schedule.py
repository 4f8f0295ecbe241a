"""AC-005-01: when a schedule is due, and whether a backup is its own."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from croniter import croniter

from acceptance.drivers.kinds import Json, labels_of, name_of
from acceptance.drivers.velero import SCHEDULE_LABEL


def due_times(cron: str, after: datetime, count: int) -> list[datetime]:
    """The next *count* times that *cron* is due; raises ValueError for a cron expression that is none."""
    if not croniter.is_valid(cron):
        raise ValueError(f"{cron!r} is no cron expression")
    times = croniter(cron, after)
    return [times.get_next(datetime) for _ in range(count)]


def daily_at(hour: int, after: datetime, count: int) -> list[datetime]:
    """The next *count* times it is *hour* o'clock in the time zone of *after*, computed without cron."""
    first = after.replace(hour=hour, minute=0, second=0, microsecond=0)
    if first <= after:
        first += timedelta(days=1)
    return [first + timedelta(days=day) for day in range(count)]


def is_run_of(backup: Json, schedule: str) -> bool:
    """Whether a backup has the name and the label of a run of *schedule*."""
    named = re.fullmatch(rf"{re.escape(schedule)}-\d{{14}}", name_of(backup))
    return bool(named) and labels_of(backup).get(SCHEDULE_LABEL) == schedule
