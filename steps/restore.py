"""Restores: created, followed to their end, and checked for what they brought back."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pytest_bdd import given, parsers, then, when

from fixtures.applications.standard import Application, Pair, RestoredCopy, Restores, Standard
from fixtures.applications.workload import APP, SETTINGS, Workloads
from fixtures.environment.cluster import TargetClients
from fixtures.environment.optional_systems import Tracer
from fixtures.environment.run_scope import Scope
from velero_acceptance.checks import restored_objects
from velero_acceptance.core.settings import Environment, Target
from velero_acceptance.core.waiting import WaitTimedOut
from velero_acceptance.drivers.kinds import (
    BACKUP,
    CLAIM,
    CONFIG_MAP,
    DEPLOYMENT,
    NAMESPACE,
    POD,
    SECRET,
    SERVICE,
    SERVICE_ACCOUNT,
    Json,
    Kind,
    is_ready,
)
from velero_acceptance.drivers.kubernetes import Kubernetes
from velero_acceptance.drivers.velero import RESTORE_LABEL, Operation, Velero, label_value
from velero_acceptance.evidence.recorder import Evidence

RESTORED_KINDS = (POD, CLAIM, CONFIG_MAP, SERVICE, DEPLOYMENT)
NAMESPACE_KINDS = (CLAIM, CONFIG_MAP, DEPLOYMENT, SERVICE, SERVICE_ACCOUNT)


@dataclass(frozen=True)
class SyncedBackup:
    """The backup before its object was deleted, and the seconds until Velero created it again; None if it did not."""

    backup: Operation
    seconds: float | None


@when("the backup is restored", target_fixture="restore")
def restore_in_place(scope: Scope, restores: Restores, application: Application) -> Operation:
    """Completed is not yet evidence; the Then steps look at the data."""
    return restores.run(scope, application, "in place")


@when(parsers.parse('the backup is restored into "{target}"'), target_fixture="restore")
def restore_into(scope: Scope, restores: Restores, application: Application, target: str) -> Operation:
    return restores.mapped(scope, application, target)


@when(parsers.parse('the run of "{source}" is restored into "{target}"'), target_fixture="restore")
def restore_run(scope: Scope, velero: Velero, backup: Operation, source: str, target: str) -> Operation:
    mapping = {scope.name(source): scope.expect_namespace(target)}
    name = scope.restore_name(target)
    return velero.restore(name, labels=scope.labels, backup=backup.name, namespaceMapping=mapping)


@when(parsers.parse('the backup is restored into "{target}" while S3 requests are traced'), target_fixture="copy")
def restore_traced(scope: Scope, restores: Restores, application: Application, target: str) -> RestoredCopy:
    return restores.traced(scope, application, target)


@when("a backup that does not exist is restored", target_fixture="restore")
def restore_nothing(scope: Scope, velero: Velero) -> Operation:
    """The backup has a name of this run, so that error lines about it are attributed to this scenario."""
    return velero.restore(scope.restore_name("nothing"), labels=scope.labels, backup=scope.name("missing"))


@then("the restore started in time")
def restore_started(copy: RestoredCopy, evidence: Evidence) -> None:
    evidence.measure("restore_started", copy.restore.seconds_to("InProgress"))


@then("S3 received the request for the backup's metadata in time")
def metadata_fetched(copy: RestoredCopy, s3_trace: Tracer, evidence: Evidence) -> None:
    """The API server's time stamps are whole seconds: the real wait can be up to 1 s shorter than this."""
    seen = copy.fetched
    assert seen is not None, "the restore was not traced"
    seconds = (seen.at - copy.restore.created).total_seconds()
    evidence.measure("metadata_fetched", seconds, artefact=f"{seen.at} {seen.method} {seen.path} → {seen.status}")


@then("the suite reports that the restore never started, with the cause")
def never_started(scope: Scope, restore: Operation, evidence: Evidence) -> None:
    assert restore.phase == "FailedValidation" and scope.name("missing") in restore.reason(), restore.status
    evidence.expect_violation("restore_started", None, artefact=restore.reason())
    evidence.expect_violation("metadata_fetched", None, artefact=restore.reason())


