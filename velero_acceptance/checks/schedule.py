"""AC-005, AC-006-01: when a schedule is due, which namespaces its backups contain, and how long they are kept."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from croniter import croniter

from velero_acceptance.drivers.kinds import Json, labels_of, name_of, phase_of, time_of
from velero_acceptance.drivers.velero import SCHEDULE_LABEL

ZONE = re.compile(r"^(?:CRON_)?TZ=(\S+)\s+")
DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


def due(cron: str, after: datetime) -> Iterator[datetime]:
    """The times that *cron* is due, in the time zone of *after*; raises ValueError for an invalid cron expression.

    As Velero reads it (robfig/cron): ``CRON_TZ=`` or ``TZ=`` may name another time zone, and ``?`` is ``*``.
    """
    zone = ZONE.match(cron)
    expression = ZONE.sub("", cron).replace("?", "*")
    try:
        place = ZoneInfo(zone[1]) if zone else after.tzinfo
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError(f"{cron!r} names no time zone") from None
    if not croniter.is_valid(expression):
        raise ValueError(f"{cron!r} is no cron expression")
    return (
        found.astimezone(after.tzinfo) for found in croniter(expression, after.astimezone(place)).all_next(datetime)
    )


def due_times(cron: str, after: datetime, count: int) -> list[datetime]:
    """The next *count* times that *cron* is due; raises ValueError as :func:`due`."""
    return list(islice(due(cron, after), count))


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


def not_running(schedule: Json) -> str:
    """Why a Schedule has no next run; empty when it has one."""
    if schedule["spec"].get("paused"):
        return "is paused"
    phase = phase_of(schedule)
    errors = "; ".join((schedule.get("status") or {}).get("validationErrors") or [])
    return "" if phase == "Enabled" else f"is {phase or 'not enabled'}{f': {errors}' if errors else ''}"


def namespaces_in(resource_list: Mapping[str, Sequence[str]]) -> set[str]:
    """The namespaces of the objects in a backup's resource list (``-resource-list.json.gz``)."""
    found = {name.partition("/")[0] for names in resource_list.values() for name in names if "/" in name}
    return found | set(resource_list.get("v1/Namespace", []))


def namespaces_archived(members: Iterable[str]) -> set[str]:
    """The namespaces of the objects in a backup's archive, by its members (``resources/*/namespaces/*/*``)."""
    parts = (name.removeprefix("./").split("/") for name in members)
    paths = [path for path in parts if path[0] == "resources" and path[-1].endswith(".json")]
    objects = {path[path.index("namespaces", 2) + 1] for path in paths if "namespaces" in path[2:-1]}
    return objects | {path[-1].removesuffix(".json") for path in paths if path[1] == "namespaces"}


def missing(wanted: Collection[str], held: Collection[str]) -> list[str]:
    """Namespaces that the backup should contain and does not: absent, or excluded by a label, without an error."""
    return sorted(set(wanted) - set(held))


def unexpected(wanted: Collection[str], held: Collection[str]) -> list[str]:
    """Namespaces that the backup contains and should not."""
    return sorted(set(held) - set(wanted))


def seconds_of(duration: str) -> float:
    """A Go duration such as ``720h0m0s`` in seconds; raises ValueError for anything else."""
    parts = DURATION.findall(duration)
    if not parts or "".join(number + unit for number, unit in parts) != duration:
        raise ValueError(f"{duration!r} is no duration")
    return sum(float(number) * SECONDS[unit] for number, unit in parts)


def retention(backup: Json) -> float:
    """Seconds that the backup is to be kept, by ``spec.ttl``; 0 without one."""
    ttl = backup["spec"].get("ttl")
    return seconds_of(ttl) if ttl else 0.0


def expiration_error(backup: Json) -> float:
    """Seconds between the expiration and start plus TTL."""
    status = backup["status"]
    kept = (time_of(status["expiration"]) - time_of(status["startTimestamp"])).total_seconds()
    return abs(kept - retention(backup))
