"""Restored objects and claims are compared with their source's: each difference goes red."""

import copy
from typing import Any

import pytest

from velero_acceptance.checks.restored_objects import altered, claim_differences, missing
from velero_acceptance.drivers.kinds import Json


def named(name: str, **metadata: object) -> Json:
    return {"metadata": {"name": name, **metadata}}


SOURCE = {
    "Deployment": [named("books")],
    "Secret": [named("password")],
    "ConfigMap": [named("settings"), named("kube-root-ca.crt")],
    "ServiceAccount": [named("default")],
    "Pod": [named("books-7f", ownerReferences=[{"kind": "ReplicaSet"}])],
}


def test_what_kubernetes_or_a_controller_makes_need_not_be_restored() -> None:
    assert (
        missing(
            SOURCE, {"Deployment": [named("books")], "Secret": [named("password")], "ConfigMap": [named("settings")]}
        )
        == []
    )


@pytest.mark.parametrize(("kind", "name"), [("Deployment", "books"), ("Secret", "password"), ("ConfigMap", "settings")])
def test_each_object_that_is_not_restored_is_named(kind: str, name: str) -> None:
    assert missing(SOURCE, {other: items for other, items in SOURCE.items() if other != kind}) == [f"{kind}/{name}"]


def test_a_complete_job_need_not_be_restored_and_one_at_work_must() -> None:
    done, at_work = {**named("done"), "status": {"completionTime": "2026-11-28T02:00:00Z"}}, named("at-work")
    assert missing({"Job": [done, at_work]}, {"Job": []}) == ["Job/at-work"]


PORTS = [{"name": "http", "port": 80, "nodePort": 30123}]
POD, OTHER_POD = ({"spec": {"containers": [{"name": "c", "image": image}]}} for image in ("i:1", "i:2"))
KEPT: dict[str, Json] = {
    "Service": {"type": "NodePort", "clusterIP": "10.0.0.7", "ports": PORTS, "selector": {"app": "desk"}},
    "Deployment": {"replicas": 1, "template": POD},
    "StatefulSet": {"replicas": 2, "serviceName": "peers", "template": POD},
    "CronJob": {"schedule": "0 3 * * *", "suspend": True, "jobTemplate": {"spec": {"template": POD}}},
}


def with_spec(kind: str, **change: object) -> dict[str, list[Json]]:
    return {kind: [{**named("x"), "spec": {**KEPT[kind], **change}}]}


@pytest.mark.parametrize("kind", KEPT)
def test_an_object_as_it_was_is_not_altered(kind: str) -> None:
    assert altered(with_spec(kind), with_spec(kind)) == []
    assert altered(with_spec(kind), {kind: []}) == [], "that it is missing says another"


def test_the_numbers_that_a_cluster_gives_are_its_own() -> None:
    other = with_spec("Service", clusterIP="10.0.0.8", ports=[{"name": "http", "port": 80, "nodePort": 31000}])
    assert altered(with_spec("Service"), other) == []


@pytest.mark.parametrize(
    ("kind", "change", "says"),
    [
        ("Service", {"type": "ClusterIP"}, "Service/x: its type is ClusterIP, not NodePort"),
        ("Service", {"clusterIP": "None"}, "Service/x: its clusterIP is None"),
        ("Service", {"ports": []}, "Service/x: its ports is []"),
        ("Service", {"selector": {"app": "other"}}, "Service/x: its selector"),
        ("StatefulSet", {"template": OTHER_POD}, "StatefulSet/x: its c runs i:2, not i:1"),
        ("CronJob", {"jobTemplate": {"spec": {"template": OTHER_POD}}}, "CronJob/x: its c runs i:2, not i:1"),
        ("Deployment", {"replicas": 0}, "Deployment/x: its replicas is 0, not 1"),
        ("StatefulSet", {"replicas": 1}, "StatefulSet/x: its replicas is 1, not 2"),
        ("StatefulSet", {"serviceName": ""}, "StatefulSet/x: its serviceName"),
        ("CronJob", {"suspend": False}, "CronJob/x: its suspend is False, not True"),
        ("CronJob", {"schedule": "@daily"}, "CronJob/x: its schedule"),
    ],
)
def test_each_difference_of_an_object_is_named(kind: str, change: Json, says: str) -> None:
    (found,) = altered(with_spec(kind), with_spec(kind, **change))
    assert found.startswith(says)


