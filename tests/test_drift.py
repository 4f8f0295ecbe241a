"""Edits by hand of all that Flux applies: what remains, how it is undone, and what Flux was told to ignore."""

from __future__ import annotations

import base64
import copy
import gzip
import json
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from fixtures.environment.run_scope import Scope
from fixtures.gitops import drift as module
from fixtures.gitops.drift import Drift, FluxObjects
from fixtures.gitops.edits import edits_of
from tests.fake_cluster import RUN_ID, FakeCluster, make_target
from tests.fake_systems import FakeFlux
from tests.fixture_functions import ScenarioFailed, fail, fixture
from velero_acceptance.checks.reconciliation import exemptions
from velero_acceptance.core.errors import AcceptanceError, Blocked
from velero_acceptance.core.naming import EDITED
from velero_acceptance.drivers import kinds
from velero_acceptance.drivers.flux_inventory import AppliedObject, FluxInventory
from velero_acceptance.drivers.kinds import Json, Kind
from velero_acceptance.target import hand_edits

CONFIG = Kind("", "v1", "ConfigMap", "configmaps")
CLUSTER_ROLE = Kind("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", namespaced=False)
OCI = Kind("source.toolkit.fluxcd.io", "v1", "OCIRepository", "ocirepositories")
CONTAINER = {
    "name": "velero",
    "image": "velero:v1",
    "args": ["server", "--default-volumes-to-fs-backup"],
    "env": [{"name": "SECRET", "valueFrom": {}}, {"name": "LD_LIBRARY_PATH", "value": "/plugins"}],
    "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}},
}
POD = {"template": {"spec": {"containers": [CONTAINER]}}}
SECRET_TEXT = "[default]\naws_secret_access_key=x"
RELEASED: dict[Kind, Json] = {
    kinds.DEPLOYMENT: {"metadata": {"name": "velero"}, "spec": {"replicas": 1, **POD}},
    kinds.DAEMON_SET: {
        "metadata": {"name": "node-agent"},
        "spec": {**POD, "updateStrategy": {"type": "RollingUpdate"}},
    },
    kinds.SERVICE: {"metadata": {"name": "velero"}, "spec": {"ports": [{"port": 8085}]}},
    CONFIG: {"metadata": {"name": "dashboard"}, "data": {"a.json": "{}"}},
    CLUSTER_ROLE: {"metadata": {"name": "velero"}, "rules": []},
    kinds.CLUSTER_ROLE_BINDING: {"metadata": {"name": "velero"}, "roleRef": {}, "subjects": []},
    kinds.SERVICE_ACCOUNT: {"metadata": {"name": "velero", "labels": {"app": "velero"}}},
    kinds.STORAGE_LOCATION: {"metadata": {"name": "default"}, "spec": {"validationFrequency": "1m"}},
}
EDITS = {
    "Deployment velero/velero": ["arguments", "image", "variable LD_LIBRARY_PATH", "request of cpu", "replicas"],
    "DaemonSet velero/node-agent": ["arguments", "image", "variable LD_LIBRARY_PATH", "request of cpu"],
    "ConfigMap velero/dashboard": ["value of a.json"],
    "ClusterRole velero": ["rules"],
    "ClusterRoleBinding velero": ["subjects"],
    "ServiceAccount velero/velero": ["label app"],
    "BackupStorageLocation velero/default": ["validation frequency"],
    "Secret velero/cloud": ["value of cloud"],
    "OCIRepository velero/chart": ["interval"],
    "Schedule velero/daily": ["pause"],
    "HelmRelease velero/velero": ["interval"],
}
APPLIED_BY = {f"kustomize.toolkit.fluxcd.io/{key}": value for key, value in (("name", "apps"), ("namespace", "flux"))}
ENTRIES = {
    kinds.SECRET: "velero_cloud__Secret",
    OCI: "velero_chart_source.toolkit.fluxcd.io_OCIRepository",
    kinds.SCHEDULE: "velero_daily_velero.io_Schedule",
    kinds.HELM_RELEASE: "velero_velero_helm.toolkit.fluxcd.io_HelmRelease",
}


