"""When the deployed schedule and copies of it run; they become due because their last run is moved."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from pytest_bdd import given, parsers, then, when

from fixtures.environment.phrases import Recorder, holds, phrase, violated
from fixtures.environment.run_scope import Scope
from fixtures.environment.velero_health import VeleroHealth
from fixtures.schedule.cron_timing import CronRun, CronTiming
from fixtures.schedule.runs import JUST_NOW, LAST_RUN, LONG_AGO, ScheduleCopies, ScheduleCopy, ScheduleRuns, ago
from velero_acceptance.checks.schedule import daily_at, due_times, is_run_of, not_running
from velero_acceptance.core.errors import Inconclusive
from velero_acceptance.core.naming import RUN_LABEL
from velero_acceptance.core.settings import Environment
from velero_acceptance.drivers.audit_log import AuditLog
from velero_acceptance.drivers.kinds import BACKUP, Json, name_of
from velero_acceptance.drivers.velero import SCHEDULE_LABEL, Operation, Velero, label_value
from velero_acceptance.evidence.recorder import Evidence

DESIGN_HOUR = 2
DESIGN_RUNS = 5
TIMED_COPIES = {
    "a correctly timed copy of the deployed schedule": 0,
    "a copy of the deployed schedule that is timed too early": 1,
}
DUE = {", all due": True, ": one due, one due but paused, and one not due": False}
# How long ago the last run was.
MISSED = {"its time": LONG_AGO, "nothing": JUST_NOW}


@given("the deployed schedule is enabled and Velero runs in UTC", target_fixture="schedule")
def enabled_in_utc(velero: Velero, deployed_schedule: Json, evidence: Evidence) -> Json:
    """Cron follows the time zone of the server, which its log shows: UTC unless TZ is set."""
    if problem := not_running(deployed_schedule):
        artefact = f"the Schedule {name_of(deployed_schedule)} {problem}: it has no next run"
        evidence.measure("next_runs_matching", 0, artefact=artefact)
    zone = velero.time_zone()
    assert zone == "UTC", f"the server's clock is {zone}"
    evidence.observe("time zone of the server", zone)
    return deployed_schedule


@when("the last run of the schedule is moved to two days ago", target_fixture="known_runs")
def make_due(schedule: Json, schedule_runs: ScheduleRuns, evidence: Evidence) -> set[str]:
    evidence.accelerate(LAST_RUN)
    return schedule_runs.make_due()


@then("it creates a backup in time, with the schedule's name and label")
def fires(schedule: Json, schedule_runs: ScheduleRuns, known_runs: set[str], evidence: Evidence) -> None:
    run, seconds = schedule_runs.follow(known_runs)
    assert is_run_of(run.item, name_of(schedule)), run.item["metadata"]
    evidence.measure("trigger_delay", seconds, artefact=f"{run.name}: {run.item['metadata']['labels']}")
    evidence.observe("the run ended", run.phase)


@then("its next due times match the design")
def due_as_designed(schedule: Json, evidence: Evidence) -> None:
    now = datetime.now(UTC)
    deployed = due_times(schedule["spec"]["schedule"], now, DESIGN_RUNS)
    designed = daily_at(DESIGN_HOUR, now, DESIGN_RUNS)
    same = sum(a == b for a, b in zip(deployed, designed, strict=True))
    evidence.measure("next_runs_matching", same, artefact="\n".join(map(str, deployed)))


@when(phrase("{index:Copy} has run", Copy=TIMED_COPIES), target_fixture="cron_run")
def timed_copy_has_run(cron_timing: CronTiming, index: int) -> CronRun:
    """Both copies run once a session."""
    return cron_timing.result()[index]


@then("it ran in time and not before its minute, although Velero had checked the schedule before")
def ran_in_time(cron_run: CronRun, evidence: Evidence) -> None:
    """Nothing is moved here: the delay is the time from a real minute to Velero's own check of its schedules."""
    evidence.observe("checked before its minute", (cron_run.due - cron_run.checked_at).total_seconds(), "s")
    evidence.measure("runs_not_due", len(cron_run.premature), artefact=cron_run.table())
    delay = (cron_run.created[0] - cron_run.due).total_seconds()
    evidence.measure("trigger_delay", delay, artefact=cron_run.table())


@then("the suite reports the run as premature")
def premature_reported(cron_run: CronRun, evidence: Evidence) -> None:
    evidence.expect_violation("runs_not_due", len(cron_run.premature), artefact=cron_run.table())


@when(phrase("three copies of the deployed schedule are created{all_due:Due}", Due=DUE), target_fixture="three_copies")
def create_three_copies(
    scope: Scope, schedule_copies: ScheduleCopies, evidence: Evidence, all_due: bool
) -> tuple[ScheduleCopy, list[ScheduleCopy]]:
    """The due copy, and the others. Those come first: if Velero ran them, it would do so before the due one."""
    evidence.accelerate(LAST_RUN)
    namespace = scope.namespace("source")
    paused = schedule_copies.make("paused", last=LONG_AGO, namespace=namespace, paused=not all_due)
    early = schedule_copies.make("early", last=LONG_AGO if all_due else JUST_NOW, namespace=namespace)
    return schedule_copies.make("due", last=LONG_AGO, namespace=namespace), [paused, early]


