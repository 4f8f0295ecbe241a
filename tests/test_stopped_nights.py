"""Nights that have stopped: a paused schedule, and a newest run that failed, are FAILED and not BLOCKED."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from unittest.mock import Mock

import pytest

from fixtures.environment.cluster import TargetClients
from fixtures.environment.run_scope import Scope
from fixtures.schedule.runs import LONG_AGO, ScheduleCopies, ScheduleRuns
from steps.schedule_trigger import enabled_in_utc, newest_run
from tests.fake_cluster import FakeCluster
from tests.fake_velero import NAMESPACE, named
from velero_acceptance.checks.schedule import not_running
from velero_acceptance.core.errors import AcceptanceError, Blocked, CriterionNotMet, Inconclusive
from velero_acceptance.core.waiting import WaitTimedOut
from velero_acceptance.drivers import kinds
from velero_acceptance.drivers.kinds import Json, stamp, time_of
from velero_acceptance.drivers.velero import SCHEDULE_LABEL, Velero
from velero_acceptance.evidence.recorder import Evidence

MakeEvidence = Callable[..., Evidence]


def schedule(phase: str = "Enabled", *, paused: bool = False, errors: list[str] | None = None) -> Json:
    spec = {"schedule": "0 2 * * *", "template": {}, "paused": paused}
    return {"metadata": named("daily"), "spec": spec, "status": {"phase": phase, "validationErrors": errors or []}}


@pytest.mark.parametrize(
    ("deployed", "says"),
    [
        (schedule(paused=True), "the Schedule daily is paused: it has no next run"),
        (schedule("FailedValidation", errors=["invalid schedule: x"]), "is FailedValidation: invalid schedule: x"),
        (schedule(""), "is not enabled"),
    ],
)
def test_a_schedule_without_a_next_run_is_failed(
    target: TargetClients, make_evidence: MakeEvidence, deployed: Json, says: str
) -> None:
    with pytest.raises(CriterionNotMet, match=says):
        enabled_in_utc(target.velero, deployed, make_evidence("AC-005-01"))


def test_an_enabled_schedule_is_not(cluster: FakeCluster, target: TargetClients, make_evidence: MakeEvidence) -> None:
    cluster.log_texts["velero-1"] = 'time="2026-11-23T16:27:08Z" level=info msg="x"'
    evidence = make_evidence("AC-005-01")
    assert enabled_in_utc(target.velero, schedule(), evidence) and not evidence.record.measurements
    assert not_running(schedule()) == ""


def test_a_copy_of_a_paused_schedule_runs(target: TargetClients, scope: Scope, cluster: FakeCluster) -> None:
    copies = ScheduleCopies(target.velero, schedule(paused=True), scope)
    copy = copies.make("copy", last=LONG_AGO, namespace="source")
    paused = copies.make("paused", last=LONG_AGO, namespace="source", paused=True)
    found = [cluster.require(kinds.SCHEDULE, one.name, NAMESPACE)["spec"]["paused"] for one in (copy, paused)]
    assert found == [False, True]


def test_a_schedule_that_does_not_fire_is_not_left_due(
    target: TargetClients, scope: Scope, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployed = schedule()
    deployed["status"]["lastBackup"] = stamp(datetime.now(UTC))
    cluster.put(kinds.SCHEDULE, deployed, NAMESPACE)
    late = WaitTimedOut("the schedule makes a backup", "not seen", elapsed=75, attempts=1, last=[])
    monkeypatch.setattr(Velero, "wait_scheduled", Mock(side_effect=late))
    runs = ScheduleRuns(target.velero, "daily", scope)
    with pytest.raises(WaitTimedOut):
        runs.follow(runs.make_due())
    last = time_of(cluster.require(kinds.SCHEDULE, "daily", NAMESPACE)["status"]["lastBackup"])
    assert datetime.now(UTC) - last < timedelta(minutes=1), "a run would come when nobody waits for it"


def night(day: int, phase: str) -> Json:
    at = f"2026-11-{day}T02:00:00Z"
    metadata = {**named(f"daily-{day}"), "creationTimestamp": at, "labels": {SCHEDULE_LABEL: "daily"}}
    return {
        "metadata": metadata,
        "status": {"phase": phase, "startTimestamp": at, "completionTimestamp": at, "errors": 3},
    }


@pytest.mark.parametrize(
    ("nights", "newest"),
    [
        ([night(21, "Completed"), night(22, "PartiallyFailed"), night(23, "PartiallyFailed")], None),
        ([night(22, "Completed"), night(23, "Failed")], None),
        ([night(21, "PartiallyFailed"), night(22, "Completed")], "daily-22"),
        ([night(22, "Completed"), night(23, "InProgress")], "daily-22"),
    ],
)
def test_the_newest_run_is_judged_and_not_the_last_good_one(
    cluster: FakeCluster, target: TargetClients, make_evidence: MakeEvidence, nights: list[Json], newest: str | None
) -> None:
    for one in nights:
        cluster.put(kinds.BACKUP, one)
    if newest is None:
        with pytest.raises(AcceptanceError, match=r"daily-23 ended (Partially)?Failed, not Completed") as raised:
            newest_run(target.velero, schedule(), make_evidence("AC-006-01"))
        assert not isinstance(raised.value, Blocked | Inconclusive)
    else:
        assert newest_run(target.velero, schedule(), make_evidence("AC-006-01")).name == newest
