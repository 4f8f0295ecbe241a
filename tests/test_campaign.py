"""The plan of the accelerated runs, and what is made of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from velero_acceptance.checks.reliability.accelerated_schedule import OUTCOMES, AcceleratedRuns, Fault, Plan, plan
from velero_acceptance.checks.reliability.rates import MISSED, Trial

START = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize("runs", [6, 12, 13, 59, 100, 500])
def test_a_plan_has_the_runs_that_were_asked_for_and_every_kind_of_fault(runs: int) -> None:
    found = plan(runs, "seed")
    assert found.schedules * found.rounds >= runs
    assert set(found.faults.values()) == set(Fault)


@pytest.mark.parametrize("runs", [6, 12, 100, 500])
@pytest.mark.parametrize("seed", ["a", "b", "c"])
def test_after_every_fault_comes_a_run_without(runs: int, seed: str) -> None:
    found = plan(runs, seed)
    for schedule, number in found.faults:
        assert number + 1 < found.rounds
        assert (schedule, number + 1) not in found.faults


def test_the_plan_follows_from_the_seed_alone() -> None:
    assert plan(100, "a") == plan(100, "a") != plan(100, "b")


def test_the_faults_of_a_round() -> None:
    found = Plan(2, 3, {(0, 0): Fault.DENIED, (1, 1): Fault.PAUSED})
    assert (found.in_round(0), found.in_round(1), found.in_round(2)) == ({0: Fault.DENIED}, {1: Fault.PAUSED}, {})


def row(*outcomes: str) -> list[Trial]:
    return [Trial(START + timedelta(minutes=number), outcome) for number, outcome in enumerate(outcomes)]


def outcome(*outcomes: str, fault: Fault = Fault.DENIED) -> AcceleratedRuns:
    """Of two schedules: one without a fault, and one with *fault* in the first of its runs."""
    return AcceleratedRuns(Plan(2, 2, {(1, 0): fault}), [row("Completed", "Completed"), row(*outcomes)])


@pytest.mark.parametrize("fault", Fault)
def test_a_fault_that_shows_and_passes(fault: Fault) -> None:
    found = outcome(OUTCOMES[fault], "Completed", fault=fault)
    assert (found.not_counted(), found.not_recovered()) == ([], [])
    assert [trial.outcome for trial in found.undisturbed] == ["Completed"] * 3
    assert len(found.all) == 4
    assert f"({fault})" in found.table()


@pytest.mark.parametrize("other", ["Completed", "PartiallyFailed", MISSED])
def test_a_fault_that_does_not_show_as_what_it_is_is_named(other: str) -> None:
    (problem,) = outcome(other, "Completed").not_counted()
    assert problem.endswith(f"→ {other}, not Failed")


@pytest.mark.parametrize("other", ["Failed", "FailedValidation", MISSED])
def test_a_run_that_does_not_recover_is_named(other: str) -> None:
    assert outcome("Failed", other).not_recovered() == [f"schedule 1, round 1: {other}"]


def test_a_trial_that_is_not_there_is_no_success() -> None:
    found = outcome("Failed")
    assert found.not_recovered() == ["schedule 1, round 1: no trial"]
    assert len(found.undisturbed) == 2
