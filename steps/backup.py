"""Backups: made, followed, and what they hold."""

from __future__ import annotations

from pytest_bdd import given, parsers, then, when

from fixtures.applications.excluded_volumes import ExcludedVolumes
from fixtures.applications.standard import Application, Applications
from fixtures.applications.workload import Workload
from fixtures.environment.run_scope import Scope
from velero_acceptance.checks import backups, coverage
from velero_acceptance.core.errors import Inconclusive
from velero_acceptance.core.naming import RUN_LABEL
from velero_acceptance.core.settings import Environment
from velero_acceptance.core.timeouts import Timeouts
from velero_acceptance.drivers.s3 import Bucket
from velero_acceptance.drivers.velero import Operation, Velero
from velero_acceptance.evidence.recorder import Evidence


@given(parsers.parse('a completed backup of "{alias}"'), target_fixture="application")
def completed_backup(scope: Scope, applications: Applications, workload: Workload, alias: str) -> Application:
    return applications.back_up(scope, workload, alias)


@given(parsers.parse('a completed small backup of "{alias}"'), target_fixture="backup")
@when(parsers.parse('"{alias}" is backed up'), target_fixture="backup")
def backed_up(scope: Scope, velero: Velero, alias: str) -> Operation:
    return velero.backup(scope.backup_name(alias), labels=scope.labels, includedNamespaces=[scope.name(alias)])


@when(parsers.parse('"{alias}" is backed up to a location that does not exist'), target_fixture="backup")
def backed_up_to_nowhere(scope: Scope, velero: Velero, alias: str) -> Operation:
    namespaces = [scope.name(alias)]
    return velero.backup(
        scope.backup_name(alias), labels=scope.labels, includedNamespaces=namespaces, storageLocation="nowhere"
    )


@when(parsers.parse('two backups of "{alias}" are asked for at the same moment'), target_fixture="both")
def two_backups(scope: Scope, velero: Velero, alias: str) -> tuple[Operation, Operation]:
    first = scope.backup_name("first")
    velero.create_backup(first, labels=scope.labels, includedNamespaces=[scope.name(alias)])
    second = velero.backup(scope.backup_name("second"), labels=scope.labels, includedNamespaces=[scope.name(alias)])
    return velero.follow_backup(first), second


@then("the backup started in time")
def started_in_time(backup: Operation, evidence: Evidence) -> None:
    seconds = backup.seconds_to("InProgress")
    evidence.measure("initiation_component_contract", seconds)
    evidence.measure("initiation", seconds)


@then("both started in time, not counting the wait for the other")
def both_started_in_time(both: tuple[Operation, Operation], evidence: Evidence, timeouts: Timeouts) -> None:
    """Velero runs one backup at a time: the second one's wait for the first is told of, not counted."""
    first, second = (operation.require() for operation in both)
    evidence.observe("creation of the second to its start", second.seconds_to("InProgress"), "s")
    evidence.observe("end of the first to the start of the second", backups.held_up(first, second), "s")
    of_the_first = (first.started - first.created).total_seconds()
    of_the_second = backups.of_the_second(first, second, patience=timeouts["queue_looked_through"])
    evidence.measure("initiation", max(of_the_first, of_the_second))


@then("the backup never started, and Velero says why")
def never_started(backup: Operation, evidence: Evidence) -> None:
    assert backup.phase == "FailedValidation" and "nowhere" in backup.reason(), backup.status
    assert "InProgress" not in {transition.phase for transition in backup.transitions}
    evidence.expect_violation("initiation", None, artefact=backup.reason())


@then("the backup is Completed, without errors and with all items")
def completed(application: Application, evidence: Evidence) -> None:
    _measure_completion(application.backup, evidence)


def _measure_completion(backup: Operation, evidence: Evidence) -> None:
    progress = backup.status["progress"]
    evidence.measure("backups_completed", int(backup.phase == "Completed"))
    evidence.measure("errors_reported", backup.errors)
    evidence.observe("items", progress["itemsBackedUp"])
    evidence.measure("items_missing", progress["totalItems"] - progress["itemsBackedUp"])


@then("every mounted claim of it is in the backup")
def claims_covered(
    application: Application, velero: Velero, bucket: Bucket, environment: Environment, evidence: Evidence
) -> None:
    name = application.backup.name
    info = bucket.json(environment.key("backups", name, f"{name}-volumeinfo.json.gz"))
    found = coverage.audit(application.claims, application.pods, velero.volume_backups(name), info)
    evidence.observe("claims in scope", len(found))
    assert found, "the application has no claim: nothing was checked"
    evidence.measure("claims_without_data", len(coverage.gaps(found)), artefact=coverage.table(found))


@then("the copy of its status in S3 says Completed")
def copy_completed(application: Application, bucket: Bucket, environment: Environment, evidence: Evidence) -> None:
    _measure_copy(application.backup, bucket, environment, evidence)


def _measure_copy(backup: Operation, bucket: Bucket, environment: Environment, evidence: Evidence) -> None:
    """Velero can write Completed to the object although the copy in S3 was not updated."""
    copy = bucket.json(environment.key("backups", backup.name, "velero-backup.json"))
    phase = copy["status"]["phase"]
    evidence.measure("metadata_not_completed", int(phase != "Completed"), artefact=f"phase of the copy: {phase}")


@given(parsers.parse('a namespace "{alias}" with these claims'), target_fixture="claims")
def claims_left_out(
    scope: Scope, excluded_volumes: ExcludedVolumes, datatable: list[list[str]], alias: str
) -> list[str]:
    """The table's first column names the claims that ``fixtures/left_out.py`` makes."""
    names = [row[0] for row in datatable[1:]]
    excluded_volumes.deploy(scope, scope.namespace(alias), names)
    return names


@given(parsers.parse('a namespace "{alias}" with the claim "{claim}"'), target_fixture="claims")
def claim_not_left_out(scope: Scope, excluded_volumes: ExcludedVolumes, alias: str, claim: str) -> list[str]:
    excluded_volumes.deploy(scope, scope.namespace(alias), [claim])
    return [claim]


@given("the newest backup that somebody else made", target_fixture="newest")
def newest_backup(velero: Velero) -> Operation:
    """What was in its namespaces when it was made, nobody knows any more."""
    found = velero.newest_completed(f"!{RUN_LABEL}")
    if found is None:
        raise Inconclusive("there is no completed backup to look at")
    return found


@then("it is Completed, without errors and with all items, also by its copy in S3")
def newest_completed(newest: Operation, bucket: Bucket, environment: Environment, evidence: Evidence) -> None:
    evidence.observe("newest backup", newest.name)
    _measure_completion(newest, evidence)
    _measure_copy(newest, bucket, environment, evidence)


@then("Velero calls the backup Completed")
def called_completed(backup: Operation) -> None:
    backup.require("Completed")


@then("the suite names every one of these claims as not in the backup")
def claims_named(
    claims: list[str],
    excluded_volumes: ExcludedVolumes,
    backup: Operation,
    velero: Velero,
    bucket: Bucket,
    environment: Environment,
    evidence: Evidence,
) -> None:
    info = bucket.json(environment.key("backups", backup.name, f"{backup.name}-volumeinfo.json.gz"))
    found = coverage.audit(excluded_volumes.claims, excluded_volumes.pods, velero.volume_backups(backup.name), info)
    assert sorted(gap.claim for gap in coverage.gaps(found)) == sorted(claims), coverage.table(found)
    evidence.expect_violation("claims_without_data", len(coverage.gaps(found)), artefact=coverage.table(found))
