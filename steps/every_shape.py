"""An application of every shape: StatefulSet, sidecar, emptyDir, several volumes and pods, all in one namespace."""

from collections.abc import Mapping, Sequence

from pytest_bdd import given, parsers, then, when

from fixtures.applications import shapes
from fixtures.applications.every_shape import OF_A_SIDECAR, EveryShape
from fixtures.environment.cluster import TargetClients
from fixtures.environment.phrases import Recorder, holds, violated
from fixtures.environment.run_scope import Scope
from velero_acceptance.checks import coverage, restored_objects
from velero_acceptance.core.errors import Inconclusive
from velero_acceptance.drivers.kinds import (
    CLAIM,
    CONFIG_MAP,
    CRON_JOB,
    DEPLOYMENT,
    JOB,
    NETWORK_POLICY,
    POD,
    RESOURCE_QUOTA,
    SERVICE,
    SERVICE_ACCOUNT,
    STATEFUL_SET,
    VOLUME,
    Json,
    is_ready,
    name_of,
    phase_of,
)
from velero_acceptance.drivers.velero import Operation
from velero_acceptance.evidence.recorder import Evidence

KINDS = (
    CLAIM,
    CONFIG_MAP,
    CRON_JOB,
    DEPLOYMENT,
    JOB,
    NETWORK_POLICY,
    RESOURCE_QUOTA,
    SERVICE,
    SERVICE_ACCOUNT,
    STATEFUL_SET,
)


@given(
    "a namespace with volumes and pods of every shape, and a completed backup of it", target_fixture="backup_of_shapes"
)
def shapes_backed_up(every_shape: EveryShape) -> Operation:
    """Deployed and backed up once a session."""
    return every_shape.backup


@given(
    "a namespace with volumes and pods of every shape, and a backup that leaves out the one in memory",
    target_fixture="backup_of_shapes",
)
def shapes_backed_up_but_one(every_shape: EveryShape) -> Operation:
    return every_shape.backup_without_one


@when(parsers.parse('the backup of it is restored into "{alias}"'), target_fixture="restore")
def restore_shapes(scope: Scope, every_shape: EveryShape, backup_of_shapes: Operation, alias: str) -> Operation:
    return every_shape.restore(scope, backup_of_shapes, alias)


@then(parsers.parse('every pod of every shape in "{alias}" is ready'))
def shapes_ready(
    scope: Scope, every_shape: EveryShape, target: TargetClients, evidence: Evidence, restore: Operation, alias: str
) -> None:
    restore.require()
    every_shape.wait_ready(scope.name(alias))
    pods = target.kubernetes.list_all(POD, scope.name(alias))
    evidence.observe("nodes of the copy", ", ".join(sorted({str(pod["spec"].get("nodeName")) for pod in pods})))
    evidence.measure("pods_not_ready", sum(not is_ready(pod) for pod in pods if phase_of(pod) != "Succeeded"))


@then(holds('every volume of every shape in "{alias}" is equal, bytes and metadata'))
@then(violated('the suite reports a volume in "{alias}" as different'))
def shapes_equal(
    scope: Scope, every_shape: EveryShape, restore: Operation, evidence: Evidence, record: Recorder, alias: str
) -> None:
    """The volume that differs most decides, but for the one that Velero is known to leave out."""
    restore.require()
    every_shape.wait_ready(scope.name(alias))
    found = every_shape.read(scope.name(alias))
    differences = {name: expected.compare(found[name]) for name, expected in every_shape.expected.items()}
    for name, difference in differences.items():
        evidence.observe(name, difference.percent_equal, "percent")
    tables = "\n\n".join(f"{name}\n{difference.table()}" for name, difference in differences.items())
    lost = differences.pop(OF_A_SIDECAR)
    evidence.observe("documented, E-38: files lost of a sidecar's volume", 100 - lost.percent_equal, "percent")
    record(evidence, "files_equal", min(d.percent_equal for d in differences.values()), artefact=tables)


@then(parsers.parse('every object of every shape is in "{alias}", and as it was'))
def shapes_objects(
    scope: Scope, every_shape: EveryShape, target: TargetClients, evidence: Evidence, alias: str
) -> None:
    source, copy = (_objects(target, namespace) for namespace in (every_shape.source, scope.name(alias)))
    complete = [name_of(job) for job in source[JOB.kind] if restored_objects.is_complete(job)]
    evidence.observe("documented, E-36: Jobs that are complete, and not restored", ", ".join(complete))
    policies = {_policy(target, claim) for claim in copy[CLAIM.kind]}
    evidence.observe("reclaim policies of the copy's volumes", ", ".join(sorted(policies)))
    wrong = [*restored_objects.missing(source, copy), *restored_objects.altered(source, copy)]
    evidence.measure("objects_missing", len(wrong), artefact="\n".join(wrong) or "nothing is missing or altered")


def _objects(target: TargetClients, namespace: str) -> Mapping[str, Sequence[Json]]:
    return {kind.kind: target.kubernetes.list_all(kind, namespace) for kind in KINDS}


def _policy(target: TargetClients, claim: Json) -> str:
    volume = claim["spec"].get("volumeName")
    found = target.kubernetes.get(VOLUME, volume) if volume else None
    return str(found["spec"].get("persistentVolumeReclaimPolicy")) if found else "no volume"


@then("the claim of a block device is the only one that the backup holds no data of")
def block_left_out(
    every_shape: EveryShape, backup_of_shapes: Operation, target: TargetClients, evidence: Evidence
) -> None:
    claims = target.kubernetes.list_all(CLAIM, every_shape.source)
    found = coverage.of_backup(target.backup_files(backup_of_shapes.name), claims)
    evidence.attach("claims.txt", coverage.table(found))
    left_out = [gap.claim for gap in coverage.gaps(found)]
    evidence.observe("claims without data in the backup", ", ".join(left_out))
    if left_out != [shapes.BLOCK]:
        raise Inconclusive(f"the backup holds no data of {left_out}: what is compared is not all of the application")
