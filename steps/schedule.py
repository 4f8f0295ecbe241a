"""The deployed schedule and copies of it, made due by moving their last run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pytest_bdd import given, then, when

from acceptance.checks.schedule import daily_at, due_times, is_run_of
from acceptance.drivers.kinds import Json, name_of, phase_of
from acceptance.drivers.velero import Velero
from acceptance.evidence.recorder import Blocked, Evidence
from acceptance.settings import Environment
from acceptance.timeouts import Timeouts
from fixtures.scope import Scope

DESIGN_HOUR = 2
DESIGN_RUNS = 5
LAST_RUN = "Schedule.status.lastBackup"


def stamp(moment: datetime) -> str:
    """A time as the API server writes it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


@given("the deployed schedule is enabled and its clock is UTC", target_fixture="schedule")
def deployed_schedule(velero: Velero, environment: Environment, evidence: Evidence) -> Json:
    """Cron runs in the server's time zone: UTC unless a TZ is set, and Velero's log says which."""
    schedule = velero.schedule(environment.schedule)
    if phase_of(schedule) != "Enabled" or schedule["spec"].get("paused"):
        raise Blocked(f"the schedule {environment.schedule} is not enabled: {schedule.get('status')}")
    zone = velero.time_zone()
    assert zone == "UTC", f"the server's clock is {zone}"
    evidence.observe("time zone of the server", zone)
    return schedule


@when("its last run is moved to two days ago", target_fixture="known_runs")
def made_due(velero: Velero, schedule: Json, evidence: Evidence) -> set[str]:
    evidence.accelerate(LAST_RUN)
    known = {name_of(run) for run in velero.scheduled_backups(name_of(schedule))}
    velero.pretend_last_run(name_of(schedule), stamp(datetime.now(UTC) - timedelta(days=2)))
    return known


@then("it makes a backup in time, with its name and label")
def fires(scope: Scope, velero: Velero, schedule: Json, known_runs: set[str], evidence: Evidence) -> None:
    run, seconds = velero.wait_scheduled(name_of(schedule), known_runs)
    scope.made.backups.add(name_of(run))
    assert is_run_of(run, name_of(schedule)), run["metadata"]
    evidence.measure("trigger_delay", seconds, artefact=f"{name_of(run)}: {run['metadata']['labels']}")
    finished = velero.follow_backup(name_of(run))
    evidence.observe("the run ended", finished.phase)


@then("its next due times are those of the design")
def due_as_designed(schedule: Json, evidence: Evidence) -> None:
    now = datetime.now(UTC)
    deployed, designed = (
        due_times(schedule["spec"]["schedule"], now, DESIGN_RUNS),
        daily_at(DESIGN_HOUR, now, DESIGN_RUNS),
    )
    same = sum(a == b for a, b in zip(deployed, designed, strict=True))
    evidence.measure("due_times_as_designed", same, artefact="\n".join(map(str, deployed)))


@dataclass(frozen=True)
class Copies:
    """Names of three copies of the deployed schedule."""

    due: str
    paused: str
    early: str


@given("three copies of the deployed schedule: due, due but paused, and not due", target_fixture="copies")
def three_copies(scope: Scope, velero: Velero, environment: Environment, evidence: Evidence) -> Copies:
    """Paused and early first: had they wanted to run, they would have before the due one did."""
    evidence.accelerate(LAST_RUN)
    spec = velero.schedule(environment.schedule)["spec"]
    long_ago, just_now = (stamp(datetime.now(UTC) - timedelta(days=days)) for days in (2, 0))
    copies = Copies(*(scope.schedule_name(alias) for alias in ("due", "paused", "early")))
    for name, last, paused in (
        (copies.paused, long_ago, True),
        (copies.early, just_now, False),
        (copies.due, long_ago, False),
    ):
        velero.create_schedule(name, labels=scope.labels, spec={**spec, "paused": paused}, last_backup=last)
    return copies


@then("only the one that is due makes a backup")
def only_due_fires(scope: Scope, velero: Velero, copies: Copies, evidence: Evidence, timeouts: Timeouts) -> None:
    run, seconds = velero.wait_scheduled(copies.due, set())
    scope.made.backups.add(name_of(run))
    evidence.measure("trigger_delay", seconds)
    velero.follow_backup(name_of(run))
    others = [*velero.scheduled_backups(copies.paused), *velero.scheduled_backups(copies.early)]
    scope.made.backups.update(map(name_of, others))
    evidence.measure("runs_not_due", len(others), artefact=f"{name_of(run)} ran; {len(others)} others")
    evidence.refute("trigger_delay", None, artefact=f"{copies.paused} and {copies.early} made no backup")
