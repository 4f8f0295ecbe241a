"""What fails a backup, and what has to be said of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from pytest_bdd import given, parsers, then, when

from fixtures.applications.standard import Application, Applications
from fixtures.environment.run_scope import Scope
from fixtures.environment.velero_health import VeleroHealth
from fixtures.faults.long_outage import LongOutage, Outage
from fixtures.faults.outages import EXPECTED_ERRORS, AccessDenial, BackupFaults
from velero_acceptance.checks import backups
from velero_acceptance.corpus.uploaders import Uploader
from velero_acceptance.drivers.kinds import Json, name_of
from velero_acceptance.drivers.toxiproxy import Toxiproxy
from velero_acceptance.drivers.velero import Operation, Velero
from velero_acceptance.evidence.recorder import Evidence

# A volume of the standard corpus is uploaded for about half a minute.
SLOW = 200
# How long a backup waits for its volumes instead; shorter than that.
PATIENCE = "5s"
# What S3, or the way to it, does; by a feature's words.
FAULTS: dict[str, Callable[[Toxiproxy], None]] = {
    "refuses connections": Toxiproxy.cut,
    "resets connections": Toxiproxy.reset,
    "says that it is busy": Toxiproxy.busy,
}


@given("Velero knows that the location is unavailable")
def known_unavailable(velero: Velero) -> None:
    velero.wait_location("Unavailable")


@given(parsers.parse('S3 denies Velero the {objects} of "{alias}"'))
def denied(
    scope: Scope,
    access_denial: AccessDenial,
    uploader: Uploader,
    velero_health: VeleroHealth,
    objects: str,
    alias: str,
) -> None:
    velero_health.allow_errors(f"{EXPECTED_ERRORS}|{uploader.fault_words}")
    access_denial.deny(objects, scope.name(alias))


@given("the way to S3 is slow")
def slow_way(toxiproxy: Toxiproxy, uploader: Uploader, velero_health: VeleroHealth) -> None:
    velero_health.allow_errors(f"{EXPECTED_ERRORS}|{uploader.fault_words}")
    toxiproxy.throttle(SLOW)


@when(
    parsers.parse('"{alias}" is backed up, and node-agent ends while its volume is uploaded'), target_fixture="backup"
)
def agent_ends(scope: Scope, backup_faults: BackupFaults, velero_health: VeleroHealth, alias: str) -> Operation:
    velero_health.expect_restart()
    name = scope.backup_name(alias)
    return backup_faults.backup(name, scope.name(alias), scope.labels, backup_faults.end_agent)


@when(parsers.parse('"{alias}" is backed up, and Velero ends while its volume is uploaded'), target_fixture="backup")
def server_ends(
    scope: Scope,
    backup_faults: BackupFaults,
    velero: Velero,
    velero_health: VeleroHealth,
    alias: str,
) -> Operation:
    def restart(_: Json) -> None:
        velero.restart()

    velero_health.expect_restart()
    return backup_faults.backup(scope.backup_name(alias), scope.name(alias), scope.labels, restart)


@given(parsers.parse("S3 {fault} from now on"))
def failing_from_now_on(toxiproxy: Toxiproxy, velero_health: VeleroHealth, fault: str) -> None:
    velero_health.allow_errors(EXPECTED_ERRORS)
    FAULTS[fault](toxiproxy)


@when(parsers.parse('"{alias}" is backed up, and S3 {fault} while {moment}'), target_fixture="backup")
def failing_meanwhile(
    scope: Scope,
    backup_faults: BackupFaults,
    toxiproxy: Toxiproxy,
    alias: str,
    fault: str,
    moment: str,
) -> Operation:
    def happens(_: Json) -> None:
        FAULTS[fault](toxiproxy)

    return backup_faults.backup(scope.backup_name(alias), scope.name(alias), scope.labels, happens, moment)


@when(parsers.parse('"{alias}" is backed up with little patience for its volumes'), target_fixture="backup")
def backed_up_with_little_patience(scope: Scope, velero: Velero, alias: str) -> Operation:
    name, namespaces = scope.backup_name(alias), [scope.name(alias)]
    velero.create_backup(name, labels=scope.labels, volume_timeout=PATIENCE, includedNamespaces=namespaces)
    return velero.follow_backup(name)


@then(parsers.parse('the backup is {phase} and names "{cause}" as the cause'))
def failure_reported(
    backup: Operation,
    backup_faults: BackupFaults,
    velero: Velero,
    uploader: Uploader,
    velero_health: VeleroHealth,
    evidence: Evidence,
    phase: str,
    cause: str,
) -> None:
    words = backup_faults.words(backup)
    if not uploader.reports_cause:
        words += velero_health.error_lines_of([name_of(volume) for volume in velero.volume_backups(backup.name)])
    missing = backups.unreported(backup.phase, phase, cause, words)
    evidence.observe("from the backup's creation to its end", round(backup.transitions[-1].seconds, 1), "s")
    evidence.measure("faults_not_reported", int(bool(missing)), artefact="\n".join([*missing, backup.phase, *words]))


@then("the backup fails and names that as the cause, or is whole where another pod uploads")
def survived_or_reported(
    backup: Operation,
    backup_faults: BackupFaults,
    velero: Velero,
    uploader: Uploader,
    evidence: Evidence,
) -> None:
    """Which of the two it must be is the uploader's: neither passes for the other."""
    cause, words = uploader.agent_lost_error, backup_faults.words(backup)
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