@then("the restore is Completed without errors")
def completed(restore: Operation, evidence: Evidence) -> None:
    restore.require("Completed")
    evidence.measure("errors_reported", restore.errors, artefact=str(restore.status))


@then("Velero reports the restore as Completed and warns about existing objects")
def completed_with_warnings(restore: Operation, evidence: Evidence) -> None:
    restore.require("Completed")
    evidence.observe("warnings of Velero", restore.warnings)
    assert restore.warnings > 0, "Velero left existing objects alone without a warning"


@then(parsers.parse('the application in "{alias}" is ready'))
def application_ready(scope: Scope, workloads: Workloads, evidence: Evidence, alias: str) -> None:
    workload = workloads.in_namespace(scope.name(alias))
    workload.wait_ready()
    evidence.measure("pods_not_ready", sum(not is_ready(pod) for pod in workload.pods()))


@then(parsers.parse('every object of "{source}" is in "{target}", with the same storage class and images'))
def objects_restored(
    scope: Scope, kubernetes: Kubernetes, environment: Environment, evidence: Evidence, source: str, target: str
) -> None:
    kinds = NAMESPACE_KINDS if environment.target is Target.CURRENT else (*NAMESPACE_KINDS, SECRET)
    evidence.observe("kinds compared", ", ".join(kind.kind for kind in kinds))
    there, restored = _objects(kubernetes, kinds, scope.name(source), scope.name(target))
    missing, altered = restored_objects.missing(there, restored), restored_objects.altered(there, restored)
    evidence.measure("objects_missing", len(missing), artefact="\n".join(missing) or "nothing is missing")
    evidence.measure("objects_altered", len(altered), artefact="\n".join(altered) or "nothing was altered")


@then("the copy's workload runs the images of the source's")
def images_equal(copy: RestoredCopy, standard: Standard, kubernetes: Kubernetes, evidence: Evidence) -> None:
    places = (standard.application.workload.namespace, copy.workload.namespace)
    altered = restored_objects.altered(*_objects(kubernetes, (DEPLOYMENT,), *places))
    evidence.measure("objects_altered", len(altered), artefact="\n".join(altered) or "nothing was altered")


@given(parsers.parse('a namespace "{alias}" whose application names another image'))
def namespace_of_another_image(scope: Scope, workloads: Workloads, environment: Environment, alias: str) -> None:
    """It need not run."""
    workload = workloads.in_namespace(scope.namespace(alias))
    replace(workload, image=f"{environment.corpus_image}-altered").create()


@then(parsers.parse('the suite reports the image of "{target}" as another than that of "{source}"'))
def altered_image_reported(scope: Scope, kubernetes: Kubernetes, evidence: Evidence, target: str, source: str) -> None:
    altered = restored_objects.altered(*_objects(kubernetes, NAMESPACE_KINDS, scope.name(source), scope.name(target)))
    evidence.expect_violation("objects_altered", len(altered), artefact="\n".join(altered))


@then(parsers.parse('the suite reports the ConfigMap of "{source}" as missing from "{target}"'))
def missing_object_reported(scope: Scope, kubernetes: Kubernetes, evidence: Evidence, source: str, target: str) -> None:
    missing = restored_objects.missing(*_objects(kubernetes, NAMESPACE_KINDS, scope.name(source), scope.name(target)))
    assert missing in ([], [f"ConfigMap/{SETTINGS}"]), missing
    evidence.expect_violation("objects_missing", len(missing), artefact="\n".join(missing))


def _objects(
    kubernetes: Kubernetes, kinds: Sequence[Kind], source: str, target: str
) -> tuple[dict[str, list[Json]], dict[str, list[Json]]]:
    """The objects of both namespaces by kind."""
    there, found = ({kind.kind: kubernetes.list_all(kind, place) for kind in kinds} for place in (source, target))
    assert there[DEPLOYMENT.kind], f"{source} holds no application: nothing can be compared"
    return there, found


