"""AC-003-01: how soon Velero starts a backup that had to wait for another."""

from __future__ import annotations

from acceptance.drivers.velero import Operation
from acceptance.errors import AcceptanceError


def held_up(first: Operation, second: Operation) -> float:
    """Seconds from the end of *first* to the start of *second*, in the whole seconds of Velero's own times."""
    return max(0.0, (second.started - first.finished).total_seconds())


def of_the_second(first: Operation, second: Operation, *, patience: float) -> float:
    """Seconds to the start of *second*, not counting its wait for *first*.

    Velero up to 1.17 takes it up when *first* has ended. 1.18 has a queue: it counts from when it left that, which may
    be a minute after the end of *first* (E-50). AcceptanceError when it is more than *patience* in seconds.
    """
    if second.left_queue is None:
        return held_up(first, second)
    if (seconds := held_up(first, second)) > patience:
        raise AcceptanceError(f"{second.name} was left in the queue for {seconds:.0f} s after {first.name} had ended")
    return second.seconds_to("InProgress") - second.left_queue
