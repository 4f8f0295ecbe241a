"""What scenarios do to the deployed system is undone by what can be seen of it, and nothing else is touched."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, cast

import pytest

from velero_acceptance.core.naming import FAULT
from velero_acceptance.core.settings import Environment
from velero_acceptance.core.timeouts import Timeouts
from velero_acceptance.drivers.flux import Flux
from velero_acceptance.drivers.kinds import HELM_RELEASE, NODE, STORAGE_LOCATION, Json, Kind
from velero_acceptance.drivers.kubernetes import Kubernetes
from velero_acceptance.drivers.velero_server import VeleroServer
from velero_acceptance.target.fault_reverts import (
    pause_validation,
    release_volume,
    restore_memory_limit,
    resume,
    resume_validation,
    retain_volume,
    suspend,
    taint,
    untaint,
)

FOREIGN = {"key": "dedicated", "value": "gpu", "effect": "NoSchedule"}


class Objects:
    """A cluster that merges patches into what it holds."""

    def __init__(self, *items: Json) -> None:
        self.items = {item["metadata"]["name"]: item for item in items}

    def require(self, _kind: Kind, name: str, _namespace: str | None = None) -> Json:
        return self.items[name]

    def get(self, _kind: Kind, name: str, _namespace: str | None = None) -> Json | None:
        return self.items.get(name)

    def patch(self, _kind: Kind, name: str, _namespace: str | None, change: Json) -> None:
        merge(self.items[name], change)

    def wait(self, _kind: Kind, name: str, *_: Any, until: Any, **__: Any) -> Json:
        """The controller does at once what it is asked."""
        item = self.items[name]
        requested = item["metadata"].get("annotations", {}).get("reconcile.fluxcd.io/requestedAt")
        condition = {"type": "Ready", "status": "True"}
        item["status"] = {"lastHandledReconcileAt": requested, "observedGeneration": 1, "conditions": [condition]}
        assert until(item)
        return item


def merge(into: Json, change: Json) -> None:
    for key, value in change.items():
        if value is None:
            into.pop(key, None)
        elif isinstance(value, dict):
            merge(into.setdefault(key, {}), value)
        else:
            into[key] = value


@pytest.mark.parametrize("before", [None, [FOREIGN]])
def test_only_our_own_taint_is_taken_off(before: list[Json] | None) -> None:
    cluster = Objects({"metadata": {"name": "n"}, "spec": {} if before is None else {"taints": before}})
    kubernetes = cast(Kubernetes, cluster)
    assert not untaint(kubernetes, "n")
    taint(kubernetes, "n", "run")
    assert {"key": FAULT, "value": "run", "effect": "NoSchedule"} in cluster.require(NODE, "n")["spec"]["taints"]
    assert untaint(kubernetes, "n")
    assert cluster.require(NODE, "n")["spec"].get("taints") == before


@pytest.mark.parametrize("policy", ["Delete", "Retain"])
def test_only_a_volume_that_we_retain_is_deleted_with_its_claim(policy: str) -> None:
    volume: Json = {"metadata": {"name": "v"}, "spec": {"persistentVolumeReclaimPolicy": policy}}
    kubernetes = cast(Kubernetes, Objects(volume))
    assert not release_volume(kubernetes, "v")
    retain_volume(kubernetes, "v", "run")
    assert volume["spec"]["persistentVolumeReclaimPolicy"] == "Retain"
    assert release_volume(kubernetes, "v") == (policy == "Delete")
    assert volume["spec"]["persistentVolumeReclaimPolicy"] == policy and not volume["metadata"].get("labels")


def velero(cluster: Objects) -> VeleroServer:
    return VeleroServer(cast(Kubernetes, cluster), "velero", "default", Timeouts())


@pytest.mark.parametrize("stopped", [True, False])
def test_only_a_server_that_we_stopped_is_started(stopped: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(VeleroServer, "wait_healthy", lambda _: None)
    marks = {FAULT: "run"} if stopped else {}
    server: Json = {"metadata": {"name": "velero", "labels": marks}, "spec": {"replicas": 0}}
    assert velero(Objects(server)).start() is stopped
    assert server["spec"]["replicas"] == int(stopped)
    assert FAULT not in server["metadata"]["labels"]


def test_where_there_is_no_server_there_is_none_to_start() -> None:
    assert velero(Objects()).start() is False


def test_only_our_own_suspension_is_ended() -> None:
    release: Json = {"metadata": {"name": "velero", "labels": {}, "generation": 1}, "spec": {"suspend": True}}
    cluster = Objects(release)
    flux = Flux(cast(Kubernetes, cluster), Timeouts(), "flux-system", "flux-system")
    resume(flux, "velero", "velero")
    assert cluster.require(HELM_RELEASE, "velero")["spec"]["suspend"], "somebody else has suspended it"
    suspend(flux, "velero", "velero", "run")
    resume(flux, "velero", "velero")
    assert "suspend" not in release["spec"] and FAULT not in release["metadata"]["labels"]


@pytest.mark.parametrize("spec", [{}, {"validationFrequency": "1m"}])
def test_only_a_location_that_we_neglect_is_attended_to(spec: Json) -> None:
    location: Json = {"metadata": {"name": "default", "namespace": "velero"}, "spec": dict(spec)}
    cluster = Objects(location)
    kubernetes = cast(Kubernetes, cluster)
    assert not resume_validation(kubernetes, location)
    pause_validation(kubernetes, copy.deepcopy(location))
    assert cluster.require(STORAGE_LOCATION, "default")["spec"]["validationFrequency"] == "24h"
    assert resume_validation(kubernetes, copy.deepcopy(location))
    assert location["spec"] == spec and not resume_validation(kubernetes, location)


@pytest.mark.parametrize(("limit", "given_back"), [("77", True), ("536870912", False), ("max", False)])
def test_only_memory_that_is_scarcer_than_its_limit_is_given_back(tmp_path: Path, limit: str, given_back: bool) -> None:
    (tmp_path / "podu").mkdir()
    (tmp_path / "podu/memory.max").write_text(limit)
    container = {"name": "node-agent", "resources": {"limits": {"memory": "512Mi"}}}
    pod = {"metadata": {"name": "a", "uid": "u"}, "spec": {"containers": [container]}}
    place = Environment.model_construct(cgroups={"memory": tmp_path, "cpuacct": tmp_path})
    assert restore_memory_limit(pod, place) is given_back
    assert (tmp_path / "podu/memory.max").read_text() == ("536870912" if given_back else limit)
    assert not restore_memory_limit({**pod, "metadata": {"name": "a", "uid": "elsewhere"}}, place)
    assert not restore_memory_limit(pod, Environment.model_construct(cgroups={}))
