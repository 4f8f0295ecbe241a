"""gitops/ as somebody else takes it over: overlays, settings, secrets, and what its README says of them.

What the definitions of Flux and Velero say of it is in lab/tests/test_gitops.py.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyrage
import pytest
import yaml

from lab import gitops
from lab.flux import MANIFESTS
from tests import gitops_tree
from velero_acceptance.drivers.kinds import Json

BASE = "kubernetes/apps/velero/app"
README = (gitops.SOURCE / "README.md").read_text()
SETTING = re.compile(r"^\| `([A-Z0-9_]+)` \| (?:`(.+?)`|\((empty|none).*?\)) \|", re.M)
# Variables of Flux with their defaults; None where there is none.
SETTINGS = {name: default or {"empty": "", "none": None}[word] for name, default, word in SETTING.findall(README)}
VERSIONS = re.compile(r"^\| `\./(\S+)` \| (?:([\d.]+), (\w+)|as the base) \| ([\d.]+)[^|]* \| (?:([\d.]+)|as)", re.M)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return gitops_tree.copy(tmp_path / "tree")


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf of an object by its path."""
    if isinstance(value, (dict, list)) and value:
        for key, below in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(below, f"{path}/{key}")
    else:
        yield path, value


def changed(before: Json, after: Json) -> set[str]:
    """Paths at which two objects differ."""
    return {path for path, _ in {(p, str(v)) for p, v in leaves(before)} ^ {(p, str(v)) for p, v in leaves(after)}}


# -- overlays -------------------------------------------------------------------------------

VALUES = "/spec/values"
PLUGIN = f"{VALUES}/initContainers/0/image"
CHANGES = {
    "restic-1.16": {PLUGIN},
    "kopia-1.18": {
        PLUGIN,
        *(f"{VALUES}/{key}" for key in ("image/tag", "upgradeCRDs", "configuration/uploaderType")),
        f"{VALUES}/nodeAgent/extraArgs/0",
    },
    "helm-repository": {
        *(f"/spec/chartRef/{key}" for key in ("kind", "name")),
        *(f"/spec/chart/spec/{key}" for key in ("chart", "version", "sourceRef/kind", "sourceRef/name")),
    },
}


@pytest.mark.parametrize("overlay", gitops_tree.OVERLAYS)
def test_an_overlay_changes_what_it_is_for_and_nothing_else(tree: Path, overlay: str) -> None:
    base, found = (gitops_tree.rendered(tree / folder) for folder in (BASE, f"overlays/{overlay}"))
    source = "HelmRepository" if overlay == "helm-repository" else "OCIRepository"
    more = {"ConfigMap"} if overlay == "kopia-1.18" else set()
    assert set(found) == {"Namespace", "HelmRelease", source, *more}
    # The plugin of kopia-1.18 is that of the base: named there so that a change of the base leaves it alone.
    same = {PLUGIN} if overlay == "kopia-1.18" else set()
    assert changed(base["HelmRelease"], found["HelmRelease"]) == CHANGES[overlay] - same
    assert found["Namespace"] == base["Namespace"]


def test_secrets_come_through_an_overlay_untouched(tree: Path) -> None:
    """SOPS signs a file as a whole: an added label would be a broken signature."""

    def secrets(folder: str) -> list[Json]:
        return [item for item in gitops_tree.build(tree / folder) if item["kind"] == "Secret"]

    assert len(secrets(BASE)) == 2
    for overlay in gitops_tree.OVERLAYS:
        assert secrets(f"overlays/{overlay}") == secrets(BASE), overlay


def version_of(found: dict[str, Json]) -> str:
    """The chart's version, from whichever source."""
    if "OCIRepository" in found:
        return str(found["OCIRepository"]["spec"]["ref"]["tag"])
    return str(found["HelmRelease"]["spec"]["chart"]["spec"]["version"])


@pytest.mark.parametrize("folder", [BASE, *(f"overlays/{name}" for name in gitops_tree.OVERLAYS)])
def test_chart_and_settings_fit_the_version(tree: Path, folder: str) -> None:
    found = gitops_tree.rendered(tree / folder)
    spec = found["HelmRelease"]["spec"]
    assert ("chart" in spec) is not ("chartRef" in spec), "Flux wants exactly one of them"
    assert spec["install"]["crds"] == spec["upgrade"]["crds"] == "CreateReplace"
    chart, values = int(version_of(found).partition(".")[0]), spec["values"]
    assert values["upgradeCRDs"] is (chart >= 12), "the hook's image is gone in older charts"
    assert values["configuration"]["uploaderType"] == ("kopia" if chart >= 11 else "restic")
    assert values["configuration"]["defaultVolumesToFsBackup"] is True and values["schedules"] == {}


def test_pods_that_move_volumes_are_limited_as_node_agent_is(tree: Path) -> None:
    found = gitops_tree.rendered(tree / "overlays/kopia-1.18")
    agent, settings = found["HelmRelease"]["spec"]["values"]["nodeAgent"], found["ConfigMap"]
    assert agent["extraArgs"] == [f"--node-agent-configmap={settings['metadata']['name']}"]
    (text,) = settings["data"].values()
    limits = {
        f"{resource}{what}": agent["resources"][kind][resource]
        for kind, what in (("requests", "Request"), ("limits", "Limit"))
        for resource in ("cpu", "memory")
    }
    assert json.loads(text) == {"podResources": limits}