def put_release(cluster: FakeCluster, **spec: Any) -> None:
    """Put the release, its objects and Helm's record of them."""
    documents = []
    for kind, item in RELEASED.items():
        cluster.put(kind, copy.deepcopy(item), "velero" if kind.namespaced else None)
        documents.append({"apiVersion": kind.api_version, "kind": kind.kind, **item})
    record = json.dumps({"manifest": yaml.safe_dump_all(documents), "namespace": "velero"}).encode()
    content = base64.b64encode(base64.b64encode(gzip.compress(record))).decode()
    for version, data in (("9", "b2xk"), ("10", content)):
        labels = {"owner": "helm", "name": "velero", "status": "deployed", "version": version}
        metadata = {"name": f"sh.helm.release.v1.velero.v{version}", "namespace": "velero", "labels": labels}
        cluster.put(kinds.SECRET, {"metadata": metadata, "data": {"release": data}})
    managed(cluster, kinds.HELM_RELEASE, "velero", {"driftDetection": {"mode": "enabled"}, "interval": "30m", **spec})


def managed(cluster: FakeCluster, kind: Kind, name: str, spec: Json, **parts: Json) -> None:
    """Put an object that a Kustomization applies, with all of its fields."""
    item: Json = {"spec": spec, **parts} if spec else parts
    fields: Json = {f"f:{part}": {f"f:{key}": {} for key in value} for part, value in item.items()}
    entry = {"manager": "kustomize-controller", "fieldsV1": fields}
    metadata = {"name": name, "namespace": "velero", "labels": dict(APPLIED_BY), "generation": 1}
    ready = {"conditions": [{"type": "Ready", "status": "True", "observedGeneration": 1}]}
    cluster.put(kind, {"metadata": {**metadata, "managedFields": [entry]}, **item, "status": ready})


@pytest.fixture
def deployed() -> tuple[FakeCluster, FakeFlux, FluxObjects]:
    cluster, done = FakeCluster(), list[str]()
    put_release(cluster)
    managed(cluster, kinds.SECRET, "cloud", {}, data={"cloud": base64.b64encode(SECRET_TEXT.encode()).decode()})
    managed(cluster, OCI, "chart", {"interval": "12h"})
    managed(cluster, kinds.SCHEDULE, "daily", {"paused": False, "schedule": "0 2 * * *"})
    flux = FakeFlux(cluster, done)
    flux.add(kinds.KUSTOMIZATION, "apps", "flux", prune=True)
    inventory = {"inventory": {"entries": [{"id": entry, "v": "v1"} for entry in ENTRIES.values()]}}
    cluster.change(kinds.KUSTOMIZATION, "apps", "flux", {"status": inventory})
    target = make_target(cluster, schedule="daily", velero_namespace="velero", flux_namespace="flux")
    return cluster, flux, FluxObjects(target, flux.driver)


def make_drift(cluster: FakeCluster, flux: FakeFlux, applied: FluxObjects) -> Drift:
    return Drift(applied._target, flux.driver, applied, Scope(RUN_ID, "scenario", cluster))


def state(cluster: FakeCluster) -> dict[str, Json]:
    """Every object but for what Flux and the API server write."""
    found = copy.deepcopy(cluster.store.objects)
    for item in found.values():
        item["metadata"].pop("resourceVersion")
        for part in ("labels", "annotations"):
            item["metadata"][part] = {
                key: value for key, value in (item["metadata"].get(part) or {}).items() if "requestedAt" not in key
            }
        item.pop("status", None)
    return found


def drifts(edits: dict[str, list[str]]) -> list[str]:
    return sorted(f"{item}: the {what}" for item, found in edits.items() for what in found)