def test_a_claim_that_differs_is_named() -> None:
    other = copy.deepcopy(CLAIM)
    other["spec"]["volumeMode"] = "Block"
    (found,) = altered({"PersistentVolumeClaim": [CLAIM]}, {"PersistentVolumeClaim": [other]})
    assert found == "PersistentVolumeClaim/data: its volume mode is Block, not Filesystem"


CLAIM: dict[str, Any] = {
    "metadata": {
        "name": "data",
        "labels": {"app": "books"},
        "annotations": {"note": "x", "pv.kubernetes.io/bound": "1"},
    },
    "spec": {
        "storageClassName": "local",
        "accessModes": ["ReadWriteOnce"],
        "volumeMode": "Filesystem",
        "volumeName": "pvc-1",
        "resources": {"requests": {"storage": "1Gi"}},
    },
}


def test_a_copy_on_another_volume_with_the_labels_of_velero_is_equal() -> None:
    other = copy.deepcopy(CLAIM)
    other["spec"]["volumeName"] = "pvc-2"
    other["metadata"]["labels"]["velero.io/restore-name"] = "r"
    other["metadata"]["annotations"] = {"note": "x"}
    assert claim_differences(CLAIM, other) == []


@pytest.mark.parametrize(
    ("part", "key", "value", "says"),
    [
        ("spec", "storageClassName", "other", "its class is other, not local"),
        ("spec", "accessModes", ["ReadWriteMany"], "access modes"),
        ("spec", "volumeMode", "Block", "volume mode"),
        ("spec", "resources", {"requests": {"storage": "2Gi"}}, "its size is 2Gi"),
        ("metadata", "labels", {}, "labels"),
        ("metadata", "annotations", {"note": "y"}, "annotations"),
    ],
)
def test_each_difference_of_a_claim_is_named(part: str, key: str, value: object, says: str) -> None:
    other = copy.deepcopy(CLAIM)
    other[part][key] = value
    (found,) = claim_differences(CLAIM, other)
    assert says in found


def workload(image: str, init: str = "fill:1") -> Json:
    containers = {"containers": [{"name": "app", "image": image}], "initContainers": [{"name": "fill", "image": init}]}
    return {"metadata": {"name": "books"}, "spec": {"template": {"spec": containers}}}


def test_what_velero_rewrote_by_a_config_map_is_named() -> None:
    source = {"PersistentVolumeClaim": [CLAIM], "Deployment": [workload("books:1")], "ConfigMap": [named("settings")]}
    assert altered(source, copy.deepcopy(source)) == altered(source, {}) == []
    other = copy.deepcopy(CLAIM)
    other["spec"]["storageClassName"] = "second-local"
    found = altered(source, {"PersistentVolumeClaim": [other], "Deployment": [workload("registry.old/books:1")]})
    assert found == [
        "PersistentVolumeClaim/data: its class is second-local, not local",
        "Deployment/books: its app runs registry.old/books:1, not books:1",
    ]
    (line,) = altered(source, {"Deployment": [workload("books:1", init="fill:2")]})
    assert line == "Deployment/books: its fill runs fill:2, not fill:1"


def test_a_container_that_an_injector_adds_is_no_difference() -> None:
    injected = workload("books:1")
    injected["spec"]["template"]["spec"]["containers"].append({"name": "proxy", "image": "mesh:1"})
    assert altered({"Deployment": [workload("books:1")]}, {"Deployment": [injected]}) == []