def test_overlays_can_be_combined_as_the_comment_says(tree: Path) -> None:
    path = tree / "overlays/helm-repository/kustomization.yaml"
    text = path.read_text().replace("../../kubernetes/apps/velero/app", "../kopia-1.18")
    path.write_text(text.replace("10.1.3", "12.1.0"))
    found = gitops_tree.rendered(path.parent)
    assert version_of(found) == "12.1.0" and "OCIRepository" not in found
    assert found["HelmRelease"]["spec"]["values"]["configuration"]["uploaderType"] == "kopia"


# -- what the README says -------------------------------------------------------------------


def test_the_readme_has_every_overlay_with_its_versions(tree: Path) -> None:
    rows = {match[1]: match for match in VERSIONS.finditer(README)}
    assert set(rows) == {BASE, *(f"overlays/{name}" for name in gitops_tree.OVERLAYS)}
    for folder, row in rows.items():
        found = gitops_tree.rendered(tree / folder)
        values = found["HelmRelease"]["spec"]["values"]
        assert row[4] == version_of(found), folder
        if row[2] is not None:
            assert values["image"]["tag"] == f"v{row[2]}" and values["configuration"]["uploaderType"] == row[3]
            assert values["initContainers"][0]["image"].endswith(f":v{row[5]}")


@pytest.mark.parametrize("folder", [BASE, *(f"overlays/{name}" for name in gitops_tree.OVERLAYS)])
def test_every_variable_is_in_the_readme_with_its_default(tree: Path, folder: str) -> None:
    used: dict[str, str | None] = {}
    for item in gitops_tree.build(tree / folder):
        used |= gitops_tree.variables(item)
    assert used.items() <= SETTINGS.items()
    assert set(SETTINGS) - set(used) == ({"VELERO_CHART"} if "helm-repository" in folder else set())
    assert {name for name, default in used.items() if default is None} == set(gitops_tree.REQUIRED)


def test_the_lab_and_the_example_set_only_what_is_in_the_readme() -> None:
    (block,) = re.findall(r"^```yaml\n(.*?)^```", README, re.M | re.S)
    example = yaml.safe_load(block)
    (lab,) = re.findall(r"name: cluster-settings.*?\ndata:\n(.*?)---", (MANIFESTS / "sync.yaml.j2").read_text(), re.S)
    assert set(re.findall(r"^  ([A-Z0-9_]+):", lab, re.M)) == set(SETTINGS)
    assert set(gitops_tree.REQUIRED) <= set(example["data"]) <= set(SETTINGS)
    velero = next(yaml.safe_load_all((gitops.SOURCE / "kubernetes/apps/velero/ks.yaml").read_text()))
    (settings,) = velero["spec"]["postBuild"]["substituteFrom"]
    assert example["metadata"] == {"name": settings["name"], "namespace": velero["metadata"]["namespace"]}
    assert f"secret generic {velero['spec']['decryption']['secretRef']['name']} --namespace=flux-system" in README


def test_what_the_readme_names_is_there() -> None:
    for name in re.findall(r"^([\w./-]+)  +\S", README, re.M):
        assert (gitops.SOURCE / name).exists(), name
    for name in ("velero/ks.yaml", "app/helmrelease.yaml", "schedule/schedule.yaml"):
        assert name in README and list(gitops.SOURCE.rglob(name))


# -- secrets --------------------------------------------------------------------------------


def sops(folder: Path, key: Path, command: str) -> str:
    """Run a command of the README that begins with sops."""
    assert command.startswith("sops ")
    path = f"{sys.prefix}/bin:{os.environ['PATH']}"
    environment = {"PATH": path, "SOPS_AGE_KEY_FILE": str(key)}
    done = subprocess.run(command, shell=True, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_secrets_and_a_new_age_key_work_as_the_readme_says(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    app = gitops_tree.copy(tree) / BASE
    old, new = (pyrage.x25519.Identity.generate() for _ in range(2))
    keys = {"old": tmp_path / "old.key", "new": tmp_path / "new.key"}
    keys["old"].write_text(str(old))
    keys["new"].write_text(str(new))
    rules = tree / ".sops.yaml"
    template = rules.read_text()
    encrypt, update, rotate = "sops --encrypt --in-place", "sops updatekeys", "sops rotate --in-place"
    assert all(words in README for words in (encrypt, "`sops updatekeys`", "`sops rotate --in-place`"))

    name = "velero-s3-secret.sops.yaml"
    plain = (app / "velero-s3-secret.example.yaml").read_text()
    (app / name).write_text(plain)
    rules.write_text(template.replace("AGE_RECIPIENT", str(old.to_public())))
    sops(app, keys["old"], f"{encrypt} {name}")
    assert "ENC[AES256_GCM" in (app / name).read_text() and "S3_SECRET_ACCESS_KEY" not in (app / name).read_text()
    assert yaml.safe_load(sops(app, keys["old"], f"sops decrypt {name}")) == yaml.safe_load(plain)

    rules.write_text(template.replace("AGE_RECIPIENT", f"{old.to_public()},{new.to_public()}"))
    sops(app, keys["old"], f"{update} --yes {name}")
    assert all(yaml.safe_load(sops(app, key, f"sops decrypt {name}")) == yaml.safe_load(plain) for key in keys.values())

    rules.write_text(template.replace("AGE_RECIPIENT", str(new.to_public())))
    sops(app, keys["new"], f"{update} --yes {name}")
    sops(app, keys["new"], f"{rotate} {name}")
    assert yaml.safe_load(sops(app, keys["new"], f"sops decrypt {name}")) == yaml.safe_load(plain)
    with pytest.raises(AssertionError, match="Failed to get the data key"):
        sops(app, keys["old"], f"sops decrypt {name}")