def test_every_object_is_edited_once_and_each_edit_that_flux_leaves_is_named(
    deployed: tuple[FakeCluster, FakeFlux, FluxObjects],
) -> None:
    cluster, before = deployed[0], state(deployed[0])
    drift = make_drift(*deployed)
    edited, left = drift.edit_all()
    assert sorted(edited) == drifts(EDITS) and left == ["Service velero/velero"]
    assert edited[-1].startswith("HelmRelease"), "Flux begins to reconcile it when it changes"
    patches = cluster.written("PATCH")
    assert len(patches) == len(set(patches)) == len(EDITS), "one request for each object"
    assert sorted(drift.remaining()) == sorted(f"{line} is as edited by hand" for line in drifts(EDITS))
    cluster.drop(CONFIG, "dashboard", "velero")
    assert "ConfigMap velero/dashboard is missing" in drift.remaining()
    cluster.put(CONFIG, copy.deepcopy(RELEASED[CONFIG]), "velero")
    drift.undo()
    assert drift.remaining() == [] and state(cluster) == before


def test_neither_the_server_nor_a_node_agent_is_rolled_out(
    deployed: tuple[FakeCluster, FakeFlux, FluxObjects],
) -> None:
    cluster = deployed[0]
    make_drift(*deployed).edit_all()
    assert cluster.require(kinds.DEPLOYMENT, "velero", "velero")["spec"]["paused"] is True
    assert cluster.require(kinds.DAEMON_SET, "node-agent", "velero")["spec"]["updateStrategy"]["type"] == "OnDelete"


def test_what_flux_reverts_is_not_written_again_and_what_it_leaves_is_reverted_when_the_scenario_fails(
    deployed: tuple[FakeCluster, FakeFlux, FluxObjects],
) -> None:
    cluster, flux, applied = deployed
    before = state(cluster)

    def revert() -> None:
        """All but the arguments of the server, which Flux was told to ignore."""
        for kind, item in RELEASED.items():
            if kind not in (kinds.DEPLOYMENT, kinds.DAEMON_SET):
                parts = {key: value for key, value in item.items() if key != "metadata"}
                cluster.change(kind, kinds.name_of(item), "velero" if kind.namespaced else None, parts)
        wrong = {**CONTAINER, "args": [*CONTAINER["args"], "--edited-by-hand"]}
        spec = {"replicas": 1, "template": {"spec": {"containers": [wrong]}}}
        cluster.change(kinds.DEPLOYMENT, "velero", "velero", {"spec": spec})

    flux.reconcile = revert
    values = {"target": applied._target, "flux": flux.driver, "flux_objects": applied}
    with (
        pytest.raises(ScenarioFailed),
        fixture(module, "drift", scope=Scope(RUN_ID, "scenario", cluster), **values) as drift,
    ):
        fail(drift.edit_all(), applied.reconcile(), left := drift.remaining())
    assert "Deployment velero/velero: the arguments is as edited by hand" in left
    assert not [line for line in left if "replicas" in line or "ConfigMap" in line]
    assert state(cluster) == before


def test_the_edits_of_a_killed_run_are_found_by_their_mark(
    deployed: tuple[FakeCluster, FakeFlux, FluxObjects],
) -> None:
    cluster, before = deployed[0], state(deployed[0])
    make_drift(*deployed).edit_all()
    notes = json.dumps(cluster.require(kinds.SECRET, "cloud", "velero")["metadata"])
    assert "aws_secret" not in notes and base64.b64encode(SECRET_TEXT.encode()).decode() not in notes
    found = list(hand_edits.undo_all(cluster))
    assert len(found) == len(EDITS) and all(RUN_ID in line for line in found)
    assert state(cluster) == before and list(hand_edits.undo_all(cluster)) == []


