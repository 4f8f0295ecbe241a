"""AC-003-01: how soon Velero starts a backup that had to wait for another."""

from __future__ import annotations

from acceptance.drivers.velero import Operation


def held_up(first: Operation, second: Operation) -> float:
    """Seconds from the end of *first* to the start of *second*, in the whole seconds of Velero's own times."""
    return max(0.0, (second.started - first.finished).total_seconds())


def of_the_second(first: Operation, second: Operation) -> float:
    """Seconds to the start of *second*, not counting its wait for *first*.

    Velero up to 1.17 takes it up when *first* has ended. 1.18 has a queue: it counts from when it left that, which may
    be a minute after the end of *first* (E-50).
    """
    if second.left_queue is None:
        return held_up(first, second)
    return second.seconds_to("InProgress") - second.left_queue
