"""Which runs count as failures, what a rate proves, and the ledger that carries the runs from one day to the next."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from velero_acceptance.checks.reliability import run_history
from velero_acceptance.checks.reliability.rates import Rate, ScheduleRun, allowed_failures, due_count, table, trials
from velero_acceptance.checks.reliability.run_history import ScheduleObservation
from velero_acceptance.core.errors import Refusal

DAILY = "0 2 * * *"
MONTH = timedelta(days=30)
NOW = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)


def run(day: int, phase: str = "Completed", *, seconds: int = 20, uid: str = "") -> ScheduleRun:
    made = datetime(2026, 11, day, 2, 0, tzinfo=UTC) + timedelta(seconds=seconds)
    return ScheduleRun(uid=uid or f"u{day}", name=f"daily-{made:%Y%m%d%H%M%S}", created=made, phase=phase)


def month(**changes: str) -> list[ScheduleRun]:
    """A run for each day of the month, with other phases for the days named d1, d2, …"""
    return [run(day, changes.get(f"d{day}", "Completed")) for day in range(1, 31)]


def judged(runs: list[ScheduleRun]) -> Rate:
    return Rate.of(trials(DAILY, runs, since=NOW - MONTH, until=NOW))


# -- trials ---------------------------------------------------------------------------------


def test_a_month_without_a_failure() -> None:
    assert judged(month()) == Rate(30, 30)


@pytest.mark.parametrize("phase", ["FailedValidation", "Failed", "PartiallyFailed"])
def test_failures_of_all_kinds_count(phase: str) -> None:
    assert judged(month(d7=phase)) == Rate(29, 30)


def test_a_run_that_never_came_counts() -> None:
    found = trials(DAILY, [r for r in month() if r.name != run(7).name], since=NOW - MONTH, until=NOW)
    assert Rate.of(found) == Rate(29, 30)
    assert [trial.line() for trial in found if not trial.succeeded] == ["2026-11-07 02:00 UTC  missed            "]


def test_a_run_that_came_late_is_the_one_of_its_day() -> None:
    assert judged([*(r for r in month() if r != run(7)), run(7, seconds=5 * 3600)]) == Rate(30, 30)


def test_the_first_run_of_a_day_decides_and_the_others_are_told() -> None:
    found = trials(DAILY, [run(7, "Failed"), run(7, seconds=900, uid="again")], since=run(7).created, until=NOW)
    assert found[0].outcome == "missed"  # the runs are of the time before the window
    (first, *_) = trials(DAILY, [run(7, "Failed"), run(7, seconds=900)], since=run(6).created, until=run(8).created)
    assert (first.outcome, first.more) == ("Failed", 1)
    assert first.line().endswith("20 s later, and 1 more")


@pytest.mark.parametrize("phase", ["", "New", "InProgress", "Finalizing"])
def test_a_run_at_work_is_not_judged_yet(phase: str) -> None:
    assert judged(month(d30=phase)) == Rate(29, 29)


def test_a_time_that_has_only_just_passed_is_not_missed_yet() -> None:
    due = datetime(2026, 11, 30, 2, 0, tzinfo=UTC)
    for seconds, outcomes in ((10, []), (64, []), (65, ["missed"])):
        found = trials(DAILY, [], since=due - timedelta(hours=1), until=due + timedelta(seconds=seconds))
        assert [trial.outcome for trial in found] == outcomes


def test_without_a_due_time_there_is_no_trial() -> None:
    found = trials(DAILY, [], since=NOW, until=NOW + timedelta(hours=1))
    assert (found, table(found)) == ([], "the schedule was not due")


def test_how_often_a_schedule_is_due() -> None:
    assert due_count(DAILY, NOW - MONTH, NOW) == 30
    assert due_count("* * * * *", NOW, NOW + timedelta(minutes=3)) == 3


# -- what a rate proves ---------------------------------------------------------------------


def test_59_runs_without_a_failure_prove_95_percent_and_58_do_not() -> None:
    assert Rate(58, 58).lower_bound < 95 <= Rate(59, 59).lower_bound
    assert (Rate(0, 0).still_needed(95), Rate(58, 58).still_needed(95), Rate(59, 59).still_needed(95)) == (59, 1, 0)


@pytest.mark.parametrize(
    ("succeeded", "total", "bound"), [(0, 0, 0.0), (0, 5, 0.0), (1, 1, 5.0), (30, 30, 90.50), (29, 30, 85.14)]
)
def test_the_lower_bound_is_the_exact_one(succeeded: int, total: int, bound: float) -> None:
    """As in tables of Clopper and Pearson; of n successes in a row it is the n-th root of 0.05."""
    assert Rate(succeeded, total).lower_bound == pytest.approx(bound, abs=0.01)


def test_after_a_failure_more_runs_are_needed() -> None:
    assert Rate(92, 93).still_needed(95) == 0
    assert Rate(91, 92).still_needed(95) == 1
    assert Rate(28, 30).still_needed(95) > Rate(29, 30).still_needed(95) > Rate(30, 30).still_needed(95) == 29


def test_the_sentence_says_what_is_not_proved() -> None:
    assert Rate(0, 0).sentence(95) == "no run yet; 59 in a row without a failure would prove 95 %"
    assert "above 90.5 %; 29 more without a failure would prove 95 %" in Rate(30, 30).sentence(95)
    assert Rate(60, 60).sentence(95).endswith("this proves 95 %")


@pytest.mark.parametrize(("count", "allowed"), [(0, 0), (19, 0), (20, 1), (30, 1), (40, 2), (720, 36)])
def test_how_many_of_the_runs_may_fail(count: int, allowed: int) -> None:
    assert allowed_failures(count, 95) == allowed


# -- the ledger -----------------------------------------------------------------------------


def look(
    *runs: ScheduleRun, since: datetime = NOW - MONTH, at: datetime = NOW, cluster: str = "c1"
) -> ScheduleObservation:
    return ScheduleObservation(cluster, "daily", since, at, runs)


def test_runs_stay_when_the_cluster_has_forgotten_them(tmp_path: Path) -> None:
    path = tmp_path / "folder/ledger.json"
    run_history.update(path, look(run(1), run(2, "Failed")))
    found = run_history.update(path, look(run(3), since=NOW - timedelta(days=1), at=NOW + timedelta(hours=1)))
    assert {entry.phase for entry in found.runs.values()} == {"Completed", "Failed"}
    assert sorted(found.runs) == ["u1", "u2", "u3"]
    assert found.since == NOW - MONTH
    assert run_history.load(path) == found


def test_a_run_is_entered_once_it_has_ended_and_then_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "ledger.json"
    assert run_history.update(path, look(run(1, "InProgress"))).runs == {}
    run_history.update(path, look(run(1, "Failed")))
    assert run_history.update(path, look(run(1, "Completed"))).runs["u1"].phase == "Failed"


def test_a_long_pause_shortens_what_the_ledger_vouches_for(tmp_path: Path) -> None:
    path = tmp_path / "ledger.json"
    run_history.update(path, look(run(1), since=NOW - MONTH, at=NOW - timedelta(days=20)))
    found = run_history.update(path, look(run(29), since=NOW - timedelta(days=3)))
    assert (found.since, sorted(found.runs)) == (NOW - timedelta(days=3), ["u1", "u29"])


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", '{"schema_version": "2"}', '{"cluster": "c1"}', "\x00", '{"schema_version": "1", "more": 1}'],
)
def test_a_damaged_ledger_is_one_sentence_and_left_as_it_is(content: str, tmp_path: Path) -> None:
    path = tmp_path / "ledger.json"
    path.write_text(content)
    with pytest.raises(Refusal, match=r"ledger\.json is damaged, or of another version: repair it or move it away"):
        run_history.update(path, look(run(1)))
    assert path.read_text() == content


def test_a_ledger_that_is_no_text_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "ledger.json"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(Refusal, match="is damaged"):
        run_history.load(path)


def test_a_ledger_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="cannot be read: Is a directory"):
        run_history.load(tmp_path)


def test_the_ledger_of_another_cluster_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger.json"
    before = run_history.update(path, look(run(1)))
    with pytest.raises(Refusal, match="of another cluster"):
        run_history.update(path, look(run(2), cluster="c2"))
    assert run_history.load(path) == before


def test_a_disk_that_is_full_costs_no_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "ledger.json"
    before = run_history.update(path, look(run(1)))

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        run_history.update(path, look(run(2)))
    assert run_history.load(path) == before