@then(parsers.parse('the next backup of "{alias}" is Completed once S3 is back'))
def next_completed(
    scope: Scope,
    velero: Velero,
    backup_faults: BackupFaults,
    access_denial: AccessDenial,
    toxiproxy: Toxiproxy,
    evidence: Evidence,
    alias: str,
) -> None:
    access_denial.lift()
    toxiproxy.heal()
    healed = datetime.now(UTC)
    velero.wait_location("Available", validated_after=healed)
    evidence.accelerate("repository tried again at once")
    backup_faults.retry_repository(scope.name(alias))
    following = velero.backup(scope.backup_name("next"), labels=scope.labels, includedNamespaces=[scope.name(alias)])
    volumes = [volume["status"].get("phase") for volume in velero.volume_backups(following.name)]
    whole = following.phase == "Completed" and volumes == ["Completed"]
    evidence.measure("backups_failed_after_healing", int(not whole), artefact=f"{following.phase}, volumes {volumes}")


@given("an application whose backup S3 has failed", target_fixture="application")
def failed_application(
    scope: Scope,
    applications: Applications,
    velero: Velero,
    access_denial: AccessDenial,
    velero_health: VeleroHealth,
) -> Application:
    velero_health.allow_errors(EXPECTED_ERRORS)
    workload = applications.deploy(scope, "failed")
    access_denial.deny("data", workload.namespace)
    name, namespaces = scope.backup_name("failed"), [workload.namespace]
    return Application(workload, velero.backup(name, labels=scope.labels, includedNamespaces=namespaces), [], [])


@then("the suite does not see a failure in its backup")
def no_failure(application: Application, backup_faults: BackupFaults, evidence: Evidence) -> None:
    """As the check would, had a fault missed it: a backup that is Completed reports nothing."""
    words = backup_faults.words(application.backup)
    missing = backups.unreported(application.backup.phase, "PartiallyFailed", "Access Denied", words)
    evidence.expect_violation("faults_not_reported", int(bool(missing)), artefact="\n".join(missing))


@when("a second Velero loses S3 during an upload, for longer than its uploader retries", target_fixture="outage_seen")
def second_velero_cut(long_outage: LongOutage, evidence: Evidence) -> Outage:
    outage = long_outage.run()
    evidence.observe("from the cut to the end of the backup", round(outage.cut_to_end, 1), "s")
    evidence.attach("server.log", outage.server_log)
    return outage


@then(parsers.parse('its backup is {phase}, names "{cause}" as the cause, and the failure is logged'))
def long_outage_reported(outage_seen: Outage, evidence: Evidence, phase: str, cause: str) -> None:
    missing = backups.unreported(outage_seen.backup.phase, phase, cause, outage_seen.words)
    said = [*missing, outage_seen.backup.phase, *outage_seen.words]
    evidence.measure("faults_not_reported", int(bool(missing)), artefact="\n".join(said))
    lines = outage_seen.logged
    evidence.measure("faults_not_logged", int(not lines), artefact="\n".join(lines) or "no error line names the backup")


@then("its next backup is Completed once S3 is back")
def long_outage_healed(outage_seen: Outage, evidence: Evidence) -> None:
    following, volumes = outage_seen.following, outage_seen.volumes_following
    whole = following.phase == "Completed" and volumes == ["Completed"]
    evidence.measure("backups_failed_after_healing", int(not whole), artefact=f"{following.phase}, volumes {volumes}")


@then("what it had backed up before is undamaged")
def long_outage_harmless(outage_seen: Outage, evidence: Evidence) -> None:
    """By restic alone: every byte of the repository, and every file of the earlier backup."""
    damaged = bool(outage_seen.damage) or not outage_seen.kept.equal
    artefact = f"restic check: {outage_seen.damage or 'no errors'}\n{outage_seen.kept.table()}"
    evidence.measure("earlier_backups_damaged", int(damaged), artefact=artefact)
