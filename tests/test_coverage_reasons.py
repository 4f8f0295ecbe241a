"""`acceptance coverage`: each reason why no backup holds a volume is made, and named."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tests.volume_world import EXCLUDED, MOVED, NOW, World, claim, info, pod, uploaded
from velero_acceptance.checks.storage_usage import OPT_OUT
from velero_acceptance.checks.volume_coverage.reasons import Reason, left_out
from velero_acceptance.drivers import kinds
from velero_acceptance.drivers.kinds import Json, stamp


@pytest.fixture
def world() -> World:
    found = World()
    found.put(claim(), pod())
    return found


# -- each reason ----------------------------------------------------------------------------

SELECTOR = {"matchLabels": {"backup": "yes"}}
EXPRESSION = {"matchExpressions": [{"key": "tier", "operator": "In", "values": ["gold"]}]}
Arrange = Callable[[World], None]


def leaving_out(**spec: Any) -> Arrange:
    return lambda world: world.backup("daily-1", **spec)


def without_upload(one: Json | None = None, skipped: str = "", **spec: Any) -> Arrange:
    infos = [info(skipped=True, skippedReason=skipped, backupMethod="", result="")] if skipped else []
    return lambda world: world.backup("daily-1", claim(), one or pod(), infos=infos, **spec)


def labelled_namespace(world: World) -> None:
    world.namespace("library", **EXCLUDED)
    world.backup("daily-1")


def labelled_claim(world: World) -> None:
    labelled = claim()
    labelled["metadata"]["labels"] = EXCLUDED
    world.put(labelled)
    world.backup("daily-1", pod())


def labelled_pod(world: World) -> None:
    world.put(pod(labels=EXCLUDED))
    world.backup("daily-1", claim())


def pod_of_no_selector(world: World) -> None:
    labelled = claim()
    labelled["metadata"]["labels"] = {"backup": "yes"}
    world.put(labelled)
    world.backup("daily-1", labelled, labelSelector=SELECTOR)


def on_host_path(world: World) -> None:
    world.cluster.put(kinds.VOLUME, {"metadata": {"name": "pv-library"}, "spec": {"hostPath": {"path": "/srv"}}})
    world.backup("daily-1", claim(), pod())


def block(world: World) -> None:
    world.put(claim(volumeMode="Block"))
    world.backup("daily-1", claim(volumeMode="Block"), pod())


def failed_upload(phase: str) -> Arrange:
    failed = uploaded(pod(), phase="Failed", snapshotID="", message="x509")
    return lambda w: w.backup("daily-1", claim(), pod(), phase=phase, uploads=[failed], infos=[info(result="failed")])


def snapshot(**change: Any) -> Arrange:
    taken: Json = {"backupMethod": "CSISnapshot", "result": None, **change}
    return lambda world: world.backup("daily-1", claim(), infos=[info(**taken)])


def by_another_mover(world: World) -> None:
    movement = {"dataMover": "acme", "uploaderType": "acme"}
    world.backup("daily-1", claim(), infos=[info(**{**MOVED, "snapshotDataMovementInfo": movement})])


def by_restic_before_1_19(world: World) -> None:
    world.repository("library", "restic")
    (server,) = world.cluster.list_all(kinds.DEPLOYMENT)
    server["spec"]["template"]["spec"]["containers"] = [{"image": "velero/velero:v1.19.0"}]
    world.cluster.put(kinds.DEPLOYMENT, server)
    world.backup("daily-1", claim(), pod(), uploads=[uploaded(pod(), "restic")], infos=[info()])


def repository_gone(world: World) -> None:
    world.held()
    del world.bucket.contents["velero/kopia/library/kopia.repository"]


def repository_not_ready(world: World) -> None:
    world.held()
    spec = {"volumeNamespace": "library", "repositoryType": "kopia"}
    status = {"phase": "NotReady", "message": "invalid\npassword"}
    metadata = {"name": "library-default-kopia", "namespace": "velero"}
    world.cluster.put(kinds.BACKUP_REPOSITORY, {"metadata": metadata, "spec": spec, "status": status})


def younger(world: World) -> None:
    world.put(claim(created=stamp(NOW - timedelta(hours=1))))
    world.held()


def unreadable(world: World) -> None:
    world.held()
    world.bucket.contents["velero/backups/daily-1/daily-1.tar.gz"] = b"\x1f\x8b broken"


def paused(world: World) -> None:
    world.schedule()
    (found,) = world.cluster.list_all(kinds.SCHEDULE)
    world.cluster.put(kinds.SCHEDULE, {**found, "spec": {**found["spec"], "paused": True}})


POLICY = "any: skipped due to resource policy ;volumeSnapshot: not satisfy the criteria for VolumePolicy;"
READY = {"snapshotHandle": "s", "ReadyToUse": True}
NO_SNAPSHOT = "volumeSnapshot: not satisfy the criteria for VolumePolicy or the legacy snapshot way;"
REASONS: list[tuple[Arrange, Reason, str]] = [
    (lambda w: w.schedule(includedNamespaces=["other"]), Reason.NO_SCHEDULE, "no schedule includes its namespace"),
    (lambda w: w.schedule(excludedNamespaces=["lib*"]), Reason.NO_SCHEDULE, "no schedule"),
    (lambda w: w.schedule(), Reason.NO_BACKUP, "no finished backup yet of daily"),
    (paused, Reason.NO_BACKUP, "of daily, which is paused"),
    (lambda w: w.schedule(labelSelector=SELECTOR), Reason.SELECTOR, "(schedule daily)"),
    (without_upload(pod(annotations={OPT_OUT: "x,data"})), Reason.OPTED_OUT, "shelf-0 opts data out"),
    (without_upload(pod(annotations={OPT_OUT: "data"}), skipped=NO_SNAPSHOT), Reason.OPTED_OUT, "opts data out"),
    (without_upload(defaultVolumesToFsBackup=False), Reason.NOT_OPTED_IN, "does not name data"),
    (labelled_namespace, Reason.LABEL, "the namespace is labelled"),
    (labelled_claim, Reason.LABEL, "the claim is labelled"),
    (labelled_pod, Reason.LABEL, "the pod shelf-0 is labelled"),
    (leaving_out(labelSelector=SELECTOR), Reason.SELECTOR, "labels of the claim"),
    (leaving_out(orLabelSelectors=[SELECTOR, EXPRESSION]), Reason.SELECTOR, "labels of the claim"),
    (pod_of_no_selector, Reason.SELECTOR, "labels of the pod shelf-0"),
    (without_upload(skipped=POLICY), Reason.RESOURCE_POLICY, "its resource policy skips it"),
    (leaving_out(includedResources=["configmaps"]), Reason.RESOURCE_LIST, "includedResources does not name"),
    (leaving_out(excludedResources=["pvc"]), Reason.RESOURCE_LIST, "excludedResources names"),
    (leaving_out(excludedNamespaceScopedResources=["*"]), Reason.RESOURCE_LIST, "excludedNamespaceScopedResources"),
    (lambda w: w.backup("daily-1", claim()), Reason.NOT_MOUNTED, "no running pod in the backup mounts it"),
    (on_host_path, Reason.HOST_PATH, "path on a node"),
    (block, Reason.BLOCK, "volumeMode Block"),
    (by_another_mover, Reason.UPLOADER, "acme moved it"),
    (by_restic_before_1_19, Reason.UPLOADER, "restic moved it"),
    (failed_upload("PartiallyFailed"), Reason.PARTIALLY_FAILED, "x509"),
    (failed_upload("Completed"), Reason.FAILED, "x509"),
    (
        lambda w: w.backup("daily-1", claim(), infos=[info(**{**MOVED, "result": "failed"})]),
        Reason.FAILED,
        "CSISnapshot",
    ),
    (leaving_out(phase="PartiallyFailed"), Reason.PARTIALLY_FAILED, "the claim is not in the backup"),
    (snapshot(csiSnapshotInfo={"ReadyToUse": True}), Reason.FAILED, "CSISnapshot is not ready"),
    (snapshot(csiSnapshotInfo={**READY, "ReadyToUse": False}), Reason.FAILED, "CSISnapshot is not ready"),
    (
        snapshot(skipped=True, csiSnapshotInfo={"snapshotHandle": "s", "ReadyToUse": True}),
        Reason.NOT_MOUNTED,
        "no running",
    ),
    (repository_gone, Reason.REPOSITORY_GONE, "velero/kopia/library/ is not in the bucket"),
    (repository_not_ready, Reason.REPOSITORY_NOT_READY, "NotReady: invalid password"),
    (younger, Reason.YOUNGER, "younger than daily-1"),
    (unreadable, Reason.UNREADABLE, "daily-1"),
]


@pytest.mark.parametrize(("arrange", "reason", "says"), REASONS)
def test_each_gap_has_its_reason(world: World, arrange: Arrange, reason: Reason, says: str) -> None:
    arrange(world)
    row = world.row()
    assert row.unprotected and row.protection.finding is not None
    assert row.protection.finding.reason is reason and says in row.protection.finding.text, row.protection.finding


def test_every_reason_is_made_and_documented() -> None:
    from tests.commands import ROOT

    assert {reason for _, reason, _ in REASONS} == set(Reason)
    page = (ROOT / "docs/coverage.md").read_text()
    assert all(f"| `{reason}` |" in page for reason in Reason)


@pytest.mark.parametrize(
    ("expression", "chosen"),
    [
        ({"key": "tier", "operator": "In", "values": ["gold"]}, True),
        ({"key": "tier", "operator": "In", "values": ["tin"]}, False),
        ({"key": "tier", "operator": "NotIn", "values": ["gold"]}, False),
        ({"key": "none", "operator": "NotIn", "values": ["gold"]}, True),
        ({"key": "tier", "operator": "Exists"}, True),
        ({"key": "none", "operator": "Exists"}, False),
        ({"key": "tier", "operator": "DoesNotExist"}, False),
        ({"key": "none", "operator": "DoesNotExist"}, True),
    ],
)
def test_selectors_are_read_as_the_api_server_does(expression: Json, chosen: bool) -> None:
    item = claim()
    item["metadata"]["labels"] = {"tier": "gold"}
    found = left_out(item, "persistentvolumeclaims", {"labelSelector": {"matchExpressions": [expression]}}, {})
    assert (found is None) is chosen
