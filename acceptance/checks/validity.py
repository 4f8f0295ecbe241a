"""Whether a BackupStorageLocation was validated in every period."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

# Velero looks every 10 s which locations are due (bslValidationEnqueuePeriod), and stamps whole seconds.
TICK = timedelta(seconds=10)
ROUNDING = timedelta(seconds=2)


@dataclass(frozen=True)
class Validation:
    """A validation that was seen: Velero's own time stamp and the phase it came to."""

    at: datetime
    phase: str


@dataclass(frozen=True)
class Validity:
    """What was seen of a location: how many periods passed, and how many without being called available."""

    periods: int
    missed: int
    longest: timedelta


def judge(validations: Sequence[Validation], frequency: timedelta) -> Validity:
    """Count the periods between successive validations, and those that were late or did not say Available."""
    allowed = frequency + TICK + ROUNDING
    gaps = [later.at - earlier.at for earlier, later in pairwise(validations)]
    late = sum(max(0, -(-gap // allowed) - 1) for gap in gaps)
    unavailable = sum(validation.phase != "Available" for validation in validations)
    return Validity(len(gaps), late + unavailable, max(gaps, default=timedelta(0)))