def test_objects_of_other_people_and_what_cannot_be_changed_are_left(
    deployed: tuple[FakeCluster, FakeFlux, FluxObjects],
) -> None:
    config = {"metadata": {"name": "x", "namespace": "monitoring"}, "data": {"a": "b"}}
    elsewhere = AppliedObject(CONFIG, "x", "monitoring", config, config)
    assert not make_drift(*deployed)._may_be_edited(elsewhere)
    immutable = {**config, "immutable": True}
    assert edits_of(AppliedObject(CONFIG, "x", "velero", immutable, immutable), "nobody") == []
    bare = {"metadata": {"name": "velero", "labels": {"pod-security.kubernetes.io/enforce": "privileged"}}}
    assert edits_of(AppliedObject(kinds.NAMESPACE, "velero", None, bare, bare), "nobody") == []


def test_helm_without_a_record_and_flux_without_an_inventory_are_errors(
    deployed: tuple[FakeCluster, FakeFlux, FluxObjects],
) -> None:
    cluster = deployed[0]
    release = cluster.require(kinds.HELM_RELEASE, "velero", "velero")
    release["status"]["storageNamespace"] = "elsewhere"
    with pytest.raises(AcceptanceError, match="no record of a deployed release elsewhere/velero"):
        FluxInventory(cluster).of_release(release)
    with pytest.raises(AcceptanceError, match="Kustomization flux-system has no inventory"):
        FluxInventory(cluster).of_kustomization({"metadata": {"name": "flux-system"}})


# -- what Flux was told to ignore -------------------------------------------------------------

ARGUMENTS = "/spec/template/spec/containers/0/args"


def released(place: str = "live", **metadata: Any) -> list[AppliedObject]:
    """The objects; the Service has that metadata in the cluster, or in Git and there."""
    found = []
    for kind, item in RELEASED.items():
        changed = {**item, "metadata": {**item["metadata"], **metadata}} if kind is kinds.SERVICE else item
        desired = changed if place == "in Git" else item
        found.append(AppliedObject(kind, kinds.name_of(item), "velero" if kind.namespaced else None, desired, changed))
    return found


def release(**detection: Any) -> Json:
    metadata = {"name": "velero", "namespace": "velero"}
    return {"kind": "HelmRelease", "metadata": metadata, "spec": {"driftDetection": detection}}


def kustomization(**spec: Any) -> Json:
    metadata = {"name": "apps", "namespace": "flux"}
    return {"kind": "Kustomization", "metadata": metadata, "spec": {"prune": True, **spec}}


def rule(path: str, **target: str) -> Json:
    return {"mode": "enabled", "ignore": [{"paths": [path], "target": target}]}


@pytest.mark.parametrize(
    ("detection", "lines"),
    [
        ({"mode": "warn"}, ["mode is warn: no edit of its 8 objects"]),
        ({}, ["mode is disabled"]),
        (rule(ARGUMENTS, kind="Deployment"), [f"ignore names {ARGUMENTS} of Deployment velero/velero"]),
        (rule(ARGUMENTS), ["of Deployment velero/velero", "of DaemonSet velero/node-agent"]),
        (rule("", kind="ConfigMap"), ["ignore names / of ConfigMap velero/dashboard"]),
        (rule("/data/a.json", name="dash.*"), ["ignore names /data/a.json of ConfigMap"]),
        (rule("/spec/replicas", labelSelector="app in (velero)"), ["of Deployment velero/velero"]),
        (rule("/metadata/labels/app", labelSelector="app=velero"), ["of ServiceAccount velero/velero"]),
        # Harmless: of nothing in this release, or of fields that Git does not set.
        ({"mode": "enabled"}, []),
        (rule(ARGUMENTS, kind="StatefulSet"), []),
        (rule("/", kind="ConfigMap"), []),
        (rule(ARGUMENTS, kind="Deployment", name="grafana"), []),
        (rule("/spec/replicas", kind="DaemonSet"), []),
        (rule("/spec/template/spec/containers/1/args", kind="Deployment"), []),
        (rule("/metadata/labels/app", labelSelector="app=grafana"), []),
        (rule("/metadata/labels/app", annotationSelector="team==x"), []),
    ],
)
def test_what_the_release_ignores_is_named_if_it_is_velero_s(detection: Json, lines: list[str]) -> None:
    found = exemptions(release(**detection), released())
    assert len(found) == len(lines)
    assert all(line in text for line, text in zip(lines, found, strict=True)), found


