"""The application of every shape on a fake cluster: what it has, what is backed up, and that nothing of it stays."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from fixtures.applications import every_shape, shapes
from fixtures.applications.every_shape import MOUNTS, OF_A_USER, EveryShape
from fixtures.applications.excluded_volumes import OPT_OUT
from fixtures.applications.workload import Workloads
from fixtures.environment.cluster import TargetClients
from fixtures.environment.run_scope import Scope
from tests.fake_cluster import RUN_ID, FakeCluster
from tests.fake_velero import FakeVelero
from tests.fixture_functions import fixture
from velero_acceptance.core.errors import AcceptanceError
from velero_acceptance.core.naming import FAULT, RUN_LABEL
from velero_acceptance.corpus.differences import Entry
from velero_acceptance.corpus.manifest import Corpus, Manifest
from velero_acceptance.drivers import kinds
from velero_acceptance.drivers.kinds import Json, name_of

ROOT = {"path": ".", "type": "directory", "mode": "0700", "uid": 0, "gid": 0, "mtime_ns": 1, "size": 0, "allocated": 0}
READ = "\n".join(map(json.dumps, (ROOT, {"entries": 1, "bytes": 0}))).encode()
POLICY: Json = {"persistentVolumeReclaimPolicy": "Delete"}
PLANNED = Manifest({"planned": Entry("planned", "directory", "0755", 0, 0, 1, 0)})


class PlannedCorpus(Corpus):
    def manifest(self) -> Manifest:
        return PLANNED


@pytest.fixture
def application(target: TargetClients, scope: Scope, cluster: FakeCluster, velero: FakeVelero) -> Iterator[EveryShape]:
    def start(item: Json) -> None:
        velero.start(name_of(item), item["metadata"]["namespace"])

    def complete(item: Json) -> None:
        done = {"status": {"conditions": [{"type": "Complete", "status": "True"}]}}
        change = partial(cluster.change, kinds.JOB, name_of(item), item["metadata"]["namespace"], done)
        cluster.later.append(change)

    velero.volume = {**velero.volume, **POLICY}
    cluster.on("POST", kinds.STATEFUL_SET, start)
    cluster.on("POST", kinds.JOB, complete)
    cluster.outputs = lambda command: READ if command[1] == "read" else b""
    corpus = PlannedCorpus(Path("/corpus"), RUN_ID)
    values = {"session_scope": scope, "workloads": Workloads(target), "corpus": corpus}
    with fixture(every_shape, "every_shape", **values) as found:
        yield found


def policies(cluster: FakeCluster) -> set[str]:
    return {volume["spec"]["persistentVolumeReclaimPolicy"] for volume in cluster.list_all(kinds.VOLUME)}


def created(kind: kinds.Kind) -> dict[str, Json]:
    return {name_of(item): item for found, item in shapes.objects("local", "image") if found is kind}


def test_it_fits_into_the_quota_of_a_namespace() -> None:
    assert len(created(kinds.CLAIM)) + 1 == 5, "with that of the StatefulSet"


def test_every_shape_is_there() -> None:
    claims, services, apps = created(kinds.CLAIM), created(kinds.SERVICE), created(kinds.DEPLOYMENT)
    pods = {name: app["spec"]["template"]["spec"] for name, app in apps.items()}
    desk, reader = pods[shapes.DESK], pods[shapes.READER]
    assert claims[shapes.BLOCK]["spec"]["volumeMode"] == "Block"
    assert services[shapes.HEADLESS]["spec"]["clusterIP"] == "None"
    assert services[shapes.NODE_PORT]["spec"]["type"] == "NodePort"
    (shelf,) = created(kinds.STATEFUL_SET).values()
    assert shelf["spec"]["volumeClaimTemplates"] and shelf["spec"]["persistentVolumeClaimRetentionPolicy"]
    assert len(desk["volumes"]) == 4 and desk["volumes"][2]["emptyDir"]["medium"] == "Memory"
    (sidecar,) = desk["initContainers"]
    assert sidecar["restartPolicy"] == "Always" and [m["name"] for m in sidecar["volumeMounts"]] == ["side"]
    assert [m.get("subPath") for m in desk["containers"][0]["volumeMounts"]][-1] == "part"
    users = [name for name, pod in pods.items() for v in pod["volumes"] if v["name"] == shapes.SHARED]
    assert users == [shapes.OWNER, shapes.BORROWER]
    assert reader["securityContext"] == {"fsGroup": shapes.GROUP}
    limited = reader["containers"][0]["securityContext"]
    assert limited["runAsNonRoot"] and limited["readOnlyRootFilesystem"] and limited["runAsUser"] == shapes.USER
    assert created(kinds.JOB) and created(kinds.CRON_JOB)["nightly"]["spec"]["suspend"]


def test_every_volume_is_filled_with_content_of_its_own_and_backed_up(
    application: EveryShape, cluster: FakeCluster
) -> None:
    during: list[str] = []

    def look(_: Json) -> None:
        volumes = cluster.list_all(kinds.VOLUME)
        during.extend(name_of(v) for v in volumes if v["spec"].get("persistentVolumeReclaimPolicy") == "Retain")

    cluster.on("POST", kinds.BACKUP, look)
    application.backup, application.backup  # noqa: B018  # once
    seeds = [command[4] for command in cluster.executed if command[2] == "fill"]
    assert len(seeds) == len(set(seeds)) == len(MOUNTS)
    assert [command[2] for command in cluster.executed].count("write") == 1
    assert during == [f"pv-{application.source}-{shapes.RETAINED}"]
    assert policies(cluster) == {"Delete"}, "with Retain, its data would stay on the node"
    assert set(application.expected) == {*MOUNTS, OF_A_USER} and application.expected[OF_A_USER] is PLANNED


def test_a_backup_that_fails_leaves_no_retained_volume(
    application: EveryShape, cluster: FakeCluster, velero: FakeVelero
) -> None:
    velero.ending = lambda _: "PartiallyFailed"
    with pytest.raises(AcceptanceError, match="ended PartiallyFailed"):
        _ = application.backup
    assert policies(cluster) == {"Delete"}


def test_a_volume_that_was_restored_with_retain_goes_with_its_claim(
    target: TargetClients, scope: Scope, cluster: FakeCluster
) -> None:
    spec = {"persistentVolumeReclaimPolicy": "Retain"}
    marks = {"restored": {FAULT: scope.labels[RUN_LABEL]}, "of others": {}, "of another run": {FAULT: "another"}}
    values = {"session_scope": scope, "workloads": Workloads(target), "corpus": None}
    with fixture(every_shape, "every_shape", **values):
        for name, labels in marks.items():
            cluster.put(kinds.VOLUME, {"metadata": {"name": name, "labels": labels}, "spec": dict(spec)})
    found = {name_of(item): item["spec"]["persistentVolumeReclaimPolicy"] for item in cluster.list_all(kinds.VOLUME)}
    assert found == {"restored": "Delete", "of others": "Retain", "of another run": "Retain"}


def test_the_volume_in_memory_is_left_out_of_one_backup_alone(application: EveryShape, cluster: FakeCluster) -> None:
    during: list[str] = []

    def desk(_: Json | None = None) -> None:
        pod = cluster.require(kinds.POD, f"{shapes.DESK}-1", application.source)
        during.append((pod["metadata"].get("annotations") or {}).get(OPT_OUT, ""))

    cluster.on("POST", kinds.BACKUP, desk)
    _ = application.backup_without_one
    desk()
    assert during == [shapes.MEMORY, ""]


def test_it_is_restored_into_another_namespace_and_read_volume_by_volume(
    application: EveryShape, scope: Scope, velero: FakeVelero
) -> None:
    done = application.restore(scope, application.backup, "copy")
    assert done.item["spec"]["namespaceMapping"] == {application.source: scope.name("copy")}
    for app in shapes.APPS:
        velero.start(app, scope.name("copy"))
    application.wait_ready(scope.name("copy"))
    assert set(application.read(scope.name("copy"))) == set(application.expected)
