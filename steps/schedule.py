"""The deployed schedule and copies of it, made due by moving their last run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pytest_bdd import given, parsers, then, when

from acceptance.checks import failure
from acceptance.checks import scope as check
from acceptance.checks.schedule import daily_at, due_times, is_run_of
from acceptance.drivers.audit import AuditLog, Request
from acceptance.drivers.kinds import BACKUP, Json, name_of, phase_of
from acceptance.drivers.s3 import Bucket
from acceptance.drivers.velero import SCHEDULE_LABEL, Operation, Velero
from acceptance.evidence.recorder import Evidence, Inconclusive
from acceptance.naming import RUN_LABEL
from acceptance.settings import Environment
from acceptance.timeouts import Timeouts
from fixtures.outages import Denial
from fixtures.schedule_runs import ScheduleRuns, copied, stamp
from fixtures.scope import Scope
from fixtures.watchers import Vigil

DESIGN_HOUR = 2
DESIGN_RUNS = 5
DESIGN_NAMESPACES = ("database", "monitoring", "network")
LAST_RUN = "Schedule.status.lastBackup"


@given("the deployed schedule is enabled and its clock is UTC", target_fixture="schedule")
def enabled_in_utc(velero: Velero, deployed_schedule: Json, evidence: Evidence) -> Json:
    """Cron runs in the server's time zone: UTC unless a TZ is set, and Velero's log says which."""
    zone = velero.time_zone()
    assert zone == "UTC", f"the server's clock is {zone}"
    evidence.observe("time zone of the server", zone)
    return deployed_schedule


@when("its last run is moved to two days ago", target_fixture="known_runs")
def made_due(schedule: Json, schedule_runs: ScheduleRuns, evidence: Evidence) -> set[str]:
    evidence.accelerate(LAST_RUN)
    return schedule_runs.make_due()


@then("it makes a backup in time, with its name and label")
def fires(schedule: Json, schedule_runs: ScheduleRuns, known_runs: set[str], evidence: Evidence) -> None:
    run, seconds = schedule_runs.follow(known_runs)
    assert is_run_of(run.item, name_of(schedule)), run.item["metadata"]
    evidence.measure("trigger_delay", seconds, artefact=f"{run.name}: {run.item['metadata']['labels']}")
    evidence.observe("the run ended", run.phase)


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
def three_copies(scope: Scope, velero: Velero, deployed_schedule: Json, evidence: Evidence) -> Copies:
    return _copies(scope, velero, deployed_schedule, evidence, paused=True, days_early=0)


@given("three copies of the deployed schedule, all of them due", target_fixture="copies")
def three_due_copies(scope: Scope, velero: Velero, deployed_schedule: Json, evidence: Evidence) -> Copies:
    return _copies(scope, velero, deployed_schedule, evidence, paused=False, days_early=2)


def _copies(
    scope: Scope, velero: Velero, deployed: Json, evidence: Evidence, *, paused: bool, days_early: int
) -> Copies:
    """Paused and early first: had they wanted to run, they would have before the due one did."""
    evidence.accelerate(LAST_RUN)
    spec = copied(deployed, scope.namespace("scheduled"))
    copies = Copies(*(scope.schedule_name(alias) for alias in ("due", "paused", "early")))
    for name, days, stopped in ((copies.paused, 2, paused), (copies.early, days_early, False), (copies.due, 2, False)):
        last = stamp(datetime.now(UTC) - timedelta(days=days))
        velero.create_schedule(name, labels=scope.labels, spec={**spec, "paused": stopped}, last_backup=last)
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


@when("Velero makes a run of the deployed schedule", target_fixture="backup")
@given("a run of the deployed schedule", target_fixture="scheduled_run")
def scheduled_run(schedule_runs: ScheduleRuns, evidence: Evidence) -> Operation:
    evidence.accelerate(LAST_RUN)
    return schedule_runs.run


@given("the newest run of the deployed schedule", target_fixture="scheduled_run")
def newest_run(velero: Velero, deployed_schedule: Json) -> Operation:
    """One that came about without the suite."""
    name = name_of(deployed_schedule)
    found = velero.newest_completed(f"{SCHEDULE_LABEL}={name},!{RUN_LABEL}")
    if found is None:
        raise Inconclusive(f"the schedule {name} has no completed run to look at")
    return found


@then("the API server saw Velero's own account make it, and nobody else")
def made_by_velero(scheduled_run: Operation, audit: AuditLog, velero: Velero, evidence: Evidence) -> None:
    requests = audit.creations(BACKUP, velero.namespace, scheduled_run.name)
    evidence.observe("made by", ", ".join(f"{request.user} ({request.agent})" for request in requests))
    evidence.measure("runs_by_others", _by_others(requests, velero), artefact=f"{scheduled_run.name}: {requests}")


@when(
    parsers.parse('somebody makes a backup of "{alias}" that calls itself a run of the schedule'),
    target_fixture="backup",
)
def forged(scope: Scope, velero: Velero, environment: Environment, alias: str) -> Operation:
    labels = {**scope.labels, SCHEDULE_LABEL: environment.schedule}
    return velero.backup(scope.backup_name("forged"), labels=labels, includedNamespaces=[scope.name(alias)])


@then("it is seen not to be Velero's")
def forgery_seen(backup: Operation, audit: AuditLog, velero: Velero, evidence: Evidence) -> None:
    requests = audit.creations(BACKUP, velero.namespace, backup.name)
    evidence.refute("runs_by_others", _by_others(requests, velero), artefact=f"{backup.name}: {requests}")


def _by_others(requests: list[Request], velero: Velero) -> int:
    """1 unless the object was made once, by a service account of Velero's namespace."""
    own = f"system:serviceaccount:{velero.namespace}:"
    return int(len(requests) != 1 or not requests[0].user.startswith(own))


