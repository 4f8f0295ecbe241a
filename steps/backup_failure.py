"""Backups that a fault interrupts: how Velero reports the failure, and whether the next backup works."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from pytest_bdd import given, parsers, then, when

from fixtures.applications.standard import Application, Applications
from fixtures.environment.phrases import phrase
from fixtures.environment.run_scope import Scope
from fixtures.environment.velero_health import VeleroHealth
from fixtures.faults.long_outage import LongOutage, Outage
from fixtures.faults.outages import EXPECTED_ERRORS, MOMENTS, OBJECTS, S3_FAULTS, AccessDenial, BackupFaults, LinkFault
from velero_acceptance.checks import backups
from velero_acceptance.corpus.uploaders import Uploader
from velero_acceptance.drivers.kinds import Json, name_of
from velero_acceptance.drivers.toxiproxy import Toxiproxy
from velero_acceptance.drivers.velero import Operation, Velero
from velero_acceptance.evidence.recorder import Evidence

# In kB/s: the upload of the standard corpus takes about half a minute.
SLOW = 200
# How long a backup waits for its volumes instead; shorter than that.
SHORT_TIMEOUT = "12s"
FAILURES = sorted(backups.FAILURES)
VolumeFault = Callable[[BackupFaults, Json], None]
RESTARTS: dict[str, VolumeFault] = {
    "node-agent is killed": BackupFaults.end_agent,
    "Velero is restarted": BackupFaults.restart_server,
}


@given(phrase('S3 denies Velero write access to the {objects:Objects} of "{alias}"', Objects=tuple(OBJECTS)))
def deny_access(
    scope: Scope, access_denial: AccessDenial, uploader: Uploader, velero_health: VeleroHealth, objects: str, alias: str
) -> None:
    velero_health.allow_errors(f"{EXPECTED_ERRORS}|{uploader.fault_words}")
    access_denial.deny(objects, scope.name(alias))


@given("the link to S3 is slow")
def slow_link_to_s3(toxiproxy: Toxiproxy, uploader: Uploader, velero_health: VeleroHealth) -> None:
    velero_health.allow_errors(f"{EXPECTED_ERRORS}|{uploader.fault_words}")
    toxiproxy.throttle(SLOW)


@when(
    phrase('"{alias}" is backed up and {event:Event} during the upload of its volume', Event=RESTARTS),
    target_fixture="backup",
)
def restart_during_upload(
    scope: Scope, backup_faults: BackupFaults, velero_health: VeleroHealth, alias: str, event: VolumeFault
) -> Operation:
    velero_health.expect_restart()
    return backup_faults.backup(scope, alias, lambda volume: event(backup_faults, volume))


@when(
    phrase('"{alias}" is backed up and S3 {fault:Fault} during the {moment:Moment}', Fault=S3_FAULTS, Moment=MOMENTS),
    target_fixture="backup",
)
def s3_fault_during_backup(
    scope: Scope, backup_faults: BackupFaults, toxiproxy: Toxiproxy, alias: str, fault: LinkFault, moment: str
) -> Operation:
    return backup_faults.backup(scope, alias, lambda _: fault(toxiproxy), moment)


@when(parsers.parse('"{alias}" is backed up with a short timeout for its volumes'), target_fixture="backup")
def back_up_with_short_timeout(scope: Scope, velero: Velero, alias: str) -> Operation:
    name, namespaces = scope.backup_name(alias), [scope.name(alias)]
    velero.create_backup(name, labels=scope.labels, volume_timeout=SHORT_TIMEOUT, includedNamespaces=namespaces)
    return velero.follow_backup(name)


@then(phrase('the backup is {phase:Phase}, with "{cause}" as the cause', Phase=FAILURES))
def failure_reported(
    backup: Operation,
    backup_faults: BackupFaults,
    velero_health: VeleroHealth,
    evidence: Evidence,
    phase: str,
    cause: str,
) -> None:
    words, target = backup_faults.messages(backup), velero_health.target
    if not target.uploader.reports_cause:
        words += velero_health.error_lines([name_of(v) for v in target.velero.volume_backups(backup.name)])
    missing = backups.unreported(backup.phase, phase, cause, words)
    evidence.observe("from the backup's creation to its end", round(backup.transitions[-1].seconds, 1), "s")
    evidence.measure("faults_not_reported", int(bool(missing)), artefact="\n".join([*missing, backup.phase, *words]))


@then("the backup reports the lost node-agent, or is complete where another pod uploads")
def survived_or_reported(
    backup: Operation, backup_faults: BackupFaults, velero: Velero, uploader: Uploader, evidence: Evidence
) -> None:
    """The uploader decides which of the two it must be: neither stands in for the other."""
    cause, words = uploader.agent_lost_error, backup_faults.messages(backup)
    if cause is None:
        missing = backups.unsaved(backup.phase, velero.volume_backups(backup.name))
    else:
        missing = backups.unreported(backup.phase, "PartiallyFailed", cause, words)
    evidence.observe("node-agent ended during the upload, the backup is", backup.phase)
    evidence.measure("faults_not_reported", int(bool(missing)), artefact="\n".join([*missing, backup.phase, *words]))


@then("Velero logged the failure of the backup")
def failure_logged(backup: Operation, velero_health: VeleroHealth, evidence: Evidence) -> None:
    lines = backups.logged(velero_health.error_lines(), backup.name)
    evidence.measure("faults_not_logged", int(not lines), artefact="\n".join(lines) or "no error line names the backup")


@when("S3 is healthy again")
def repair_s3(
    velero: Velero,
    backup: Operation,
    backup_faults: BackupFaults,
    access_denial: AccessDenial,
    toxiproxy: Toxiproxy,
    evidence: Evidence,
) -> None:
    """Velero retries a repository that it could not open only after minutes: that is brought forward."""
    access_denial.lift()
    toxiproxy.heal()
    repaired_at = datetime.now(UTC)
    velero.wait_location("Available", validated_after=repaired_at)
    evidence.accelerate("repository tried again at once")
    for namespace in backup.item["spec"]["includedNamespaces"]:
        backup_faults.retry_repository(namespace)


@then("the next backup is Completed, with its volume")
def next_completed(next_backup: Operation, velero: Velero, evidence: Evidence) -> None:
    volumes = [volume["status"].get("phase") for volume in velero.volume_backups(next_backup.name)]
    _measure_next(next_backup, volumes, evidence)


@when("an application is backed up while S3 denies its data", target_fixture="application")
def back_up_while_denied(
    scope: Scope, applications: Applications, velero: Velero, access_denial: AccessDenial, velero_health: VeleroHealth
) -> Application:
    velero_health.allow_errors(EXPECTED_ERRORS)
    workload = applications.deploy(scope, "failed")
    access_denial.deny("data", workload.namespace)
    name, namespaces = scope.backup_name("failed"), [workload.namespace]
    return Application(workload, velero.backup(name, labels=scope.labels, includedNamespaces=namespaces), [])


@then("the suite reports that the backup names no failure")
def no_failure_reported(application: Application, backup_faults: BackupFaults, evidence: Evidence) -> None:
    """As the check would if a fault had not reached the backup: one that is Completed reports nothing."""
    words = backup_faults.messages(application.backup)
    missing = backups.unreported(application.backup.phase, "PartiallyFailed", "Access Denied", words)
    evidence.expect_violation("faults_not_reported", int(bool(missing)), artefact="\n".join(missing))


@when("a second Velero loses S3 during an upload for longer than its uploader retries", target_fixture="outage")
def second_velero_loses_s3(long_outage: LongOutage, evidence: Evidence) -> Outage:
    outage = long_outage.run()
    evidence.observe("from the cut to the end of the backup", round(outage.cut_to_end, 1), "s")
    evidence.attach("server.log", outage.server_log)
    return outage


@then(phrase('its backup is {phase:Phase}, with "{cause}" as the cause, and the failure is logged', Phase=FAILURES))
def long_outage_reported(outage: Outage, evidence: Evidence, phase: str, cause: str) -> None:
    missing = backups.unreported(outage.backup.phase, phase, cause, outage.messages)
    said = [*missing, outage.backup.phase, *outage.messages]
    evidence.measure("faults_not_reported", int(bool(missing)), artefact="\n".join(said))
    lines = outage.logged
    evidence.measure("faults_not_logged", int(not lines), artefact="\n".join(lines) or "no error line names the backup")


@then("its next backup is Completed once S3 is back")
def next_after_long_outage(outage: Outage, evidence: Evidence) -> None:
    _measure_next(outage.following, outage.volumes_following, evidence)


@then("its earlier backup is undamaged")
def earlier_backup_undamaged(outage: Outage, evidence: Evidence) -> None:
    """Read by restic without Velero: every byte of the repository and every file of the earlier backup."""
    damaged = bool(outage.damage) or not outage.kept.equal
    artefact = f"restic check: {outage.damage or 'no errors'}\n{outage.kept.table()}"
    evidence.measure("earlier_backups_damaged", int(damaged), artefact=artefact)


def _measure_next(backup: Operation, volumes: Sequence[str], evidence: Evidence) -> None:
    whole = backup.phase == "Completed" and list(volumes) == ["Completed"]
    evidence.measure("backups_failed_after_healing", int(not whole), artefact=f"{backup.phase}, volumes {volumes}")
