"""Backups: created, followed to their end, and checked for what they hold."""

from collections.abc import Mapping

from pytest_bdd import given, parsers, then, when

from fixtures.applications.excluded_volumes import ORDINARY, SKIPPED, deploy_claims
from fixtures.applications.standard import Application, Applications
from fixtures.applications.workload import Workloads
from fixtures.environment.cluster import TargetClients
from fixtures.environment.phrases import phrase
from fixtures.environment.run_scope import Scope
from velero_acceptance.checks import backups, coverage
from velero_acceptance.checks.schedule import namespaces_archived
from velero_acceptance.core.errors import Inconclusive
from velero_acceptance.core.naming import RUN_LABEL
from velero_acceptance.core.timeouts import Timeouts
from velero_acceptance.drivers.kinds import CLAIM, Json, name_of
from velero_acceptance.drivers.velero import Operation, Velero
from velero_acceptance.evidence.recorder import Evidence

NOWHERE = "nowhere"
OPTIONS = {
    "to a location that does not exist": {"storageLocation": NOWHERE},
    "with a TTL of 72 hours": {"ttl": "72h0m0s"},
}
CLAIMS = {
    "five PVCs: on a host path, of an init container only, excluded by annotation, of a pod excluded by label, "
    "and of a Deployment scaled to 0": SKIPPED,
    "an ordinary PVC": (ORDINARY,),
}


@given(parsers.parse('a completed backup of "{alias}"'), target_fixture="application")
def completed_backup(scope: Scope, applications: Applications, workloads: Workloads, alias: str) -> Application:
    return applications.back_up(scope, workloads.in_namespace(scope.name(alias)), alias)


@given(parsers.parse('a small backup of "{alias}"'), target_fixture="backup")
@when(parsers.parse('"{alias}" is backed up'), target_fixture="backup")
def back_up(scope: Scope, velero: Velero, alias: str) -> Operation:
    return velero.backup(scope.backup_name(alias), labels=scope.labels, includedNamespaces=[scope.name(alias)])


@when(phrase('"{alias}" is backed up {spec:Options}', Options=OPTIONS), target_fixture="backup")
def back_up_with_options(scope: Scope, velero: Velero, alias: str, spec: Mapping[str, object]) -> Operation:
    namespaces = [scope.name(alias)]
    return velero.backup(scope.backup_name(alias), labels=scope.labels, includedNamespaces=namespaces, **spec)


@when(parsers.parse('"{alias}" is backed up again'), target_fixture="next_backup")
def back_up_again(scope: Scope, velero: Velero, alias: str) -> Operation:
    return velero.backup(scope.backup_name("next"), labels=scope.labels, includedNamespaces=[scope.name(alias)])


@when(parsers.parse('two backups of "{alias}" are created at the same moment'), target_fixture="both")
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


@then("both started in time, not counting the wait for each other")
def both_started_in_time(both: tuple[Operation, Operation], evidence: Evidence, timeouts: Timeouts) -> None:
    """Velero runs one backup at a time: the second one's wait for the first is reported, not counted."""
    first, second = (operation.require() for operation in both)
    evidence.observe("creation of the second to its start", second.seconds_to("InProgress"), "s")
    evidence.observe("end of the first to the start of the second", backups.held_up(first, second), "s")
    of_the_first = (first.started - first.created).total_seconds()
    of_the_second = backups.of_the_second(first, second, patience=timeouts["queue_looked_through"])
    evidence.measure("initiation", max(of_the_first, of_the_second))


@then("the suite reports that the backup never started, with the cause")
def never_started(backup: Operation, evidence: Evidence) -> None:
    assert backup.phase == "FailedValidation" and NOWHERE in backup.reason(), backup.status
    assert "InProgress" not in {transition.phase for transition in backup.transitions}
    evidence.expect_violation("initiation", None, artefact=backup.reason())