@then("the copy's PVC has the class, size, modes, labels and annotations of the source's")
def claim_equal(copy: RestoredCopy, standard: Standard, kubernetes: Kubernetes, evidence: Evidence) -> None:
    source, target = (
        kubernetes.require(CLAIM, workload.claim, workload.namespace)
        for workload in (standard.application.workload, copy.workload)
    )
    found = restored_objects.claim_differences(source, target)
    evidence.measure("claims_differing", int(bool(found)), artefact="\n".join(found) or "equal")


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
    """Velero labels the objects that it restores, and each PodVolumeRestore names its pod."""
    namespace, name = standard.application.workload.namespace, copy.restore.name
    written = [r for r in velero.volume_restores(name) if r["spec"]["pod"]["namespace"] == namespace]
    labelled = [
        item
        for kind in RESTORED_KINDS
        for item in kubernetes.list_all(kind, namespace, labels=f"{RESTORE_LABEL}={label_value(name)}")
    ]
    evidence.measure("objects_in_source", len(written) + len(labelled))


@when("the Backup object is deleted while the bucket keeps its data", target_fixture="synced")
def delete_object(backup: Operation, target: TargetClients) -> SyncedBackup:
    """Delete the Backup object alone, and wait for Velero's backup sync."""
    target.kubernetes.delete(BACKUP, backup.name, target.namespace)
    try:
        return SyncedBackup(backup, target.velero.wait_synced(backup.name))
    except WaitTimedOut:
        return SyncedBackup(backup, None)


@then("Velero syncs the Backup object from the bucket")
def object_synced(synced: SyncedBackup, evidence: Evidence) -> None:
    back = "was not synced" if synced.seconds is None else f"was back after {synced.seconds:.1f} s"
    evidence.measure("backups_not_synced", int(synced.seconds is None), artefact=f"{synced.backup.name} {back}")


@then(parsers.parse('the synced backup can be restored into "{alias}"'))
def restorable(scope: Scope, velero: Velero, kubernetes: Kubernetes, synced: SyncedBackup, alias: str) -> None:
    (source,) = synced.backup.item["spec"]["includedNamespaces"]
    mapping = {source: scope.expect_namespace(alias)}
    name = scope.restore_name(alias)
    velero.restore(name, labels=scope.labels, backup=synced.backup.name, namespaceMapping=mapping).require()
    kubernetes.require(NAMESPACE, scope.name(alias))


@when(parsers.parse('both are backed up together and restored into "{third}" and "{fourth}"'))
def restore_both(scope: Scope, pair: Pair, velero: Velero, workloads: Workloads, third: str, fourth: str) -> None:
    sources = [workload.namespace for workload in pair]
    targets = [scope.expect_namespace(third), scope.expect_namespace(fourth)]
    backup = velero.backup(scope.backup_name("both"), labels=scope.labels, includedNamespaces=sources).require()
    mapping = dict(zip(sources, targets, strict=True))
    name = scope.restore_name("both")
    velero.restore(name, labels=scope.labels, backup=backup.name, namespaceMapping=mapping).require()
    for target in targets:
        workloads.in_namespace(target).wait_ready()


@then(parsers.parse('the other objects of "{first}" are in "{third}", and those of "{second}" in "{fourth}"'))
def objects_not_mixed_up(
    scope: Scope, kubernetes: Kubernetes, evidence: Evidence, first: str, third: str, second: str, fourth: str
) -> None:
    """Each ConfigMap names the namespace in which it was created; a Service comes with it."""
    missing = []
    for source, target in ((first, third), (second, fourth)):
        settings = kubernetes.get(CONFIG_MAP, SETTINGS, scope.name(target))
        if (settings or {}).get("data") != {"greeting": f"from {scope.name(source)}"}:
            missing.append(f"the ConfigMap of {source} in {target}")
        if kubernetes.get(SERVICE, APP, scope.name(target)) is None:
            missing.append(f"the service of {source} in {target}")
    evidence.measure("objects_missing", len(missing), artefact="\n".join(missing) or "nothing is missing")
