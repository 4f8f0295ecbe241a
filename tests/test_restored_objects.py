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