@then("only the copy that is due creates a backup")
def only_due_fires(three_copies: tuple[ScheduleCopy, list[ScheduleCopy]], evidence: Evidence) -> None:
    due, others = three_copies
    run, seconds = due.follow(set())
    evidence.measure("trigger_delay", seconds)
    runs = [name_of(item) for copy in others for item in copy.runs()]
    evidence.measure("runs_not_due", len(runs), artefact=f"{run.name} ran; {len(runs)} others")
    names = " and ".join(copy.name for copy in others)
    evidence.expect_violation("trigger_delay", None, artefact=f"{names} created no backup")


@given(parsers.parse('a copy of the deployed schedule for "{alias}"'), target_fixture="copy")
def copy_for(scope: Scope, schedule_copies: ScheduleCopies, alias: str) -> ScheduleCopy:
    return schedule_copies.make("copy", last=JUST_NOW, namespace=scope.name(alias))


@given(
    phrase('a paused copy of the deployed schedule for "{alias}" that missed {last:Missed}', Missed=MISSED),
    target_fixture="copy",
)
def paused_copy(
    scope: Scope, schedule_copies: ScheduleCopies, evidence: Evidence, alias: str, last: timedelta
) -> ScheduleCopy:
    evidence.accelerate(LAST_RUN)
    return schedule_copies.make("copy", last=last, namespace=scope.name(alias), paused=True)


@when("the copy is unpaused", target_fixture="changed_at")
def unpause(copy: ScheduleCopy) -> datetime:
    copy.edit(paused=False)
    return datetime.now(UTC)


@when("the copy is edited to a time that has passed since its last run", target_fixture="changed_at")
def edit_time(copy: ScheduleCopy, evidence: Evidence) -> datetime:
    """Its last run was an hour ago, and a minute ago it would have been due again."""
    evidence.accelerate(LAST_RUN)
    changed = datetime.now(UTC)
    passed = changed - timedelta(minutes=1)
    copy.edit(ago(timedelta(hours=1)), schedule=f"{passed.minute} * * * *")
    return changed


@when("Velero is down while the copy is due three times", target_fixture="changed_at")
def stop_velero(
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


@then("exactly one catch-up backup starts immediately")
def caught_up_once(
    copy: ScheduleCopy, changed_at: datetime, schedule_copies: ScheduleCopies, evidence: Evidence
) -> None:
    """Velero checks the schedule once more after that backup, and creates no other."""
    run, _ = copy.follow(set())
    seconds = (run.created - changed_at.replace(microsecond=0)).total_seconds()
    evidence.observe("from the change to the backup", seconds, "s")
    copy.edit()
    schedule_copies.wait_checked(copy.namespace)
    made = copy.runs()
    evidence.measure("catch_up_runs", len(made), artefact="\n".join(map(name_of, made)))


@then("the suite reports that no catch-up backup started")
def no_catch_up_reported(copy: ScheduleCopy, schedule_copies: ScheduleCopies, evidence: Evidence) -> None:
    schedule_copies.wait_checked(copy.namespace)
    made = copy.runs()
    evidence.expect_violation("catch_up_runs", len(made), artefact="\n".join(map(name_of, made)) or "no backup")


@when("the deployed schedule runs", target_fixture="backup")
def run_schedule(schedule_runs: ScheduleRuns, evidence: Evidence) -> Operation:
    """One run a session serves every scenario that only looks."""
    evidence.accelerate(LAST_RUN)
    return schedule_runs.run


@given("the newest run of the deployed schedule", target_fixture="backup")
def newest_run(velero: Velero, deployed_schedule: Json, evidence: Evidence) -> Operation:
    """One that the suite did not cause. What a run that failed holds is not enough, and an older one does not count."""
    name = name_of(deployed_schedule)
    if deployed_schedule["spec"].get("useOwnerReferencesInBackup"):
        evidence.observe("useOwnerReferencesInBackup", "with the Schedule go its Backups, and their data stays in S3")
    found = velero.newest_finished(f"{SCHEDULE_LABEL}={label_value(name)},!{RUN_LABEL}")
    if found is None:
        raise Inconclusive(f"the schedule {name} has no finished run that was made on this cluster")
    return found.require()


@then(holds("Velero's own service account created the run, by the audit log of the API server"))
@then(violated("the suite reports that Velero did not create the backup"))
def created_by_velero(record: Recorder, backup: Operation, audit: AuditLog, velero: Velero, evidence: Evidence) -> None:
    """Created once, by a service account of Velero's namespace."""
    requests = audit.creations(BACKUP, velero.namespace, backup.name)
    evidence.observe("created by", ", ".join(f"{request.user} ({request.agent})" for request in requests))
    own = f"system:serviceaccount:{velero.namespace}:"
    by_others = len(requests) != 1 or not requests[0].user.startswith(own)
    record(evidence, "runs_not_by_velero", int(by_others), artefact=f"{backup.name}: {requests}")


@when(
    parsers.parse('"{alias}" is backed up manually, with the label of the deployed schedule'), target_fixture="backup"
)
def back_up_with_label(scope: Scope, velero: Velero, environment: Environment, alias: str) -> Operation:
    labels = {**scope.labels, SCHEDULE_LABEL: label_value(environment.schedule)}
    return velero.backup(scope.backup_name("manual"), labels=labels, includedNamespaces=[scope.name(alias)])
