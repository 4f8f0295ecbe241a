"""The deployed schedule and copies of it, made due by moving their last run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pytest_bdd import given, parsers, then, when

from fixtures.environment.run_scope import Scope
from fixtures.environment.velero_health import VeleroHealth
from fixtures.schedule.cron_timing import CronRun, CronTiming
from fixtures.schedule.runs import JUST_NOW, LAST_RUN, LONG_AGO, ScheduleCopies, ScheduleCopy, ScheduleRuns, ago
from velero_acceptance.checks.schedule import daily_at, due_times, is_run_of
from velero_acceptance.core.errors import Inconclusive
from velero_acceptance.core.naming import RUN_LABEL
from velero_acceptance.core.settings import Environment
from velero_acceptance.drivers.audit_log import AuditLog, Request
from velero_acceptance.drivers.kinds import BACKUP, Json, name_of
from velero_acceptance.drivers.velero import SCHEDULE_LABEL, Operation, Velero
from velero_acceptance.evidence.recorder import Evidence

DESIGN_HOUR = 2
DESIGN_RUNS = 5


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
    evidence.measure("next_runs_matching", same, artefact="\n".join(map(str, deployed)))


@when("the one that is set right has run", target_fixture="punctual")
def right_has_run(cron_timing: CronTiming) -> CronRun:
    return cron_timing.result()[0]


@when("the one that is set too early has run", target_fixture="punctual")
def wrong_has_run(cron_timing: CronTiming) -> CronRun:
    return cron_timing.result()[1]


@then("it ran in time, and not before its minute, though Velero had looked at it")
def ran_in_time(punctual: CronRun, evidence: Evidence) -> None:
    """Nothing is moved here: this is the time between a real minute and Velero's own look."""
    evidence.observe("looked at before its minute", (punctual.due - punctual.checked_at).total_seconds(), "s")
    evidence.measure("runs_not_due", len(punctual.premature), artefact=punctual.table())
    delay = (punctual.created[0] - punctual.due).total_seconds()
    evidence.measure("trigger_delay", delay, artefact=punctual.table())


@then("the suite calls it early")
def called_early(punctual: CronRun, evidence: Evidence) -> None:
    evidence.expect_violation("runs_not_due", len(punctual.premature), artefact=punctual.table())


@dataclass(frozen=True)
class ThreeCopies:
    """Three copies of the deployed schedule."""

    due: ScheduleCopy
    paused: ScheduleCopy
    premature: ScheduleCopy


@given(parsers.parse("three copies of the deployed schedule{which}"), target_fixture="three")
def three_copies(scope: Scope, schedule_copies: ScheduleCopies, evidence: Evidence, which: str) -> ThreeCopies:
    """Due, due but paused, and not due; or all of them due.

    Paused and early first: had they wanted to run, they would have before the due one did.
    """
    evidence.accelerate(LAST_RUN)
    namespace, all_due = scope.namespace("source"), "all of them" in which
    paused = schedule_copies.make("paused", last=LONG_AGO, namespace=namespace, paused=not all_due)
    early = schedule_copies.make("early", last=LONG_AGO if all_due else JUST_NOW, namespace=namespace)
    return ThreeCopies(schedule_copies.make("due", last=LONG_AGO, namespace=namespace), paused, early)


@then("only the one that is due makes a backup")
def only_due_fires(three: ThreeCopies, evidence: Evidence) -> None:
    run, seconds = three.due.follow(set())
    evidence.measure("trigger_delay", seconds)
    others = [*three.paused.runs(), *three.premature.runs()]
    evidence.measure("runs_not_due", len(others), artefact=f"{run.name} ran; {len(others)} others")
    evidence.expect_violation(
        "trigger_delay", None, artefact=f"{three.paused.name} and {three.premature.name} made no backup"
    )


@given(parsers.parse('a copy of the deployed schedule for "{alias}"'), target_fixture="copy")
def copy_for(scope: Scope, schedule_copies: ScheduleCopies, alias: str) -> ScheduleCopy:
    """Not due yet."""
    return schedule_copies.make("copy", last=JUST_NOW, namespace=scope.name(alias))


@given(parsers.parse('a paused copy of the deployed schedule for "{alias}" that missed {what}'), target_fixture="copy")
def paused_copy(
    scope: Scope, schedule_copies: ScheduleCopies, evidence: Evidence, alias: str, what: str
) -> ScheduleCopy:
    """*what*: its time, or nothing."""
    evidence.accelerate(LAST_RUN)
    last = LONG_AGO if what == "its time" else JUST_NOW
    return schedule_copies.make("copy", last=last, namespace=scope.name(alias), paused=True)


@when("the copy is unpaused", target_fixture="changed")
def unpaused(copy: ScheduleCopy) -> datetime:
    copy.edit(paused=False)
    return datetime.now(UTC)


@when("the copy is edited to a time that has passed since its last run", target_fixture="changed")
def edited(copy: ScheduleCopy, evidence: Evidence) -> datetime:
    """Its last run was an hour ago, and a minute ago it would have been due again."""
    evidence.accelerate(LAST_RUN)
    changed = datetime.now(UTC)
    passed = changed - timedelta(minutes=1)
    copy.edit(ago(timedelta(hours=1)), schedule=f"{passed.minute} * * * *")
    return changed


@when("Velero is away while the copy is due three times", target_fixture="changed")
def away(
    scope: Scope, velero: Velero, copy: ScheduleCopy, velero_health: VeleroHealth, evidence: Evidence
) -> Iterator[datetime]:
    evidence.accelerate(LAST_RUN)
    velero_health.expect_restart()
    velero_health.allow_errors(
        r"available/unavailable/unknown: 0/0/1|is in unavailable state|failed waiting for all runnables"
    )
    velero.stop(scope.run)
    copy.edit(ago(timedelta(days=3)))
    started = datetime.now(UTC)
    velero.start()
    yield started
    velero.start()


@then("it makes up for what it missed at once, by one backup")
def made_up_once(
    scope: Scope, copy: ScheduleCopy, changed: datetime, schedule_copies: ScheduleCopies, evidence: Evidence
) -> None:
    """Looked at once more when that is done, it makes no other."""
    run, _ = copy.follow(set())
    seconds = (run.created - changed.replace(microsecond=0)).total_seconds()
    evidence.observe("from the change to the backup", seconds, "s")
    copy.edit()
    schedule_copies.wait_looked(scope.name("source"))
    made = copy.runs()
    evidence.measure("catch_up_runs", len(made), artefact="\n".join(map(name_of, made)))


@then("the suite sees that it made no backup")
def made_nothing(scope: Scope, copy: ScheduleCopy, schedule_copies: ScheduleCopies, evidence: Evidence) -> None:
    schedule_copies.wait_looked(scope.name("source"))
    made = copy.runs()
    evidence.expect_violation("catch_up_runs", len(made), artefact="\n".join(map(name_of, made)) or "no backup")


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
    evidence.measure("runs_not_by_velero", _by_others(requests, velero), artefact=f"{scheduled_run.name}: {requests}")


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
    evidence.expect_violation("runs_not_by_velero", _by_others(requests, velero), artefact=f"{backup.name}: {requests}")


def _by_others(requests: list[Request], velero: Velero) -> int:
    """1 unless the object was made once, by a service account of Velero's namespace."""
    own = f"system:serviceaccount:{velero.namespace}:"
    return int(len(requests) != 1 or not requests[0].user.startswith(own))
