"""What gitops/ renders to, and the definitions of the Flux and the Velero that were built."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from lab.tests.definitions import Definitions, flux, operator, strict, velero
from tests import gitops_tree
from velero_acceptance.drivers.kinds import Json

FOLDERS = {
    "kubernetes/apps": 2,
    "kubernetes/apps/velero/app": 2,
    "kubernetes/apps/velero/schedule": 1,
    "kubernetes/apps/velero-monitoring/app": 4,
    **{f"overlays/{name}": 2 for name in gitops_tree.OVERLAYS},
}


def refusals(items: list[Json]) -> dict[str, list[str]]:
    """What the definitions of Flux, Velero and the Prometheus operator refuse of their objects, by kind and name."""
    return {
        f"{item['kind']} {item['metadata']['name']}": known.problems(item)
        for item in items
        for known in (flux(), velero(), operator())
        if known.defines(item)
    }


def applied(folder: Path) -> list[Json]:
    """What Flux would apply of a folder."""
    return [gitops_tree.substituted(item, gitops_tree.REQUIRED) for item in gitops_tree.build(folder)]


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_object_is_as_its_definition_wants_it(folder: str, tmp_path: Path) -> None:
    found = refusals(applied(gitops_tree.copy(tmp_path) / folder))
    assert len(found) == FOLDERS[folder]
    assert {name: problems for name, problems in found.items() if problems} == {}


def test_the_monitoring_can_be_adopted_as_the_readme_says(tmp_path: Path) -> None:
    tree = gitops_tree.copy(tmp_path)
    above = tree / "kubernetes/apps/kustomization.yaml"
    above.write_text(above.read_text() + "  - velero-monitoring/ks.yaml\n")
    added = [item for item in applied(above.parent) if item["metadata"]["name"] == "velero-monitoring"]
    assert len(added) == 1 and refusals(added) == {"Kustomization velero-monitoring": []}
    assert (tree / added[0]["spec"]["path"] / "kustomization.yaml").exists()


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        (("spec", "chartReff"), {}, "'chartReff' was unexpected"),
        (("spec", "interval"), "soon", "'soon' does not match"),
        (("spec", "timeout"), 5, "5 is not of type 'string'"),
        (("spec", "driftDetection", "mode"), "always", "'always' is not one of"),
        (("spec", "chartRef", "name"), None, "None is not of type 'string'"),
        (("spec", "chartRef"), {"kind": "OCIRepository"}, "'name' is a required property"),
        (("metadata", "anything"), "is not looked at", ""),
        (("spec", "values", "anything"), "is the chart's", ""),
    ],
)
def test_a_faulty_release_is_refused(path: tuple[str, ...], value: Any, says: str, tmp_path: Path) -> None:
    items = applied(gitops_tree.copy(tmp_path) / "kubernetes/apps/velero/app")
    release = copy.deepcopy(next(item for item in items if item["kind"] == "HelmRelease"))
    place = release
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    assert says in "; ".join(flux().problems(release))
    assert bool(flux().problems(release)) is bool(says)


def test_numbers_and_nulls_where_kubernetes_takes_them() -> None:
    schema = {
        "type": "object",
        "properties": {
            "port": {"x-kubernetes-int-or-string": True},
            "maybe": {"type": "string", "nullable": True},
            "map": {"type": "object", "additionalProperties": {"type": "object", "properties": {"a": {}}}},
        },
    }
    names = {"group": "x.io", "names": {"kind": "X"}}
    version = {"name": "v1", "served": True, "schema": {"openAPIV3Schema": {"properties": {"spec": schema}}}}
    known = Definitions([{"spec": {**names, "versions": [version]}}])
    assert strict(schema)["additionalProperties"] is False

    def problems(**spec: object) -> list[str]:
        return [p for p in known.problems({"apiVersion": "x.io/v1", "kind": "X", "spec": spec}) if "spec" in p]

    assert problems(port=1, maybe=None, map={"k": {"a": 1}}) == problems(port="http") == []
    assert all((problems(port=[]), problems(maybe=1), problems(map={"k": {"b": 1}}), problems(other=1)))
