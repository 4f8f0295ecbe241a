"""What can be seen of the deployed schedule's own runs, and what the last 30 days allow."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest

from velero_acceptance.checks.reliability.rates import ScheduleRun
from velero_acceptance.checks.reliability.run_history import Calendar, calendar, judge, observe
from velero_acceptance.core.naming import RUN_LABEL
from velero_acceptance.drivers.kinds import Json, Kind
from velero_acceptance.drivers.kubernetes import Kubernetes

CRON = "0 2 * * *"
NOW = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)


class Cluster:
    def require(self, _kind: Kind, name: str) -> Json:
        return {"metadata": {"name": name, "uid": "c1"}}


def schedule(created: datetime, ttl: str | None = None) -> Json:
    template = {} if ttl is None else {"ttl": ttl}
    stamp = f"{created:%Y-%m-%dT%H:%M:%SZ}"
    return {"metadata": {"name": "daily", "creationTimestamp": stamp}, "spec": {"template": template}}


def backup(day: int, phase: str = "Completed", **labels: str) -> Json:
    made = f"2026-11-{day:02}T02:00:20Z"
    metadata = {"name": f"daily-{day}", "uid": f"u{day}", "creationTimestamp": made, "labels": labels}
    return {"metadata": metadata, "status": {"phase": phase}}


def seen(backups: list[Json], *, created: datetime, ttl: str | None = None, path: Path) -> Calendar:
    found = observe(cast(Kubernetes, Cluster()), schedule(created, ttl), backups, NOW)
    return calendar(path, CRON, found)


LONG_AGO = NOW - timedelta(days=300)


def test_a_month_of_nights(tmp_path: Path) -> None:
    found = seen([backup(day) for day in range(1, 31)], created=LONG_AGO, path=tmp_path / "l.json")
    assert (found.rate.succeeded, found.rate.total, found.above_allowance(95)) == (30, 30, 0)
    assert found.observed == timedelta(days=30)
    assert "30 of 30 runs succeeded; at 95 % confidence the rate is above 90.5 %" in found.table(95)


@pytest.mark.parametrize(("failed", "above"), [(1, 0), (2, 1), (5, 4)])
def test_of_thirty_runs_one_may_fail(failed: int, above: int, tmp_path: Path) -> None:
    backups = [backup(day, "Failed" if day <= failed else "Completed") for day in range(1, 31)]
    assert seen(backups, created=LONG_AGO, path=tmp_path / "l.json").above_allowance(95) == above


def test_two_failures_in_the_first_days_already_are_too_many(tmp_path: Path) -> None:
    backups = [backup(29, "Failed"), backup(30, "PartiallyFailed")]
    found = seen(backups, created=NOW - timedelta(days=2), path=tmp_path / "l.json")
    assert (found.rate.total, found.above_allowance(95)) == (2, 1)


def test_runs_that_never_came_count_from_when_the_schedule_is_known(tmp_path: Path) -> None:
    found = seen([backup(30)], created=NOW - timedelta(days=4), path=tmp_path / "l.json")
    assert (found.rate.succeeded, found.rate.total, found.above_allowance(95)) == (1, 4, 2)


def test_a_new_schedule_has_nothing_to_show_and_nothing_to_fear(tmp_path: Path) -> None:
    found = seen([], created=NOW - timedelta(hours=1), path=tmp_path / "l.json")
    assert (found.rate.total, found.above_allowance(95)) == (0, 0)
    assert found.observed == timedelta(hours=1)


def test_runs_that_a_scenario_brought_about_do_not_count(tmp_path: Path) -> None:
    backups = [backup(30, "Failed", **{RUN_LABEL: "some-run"})]
    found = seen(backups, created=NOW - timedelta(hours=1), path=tmp_path / "l.json")
    assert found.rate.total == 0


def test_a_schedule_that_was_made_anew_is_known_since_its_first_run(tmp_path: Path) -> None:
    backups = [backup(28), backup(29), backup(30)]
    found = seen(backups, created=NOW - timedelta(hours=1), path=tmp_path / "l.json")
    assert (found.rate.succeeded, found.rate.total) == (3, 3)


def test_before_backups_are_deleted_nothing_is_known(tmp_path: Path) -> None:
    """A cluster that keeps backups for three days says nothing of the days before."""
    backups = [backup(day) for day in (28, 29, 30)]
    found = seen(backups, created=LONG_AGO, ttl="72h0m0s", path=tmp_path / "l.json")
    assert (found.rate.total, found.observed) == (3, timedelta(days=3))


def test_with_the_ledger_more_is_known(tmp_path: Path) -> None:
    path = tmp_path / "l.json"
    early = observe(
        cast(Kubernetes, Cluster()),
        schedule(LONG_AGO, "72h0m0s"),
        [backup(26, "Failed"), backup(27)],
        NOW - timedelta(days=3),
    )
    calendar(path, CRON, early)
    found = seen([backup(day) for day in (28, 29, 30)], created=LONG_AGO, ttl="72h0m0s", path=path)
    assert [trial.outcome for trial in found.trials] == ["missed", "Failed", *["Completed"] * 4]


def test_a_run_at_work_is_waited_for(tmp_path: Path) -> None:
    found = seen([backup(30, "InProgress")], created=NOW - timedelta(days=1), path=tmp_path / "l.json")
    assert found.rate.total == 0


def test_a_window_is_judged_by_its_cron() -> None:
    run = ScheduleRun(uid="u", name="n", created=NOW, phase="Completed")
    found = judge("0 12 * * *", [run], since=NOW - timedelta(hours=25), until=NOW + timedelta(hours=1))
    assert [trial.outcome for trial in found.trials] == ["missed", "Completed"]
