"""AC-003-01: the time of a backup that waited for another, seen to go red."""

from __future__ import annotations

import pytest

from velero_acceptance.checks import backups
from velero_acceptance.core.errors import AcceptanceError
from velero_acceptance.drivers.velero import Operation, Transition

CREATED, ENDED = "2026-11-27T02:00:00Z", "2026-11-27T02:00:20Z"
FIRST = Operation({"metadata": {"name": "first"}, "status": {"completionTimestamp": ENDED}})


def second(started: str, *said: tuple[str, float]) -> Operation:
    item = {"metadata": {"name": "second", "creationTimestamp": CREATED}, "status": {"startTimestamp": started}}
    return Operation(item, [Transition(phase, seconds) for phase, seconds in said])


@pytest.mark.parametrize(("started", "seconds"), [("2026-11-27T02:00:21Z", 1), ("2026-11-27T02:01:10Z", 50)])
def test_without_a_queue_the_time_counts_from_the_end_of_the_first(started: str, seconds: float) -> None:
    found = second(started, ("New", 0), ("InProgress", 20 + seconds))
    assert backups.of_the_second(FIRST, found, patience=40) == seconds, "the threshold judges it"


@pytest.mark.parametrize("taken_up", [20.0, 70.0])
@pytest.mark.parametrize("idle", [0.1, 40.0])
def test_with_a_queue_it_counts_from_when_it_left_that(taken_up: float, idle: float) -> None:
    said = (("Queued", 0.1), ("ReadyToStart", taken_up), ("InProgress", taken_up + idle))
    assert backups.of_the_second(FIRST, second(CREATED, *said), patience=40) == pytest.approx(idle)


def test_a_queue_that_is_left_late_is_told_of() -> None:
    late = second("2026-11-27T02:01:10Z", ("Queued", 0), ("InProgress", 70))
    assert backups.held_up(FIRST, late) == 50
    assert backups.of_the_second(FIRST, late, patience=50) == 0
    with pytest.raises(AcceptanceError, match="second was left in the queue for 50 s after first had ended"):
        backups.of_the_second(FIRST, late, patience=49)


def test_a_second_one_that_did_not_wait_was_not_held_up() -> None:
    assert backups.held_up(FIRST, second("2026-11-27T02:00:05Z", ("InProgress", 5))) == 0