@then("the backup is Completed, without errors and with all items")
def completed(application: Application, evidence: Evidence) -> None:
    _measure_completion(application.backup, evidence)


def _measure_completion(backup: Operation, evidence: Evidence) -> None:
    evidence.measure("backups_completed", int(backup.phase == "Completed"), artefact=backup.reason() or backup.phase)
    evidence.measure("errors_reported", backup.errors)
    if progress := backup.status.get("progress"):  # a backup that Velero rejects has none
        evidence.observe("items", progress["itemsBackedUp"])
        evidence.measure("items_missing", progress["totalItems"] - progress["itemsBackedUp"])


@then("every mounted PVC of the application is in the backup")
def claims_covered(application: Application, target: TargetClients, evidence: Evidence) -> None:
    found = coverage.of_backup(target.backup_files(application.backup.name), application.claims)
    assert found, "the application has no PVC: nothing was checked"
    _measure_claims(found, evidence)


@then("the backup holds the data of every PVC in its namespaces")
@then("the run holds the data of every PVC in its namespaces")
def every_claim_covered(backup: Operation, target: TargetClients, evidence: Evidence) -> None:
    """Those in its own files, and those that are older than it and still there."""
    files = target.backup_files(backup.name)
    named = set(backup.item["spec"].get("includedNamespaces") or ["*"])
    namespaces = namespaces_archived(files.archive) if "*" in named else named
    there = coverage.older(target.kubernetes.list_all(CLAIM), namespaces, backup.started)
    _measure_claims(coverage.of_backup(files, there), evidence)


def _measure_claims(found: list[coverage.ClaimCoverage], evidence: Evidence) -> None:
    evidence.observe("claims in scope", len(found))
    evidence.measure("claims_without_data", len(coverage.gaps(found)), artefact=coverage.table(found))


@then("the backup's metadata in S3 says Completed")
def metadata_completed(application: Application, target: TargetClients, evidence: Evidence) -> None:
    _measure_metadata(application.backup, target, evidence)


def _measure_metadata(backup: Operation, target: TargetClients, evidence: Evidence) -> None:
    """Velero can write Completed to the Backup object without having updated the metadata in S3."""
    copy = target.bucket.json(target.key("backups", backup.name, "velero-backup.json"))
    phase = copy["status"]["phase"]
    evidence.measure("metadata_not_completed", int(phase != "Completed"), artefact=f"phase of the copy: {phase}")


@given(phrase('a namespace "{alias}" with {names:Claims}', Claims=CLAIMS), target_fixture="claims")
def namespace_with_claims(scope: Scope, target: TargetClients, alias: str, names: tuple[str, ...]) -> list[Json]:
    return deploy_claims(target, scope, scope.namespace(alias), names)


@given("the newest backup that the suite did not create", target_fixture="backup")
def newest_backup(velero: Velero) -> Operation:
    found = velero.newest_finished(f"!{RUN_LABEL}")
    if found is None:
        raise Inconclusive("there is no finished backup that was made on this cluster")
    return found


@then("that backup is Completed in the cluster and in S3, without errors and with all items")
def newest_completed(backup: Operation, target: TargetClients, evidence: Evidence) -> None:
    evidence.observe("newest backup", backup.name)
    _measure_completion(backup, evidence)
    _measure_metadata(backup, target, evidence)


@then("Velero reports the backup as Completed")
def reported_completed(backup: Operation) -> None:
    backup.require("Completed")


@then("the suite reports each of these PVCs as missing from the backup")
def claims_reported(claims: list[Json], backup: Operation, target: TargetClients, evidence: Evidence) -> None:
    found = coverage.of_backup(target.backup_files(backup.name), claims)
    gaps, table = coverage.gaps(found), coverage.table(found)
    assert sorted(gap.claim for gap in gaps) == sorted(map(name_of, claims)), table
    evidence.expect_violation("claims_without_data", len(gaps), artefact=table)