@then("it holds the design's namespaces, and no other")
def holds_designed(scheduled_run: Operation, bucket: Bucket, environment: Environment, evidence: Evidence) -> None:
    held = _held(scheduled_run, bucket, environment)
    evidence.observe("namespaces in the run", ", ".join(sorted(held)))
    foreign, missing = check.foreign(DESIGN_NAMESPACES, held), check.missing(DESIGN_NAMESPACES, held)
    evidence.measure("foreign_namespaces", len(foreign), artefact="\n".join(foreign) or "no other")
    evidence.measure("missing_namespaces", len(missing), artefact="\n".join(missing) or "none is missing")


@when(parsers.parse('"{alias}" and a namespace that does not exist are backed up'), target_fixture="backup")
def backed_up_partly(scope: Scope, velero: Velero, vigil: Vigil, alias: str) -> Operation:
    names = [scope.name(alias), scope.name("absent")]
    vigil.allow_errors(names[1])
    return velero.backup(scope.backup_name("partly"), labels=scope.labels, includedNamespaces=names)


@then(parsers.parse('the suite names what is missing, and "{alias}" as none of the design\'s'))
def missing_named(
    scope: Scope, backup: Operation, bucket: Bucket, environment: Environment, evidence: Evidence, alias: str
) -> None:
    held = _held(backup, bucket, environment)
    missing = check.missing(backup.item["spec"]["includedNamespaces"], held)
    evidence.refute("missing_namespaces", len(missing), artefact="\n".join(missing))
    foreign = check.foreign(DESIGN_NAMESPACES, held)
    evidence.refute("foreign_namespaces", len(foreign), artefact="\n".join(foreign))
    assert (foreign, missing) == ([scope.name(alias)], [scope.name("absent")]), (foreign, missing)


def _held(backup: Operation, bucket: Bucket, environment: Environment) -> set[str]:
    key = environment.key("backups", backup.name, f"{backup.name}-resource-list.json.gz")
    return check.namespaces_in(bucket.json(key))


@given(parsers.parse('a copy of the deployed schedule for "{alias}"'), target_fixture="copy_runs")
def copy_for(scope: Scope, velero: Velero, deployed_schedule: Json, alias: str) -> ScheduleRuns:
    """Not due yet."""
    name = scope.schedule_name("copy")
    spec = copied(deployed_schedule, scope.name(alias))
    velero.create_schedule(name, labels=scope.labels, spec=spec, last_backup=stamp(datetime.now(UTC)))
    return ScheduleRuns(velero, name, scope)


@when("the copy is due", target_fixture="failed_run")
def copy_due(copy_runs: ScheduleRuns, evidence: Evidence) -> Operation:
    evidence.accelerate(LAST_RUN)
    return copy_runs.follow(copy_runs.make_due())[0]


@then("its run is Failed, the error is logged, and the copy stays enabled")
def run_failed(
    failed_run: Operation, copy_runs: ScheduleRuns, velero: Velero, vigil: Vigil, evidence: Evidence
) -> None:
    failed_run.require("Failed")
    lines = failure.logged(vigil.error_lines(), failed_run.name)
    evidence.measure("failures_not_logged", int(not lines), artefact="\n".join(lines) or "no error line names the run")
    evidence.measure("schedules_stopped", int(phase_of(velero.schedule(copy_runs.name)) != "Enabled"))


@when("S3 is back and the copy is due again", target_fixture="next_run")
def copy_due_again(copy_runs: ScheduleRuns, denial: Denial) -> Operation:
    denial.lift()
    return copy_runs.follow(copy_runs.make_due())[0]


@then("its next run is Completed, and there were no other runs")
def recovered(next_run: Operation, copy_runs: ScheduleRuns, velero: Velero, evidence: Evidence) -> None:
    runs = velero.scheduled_backups(copy_runs.name)
    evidence.measure(
        "runs_not_recovered", int(next_run.phase != "Completed"), artefact=next_run.reason() or next_run.phase
    )
    evidence.measure("runs_piled_up", len(runs) - 2, artefact="\n".join(map(name_of, runs)))


@then("the suite does not call it a recovery")
def no_recovery(backup: Operation, evidence: Evidence) -> None:
    evidence.refute("runs_not_recovered", int(backup.phase != "Completed"), artefact=backup.reason())
