"""AC-006-01: how long a backup is kept, by its TTL and by its expiration."""

from __future__ import annotations

import re

from acceptance.drivers.kinds import Json, time_of

_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


def seconds_of(duration: str) -> float:
    """A Go duration such as ``720h0m0s`` in seconds; raises ValueError for anything else."""
    parts = _PART.findall(duration)
    if not parts or "".join(number + unit for number, unit in parts) != duration:
        raise ValueError(f"{duration!r} is no duration")
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


def retention(backup: Json) -> float:
    """Seconds the backup is to be kept, by ``spec.ttl``; 0 when it has none."""
    ttl = backup["spec"].get("ttl")
    return seconds_of(ttl) if ttl else 0.0


def expiration_error(backup: Json) -> float:
    """Seconds between the expiration and start plus TTL."""
    status = backup["status"]
    kept = (time_of(status["expiration"]) - time_of(status["startTimestamp"])).total_seconds()
    return abs(kept - retention(backup))
