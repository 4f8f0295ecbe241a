"""Restores: made, followed, and what they gave back."""

from __future__ import annotations

from pytest_bdd import parsers, then, when

from acceptance.drivers.kinds import CLAIM, CONFIG_MAP, DEPLOYMENT, POD, SERVICE, is_ready
from acceptance.drivers.kubernetes import Kubernetes
from acceptance.drivers.velero import RESTORE_LABEL, Operation, Velero
from acceptance.evidence.recorder import Evidence
from fixtures.scope import Scope
from fixtures.standard import Application, RestoredCopy, Restores, Standard
from fixtures.workload import Workloads

RESTORED_KINDS = (POD, CLAIM, CONFIG_MAP, SERVICE, DEPLOYMENT)


@when(parsers.parse('the backup of "{alias}" is restored'), target_fixture="restore")
def restored(scope: Scope, restores: Restores, application: Application, alias: str) -> Operation:
    """Restore to where it was. Completed is not yet evidence; the Then steps look at the data."""
    return restores.run(scope, application, alias)


@when(parsers.parse('the backup of "{alias}" is restored as "{target}"'), target_fixture="restore")
def restored_as(scope: Scope, restores: Restores, application: Application, alias: str, target: str) -> Operation:
    return restores.mapped(scope, application, target)


@when(parsers.parse('it is restored as "{target}"'), target_fixture="copy")
def restored_with_trace(scope: Scope, restores: Restores, application: Application, target: str) -> RestoredCopy:
    return restores.traced(scope, application, target)


@when(parsers.parse('it is restored as the existing "{target}"'), target_fixture="restore")
def restored_onto(scope: Scope, restores: Restores, application: Application, target: str) -> Operation:
    return restores.mapped(scope, application, target)


@when("a backup that does not exist is restored", target_fixture="restore")
def nothing_restored(scope: Scope, velero: Velero) -> Operation:
    """The backup's name is of our own kind, so that Velero's lines about it are known to be ours."""
    return velero.restore(scope.restore_name("nothing"), labels=scope.labels, backup=scope.name("missing"))


@then("the restore started in time")
def restore_started(copy: RestoredCopy, evidence: Evidence) -> None:
    evidence.measure("restore_started", copy.restore.seconds_to("InProgress"))


@then("S3 was asked for the metadata of the backup in time")
def metadata_fetched(copy: RestoredCopy, evidence: Evidence) -> None:
    """The API server's time stamps are whole seconds: the wait can be up to 1 s shorter than measured."""
    seen = copy.fetched
    seconds = (seen.at - copy.restore.created).total_seconds()
    evidence.measure("metadata_fetched", seconds, artefact=f"{seen.at} {seen.method} {seen.path} → {seen.status}")


@then("the restore never started, and Velero says why")
def never_started(scope: Scope, restore: Operation, evidence: Evidence) -> None:
    assert restore.phase == "FailedValidation" and scope.name("missing") in restore.reason(), restore.status
    evidence.refute("restore_started", None, artefact=restore.reason())
    evidence.refute("metadata_fetched", None, artefact=restore.reason())


@then("the restore is Completed without errors")
def completed(restore: Operation, evidence: Evidence) -> None:
    restore.require("Completed")
    evidence.measure("errors_reported", restore.errors, artefact=str(restore.status))


@then("Velero calls the restore Completed and warns that things exist")
def completed_with_warnings(restore: Operation, evidence: Evidence) -> None:
    restore.require("Completed")
    evidence.observe("warnings of Velero", restore.warnings)
    assert restore.warnings > 0, "Velero left existing objects alone without a warning"


@then(parsers.parse('the application in "{alias}" is ready'))
def application_ready(scope: Scope, workloads: Workloads, evidence: Evidence, alias: str) -> None:
    workload = workloads.in_namespace(scope.name(alias))
    workload.wait_ready()
    evidence.measure("pods_not_ready", sum(not is_ready(pod) for pod in workload.pods()))


@then("the copy has its own volume on its own path")
def own_volume(copy: RestoredCopy, standard: Standard, evidence: Evidence) -> None:
    source, target = standard.application.workload.volume(), copy.workload.volume()
    paths = [volume["spec"]["local"]["path"] for volume in (source, target)]
    shared = source["metadata"]["name"] == target["metadata"]["name"] or paths[0] == paths[1]
    evidence.measure("shared_volumes", int(shared), artefact="\n".join(paths))


@then("nothing of the restore is in the source")
def nothing_in_source(
    copy: RestoredCopy, standard: Standard, kubernetes: Kubernetes, velero: Velero, evidence: Evidence
) -> None:
    """Velero labels what it restores, and each volume it writes names the pod it writes for."""
    namespace, name = standard.application.workload.namespace, copy.restore.name
    written = [r for r in velero.volume_restores(name) if r["spec"]["pod"]["namespace"] == namespace]
    labelled = [
        item
        for kind in RESTORED_KINDS
        for item in kubernetes.list_all(kind, namespace, labels=f"{RESTORE_LABEL}={name}")
    ]
    evidence.measure("objects_in_source", len(written) + len(labelled))