DETECTION, RECONCILE, SSA, PRUNE = (
    "helm.toolkit.fluxcd.io/driftDetection",
    *(f"kustomize.toolkit.fluxcd.io/{key}" for key in ("reconcile", "ssa", "prune")),
)


@pytest.mark.parametrize("part", ["labels", "annotations"])
@pytest.mark.parametrize(
    ("applier", "key", "value", "heeded"),
    [
        (release, DETECTION, "disabled", {"in Git"}),
        (release, DETECTION, "enabled", set()),
        (release, RECONCILE, "disabled", set()),
        (kustomization, RECONCILE, "disabled", {"in Git", "live"}),
        (kustomization, SSA, "IfNotPresent", {"in Git"}),
        (kustomization, SSA, "Ignore", {"in Git", "live"}),
        (kustomization, PRUNE, "disabled", {"in Git", "live"}),
        (kustomization, SSA, "Merge", set()),
        (kustomization, DETECTION, "disabled", set()),
    ],
)
def test_a_mark_at_an_object_is_named_where_its_controller_heeds_it(
    applier: Callable[..., Json], key: str, value: str, heeded: set[str], part: str
) -> None:
    item = applier(mode="enabled") if applier is release else applier()
    for place in ("in Git", "live"):
        found = exemptions(item, released(place, **{part: {key: value}}))
        assert found == ([f"Service velero/velero: {key} is {value}"] if place in heeded else [])


def test_a_namespace_may_be_kept_from_pruning() -> None:
    metadata = {"name": "velero", "annotations": {"kustomize.toolkit.fluxcd.io/prune": "disabled"}}
    kept = AppliedObject(kinds.NAMESPACE, "velero", None, {"metadata": metadata}, None)
    assert exemptions(kustomization(), [kept]) == []


@pytest.mark.parametrize("spec", [{"prune": False}, {"suspend": True}])
def test_a_kustomization_that_does_not_prune_or_is_suspended_is_named(spec: Json) -> None:
    (line,) = exemptions(kustomization(**spec), [])
    assert line.startswith("Kustomization flux/apps: spec.")


def test_the_schedule_is_exempted_for_the_control_and_no_longer_afterwards(
    deployed: tuple[FakeCluster, FakeFlux, FluxObjects],
) -> None:
    cluster, applied = deployed[0], deployed[2]
    assert applied.exemptions() == []
    drift = make_drift(*deployed)
    drift.exempt_schedule()
    assert applied.exemptions() == ["Schedule velero/daily: kustomize.toolkit.fluxcd.io/reconcile is disabled"]
    drift.undo()
    assert applied.exemptions() == []
    assert EDITED not in json.dumps(cluster.require(kinds.SCHEDULE, "daily", "velero"))


def test_a_schedule_that_flux_does_not_apply_is_no_control(
    deployed: tuple[FakeCluster, FakeFlux, FluxObjects],
) -> None:
    cluster = deployed[0]
    cluster.change(kinds.SCHEDULE, "daily", "velero", {"metadata": {"labels": None}})
    with pytest.raises(Blocked, match="no Kustomization of Flux applies the Schedule daily"):
        make_drift(*deployed).exempt_schedule()


def test_an_edit_that_cannot_be_reverted_keeps_no_other(deployed: tuple[FakeCluster, FakeFlux, FluxObjects]) -> None:
    cluster, before = deployed[0], state(deployed[0])
    drift = make_drift(*deployed)
    drift.edit_all()

    def refuse(method: str, path: str, _: Json) -> None:
        if method == "PATCH" and "/daemonsets/" in path:
            raise AcceptanceError("the API server did not answer")

    cluster.store.before = refuse
    with pytest.raises(AcceptanceError, match="did not answer"):
        drift.undo()
    left = [path for path, item in state(cluster).items() if item != before[path]]
    assert len(left) == 1 and left[0].endswith("daemonsets/node-agent")
