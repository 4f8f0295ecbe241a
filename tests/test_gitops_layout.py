"""AC-007-04: the layout check, seen to go red for each way that the layout can break."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from fixtures.gitops import layout_mutations
from fixtures.gitops.layout_mutations import FAULTS
from lab import gitops
from tests import gitops_tree
from velero_acceptance.checks import gitops_layout
from velero_acceptance.checks.gitops_layout import APPS, KS, LAYOUT, VELERO
from velero_acceptance.core.errors import AcceptanceError
from velero_acceptance.drivers import kustomize
from velero_acceptance.drivers.git import Checkout
from velero_acceptance.drivers.kinds import Json

SOUND = {"paths_missing": 0, "orphan_files": 0, "builds_failed": 0, "schedules": 1, "order_faults": 0}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return gitops_tree.copy(tmp_path / "tree")


def counts(tree: Path) -> dict[str, int]:
    return {name: len(found) for name, found in gitops_layout.findings(tree).items()}


def test_our_own_tree_is_as_designed(tree: Path) -> None:
    assert counts(tree) == SOUND


@pytest.mark.parametrize(
    ("fault", "change"),
    [
        ("the schedule is in the folder of the release", {"paths_missing": 2, "order_faults": 1}),
        ("the release has a schedule in its values", {"schedules": 2}),
        # Without the release, whether unbuilt or unnamed, the schedule waits for nothing.
        ("a file that is named is missing", {"paths_missing": 1, "builds_failed": 1, "order_faults": 1}),
        ("a file exists that nothing names", {"orphan_files": 1, "order_faults": 1}),
        ("an object is named twice", {"builds_failed": 1, "order_faults": 1}),
        ("the schedule waits for nothing", {"order_faults": 1}),
    ],
)
def test_each_fault_of_the_feature_is_seen_and_no_other(tree: Path, fault: str, change: dict[str, int]) -> None:
    FAULTS[fault](tree)
    found = counts(tree)
    assert {name: count for name, count in found.items() if count != SOUND[name]} == change


def test_the_feature_seeds_every_fault() -> None:
    feature = next((Path(__file__).parents[1] / "features").rglob("AC-007-04-*.feature")).read_text()
    assert [fault for fault in FAULTS if fault not in feature] == []


# -- paths ----------------------------------------------------------------------------------


@pytest.fixture
def files(tree: Path) -> dict[str, str]:
    return kustomize.texts(tree)


@pytest.mark.parametrize("path", LAYOUT)
def test_every_path_of_the_layout_is_missed(files: dict[str, str], path: str) -> None:
    del files[path]
    assert path in gitops_layout.paths_missing(files)


@pytest.mark.parametrize(
    ("path", "content", "missing"),
    [
        (f"{VELERO}/app/kustomization.yaml", {"resources": ["absent.yaml"]}, f"{VELERO}/app/absent.yaml"),
        (f"{VELERO}/app/kustomization.yaml", {"components": ["../part"]}, f"{VELERO}/part"),
        (f"{VELERO}/app/kustomization.yaml", {"patches": [{"path": "p.yaml"}]}, f"{VELERO}/app/p.yaml"),
        (f"{VELERO}/app/kustomization.yaml", {"secretGenerator": [{"files": ["k=v"]}]}, f"{VELERO}/app/v"),
        (f"{APPS}/kustomization.yaml", {"resources": ["other/ks.yaml"]}, f"{APPS}/other/ks.yaml"),
        (KS, {"kind": "Kustomization", "spec": {"path": "./else"}}, "else/kustomization.yaml"),
    ],
)
def test_what_is_named_must_be_there(files: dict[str, str], path: str, content: Json, missing: str) -> None:
    assert missing in gitops_layout.paths_missing({**files, path: yaml.safe_dump(content)})


@pytest.mark.parametrize("name", ["https://example.org/all.yaml", "example.org/team/app?ref=v1"])
def test_what_is_elsewhere_is_not_looked_for(files: dict[str, str], name: str) -> None:
    path = f"{VELERO}/schedule/kustomization.yaml"
    content = yaml.safe_dump({"resources": ["schedule.yaml", name]})
    assert gitops_layout.paths_missing({**files, path: content}) == []


@pytest.mark.parametrize(
    ("path", "orphan"),
    [
        (f"{VELERO}/app/extra.yaml", True),
        (f"{VELERO}/extra.txt", True),
        (f"{VELERO}/app/other.example.yaml", False),
        (f"{VELERO}/README.md", False),
        ("overlays/new/kustomization.yaml", False),
        (f"{APPS}/other/ks.yaml", False),
    ],
)
def test_only_velero_s_own_files_are_orphans(files: dict[str, str], path: str, orphan: bool) -> None:
    assert gitops_layout.orphan_files({**files, path: ""}) == ([path] if orphan else [])


def test_ks_yaml_itself_has_to_be_named(files: dict[str, str]) -> None:
    above = f"{APPS}/kustomization.yaml"
    assert gitops_layout.orphan_files({**files, above: "resources: []"}) == [KS]
    del files[above]  # then Flux takes all files there are
    assert gitops_layout.orphan_files(files) == []


def test_an_overlay_can_be_deployed(tree: Path) -> None:
    for overlay in gitops_tree.OVERLAYS:
        ks = (tree / KS).read_text()
        (tree / KS).write_text(ks.replace("./kubernetes/apps/velero/app", f"./overlays/{overlay}"))
        assert counts(tree) == SOUND, overlay
        (tree / KS).write_text(ks)


def test_a_file_that_is_not_yaml_is_named(files: dict[str, str]) -> None:
    with pytest.raises(AcceptanceError, match=f"{KS} is not valid YAML"):
        gitops_layout.paths_missing({**files, KS: "{"})


# -- order and count ------------------------------------------------------------------------


def kustomization(name: str, *needed: str, **spec: object) -> Json:
    depends = [{"name": other} for other in needed]
    return {
        "kind": "Kustomization",
        "metadata": {"name": name},
        "spec": {"path": f"./{name}", "wait": True, "dependsOn": depends, **spec},
    }


def order_faults(*items: Json) -> list[str]:
    release = {"apiVersion": "helm.toolkit.fluxcd.io/v2", "kind": "HelmRelease", "metadata": {"name": "velero"}}
    schedule = {"apiVersion": "velero.io/v1", "kind": "Schedule", "metadata": {"name": "daily"}}
    rendered = {"velero": [release], "schedule": [schedule], "both": [release, schedule], "other": []}
    return gitops_layout.order_faults({KS: yaml.safe_dump_all(items)}, rendered)


@pytest.mark.parametrize(
    "items",
    [
        [kustomization("velero"), kustomization("schedule", "velero")],
        [kustomization("velero"), kustomization("other", "velero"), kustomization("schedule", "other")],
        [kustomization("velero", "elsewhere"), kustomization("schedule", "velero")],
        [kustomization("velero", wait=False, healthChecks=[{"kind": "HelmRelease"}]), kustomization("other")],
    ],
)
def test_a_schedule_after_the_release_is_in_order(items: list[Json]) -> None:
    assert order_faults(*items) == []


@pytest.mark.parametrize(
    ("items", "says"),
    [
        ([kustomization("both")], "both has an object of Velero next to the release"),
        ([kustomization("velero"), kustomization("schedule")], "schedule does not wait for the release"),
        ([kustomization("velero"), kustomization("schedule", "veelro")], "schedule does not wait for the release"),
        ([kustomization("velero"), kustomization("schedule", "other"), kustomization("other")], "depends on other"),
        ([kustomization("velero", "velero")], "velero depends on velero"),
        ([kustomization("schedule", "velero"), kustomization("velero")], "schedule depends on velero"),
        ([kustomization("velero", wait=False), kustomization("schedule", "velero")], "ready before its release"),
    ],
)
def test_any_other_order_is_a_fault(items: list[Json], says: str) -> None:
    assert says in "; ".join(order_faults(*items))


def test_a_disabled_schedule_of_the_values_does_not_count(tree: Path) -> None:
    layout_mutations.put_schedule_into_values(tree)
    path = tree / VELERO / "app/helmrelease.yaml"
    release = yaml.safe_load(path.read_text())
    release["spec"]["values"]["schedules"]["daily-backup"]["disabled"] = True
    path.write_text(yaml.safe_dump(release))
    assert counts(tree) == SOUND


# -- the copy -------------------------------------------------------------------------------


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """A repository with one commit, one file not committed, and one that was changed since."""
    folder = tmp_path / "checkout"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep/file.yaml").write_text("committed")
    gitops.git("init", "--quiet", folder=folder)
    gitops.git("add", "--all", folder=folder)
    gitops.git("commit", "--quiet", "--message=first", folder=folder)
    (folder / "deep/file.yaml").write_text("changed since")
    (folder / "new.yaml").write_text("not committed")
    return Checkout(folder)


def test_the_copy_holds_what_is_committed_and_leaves_the_rest_alone(checkout: Checkout, tmp_path: Path) -> None:
    checkout.export(tmp_path / "copy")
    assert kustomize.texts(tmp_path / "copy") == {"deep/file.yaml": "committed"}
    assert checkout.read("deep/file.yaml") == "changed since"
    assert checkout.files() == ["deep/file.yaml"]


def test_kustomize_s_own_words_are_kept(tmp_path: Path) -> None:
    assert "kustomization" in kustomize.build(tmp_path).error
