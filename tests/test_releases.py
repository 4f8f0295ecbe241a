"""The two Veleros that a lab can have: what is built, packed and deployed for each."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from lab import build, gitops, preflight, registry
from lab.lifecycle import Lab
from lab.programs import DEFAULT, RELEASES, VELERO, VELERO_KOPIA, Release
from lab.progress import Steps
from lab.settings import LabSettings
from tests import gitops_tree
from velero_acceptance.core.errors import AcceptanceError, Refusal

KOPIA = RELEASES["kopia"]
QUIET = Steps(Console(file=io.StringIO()))


@pytest.mark.usefixtures("settings")
def test_another_velero_is_built_only_when_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "go_version", lambda: "go1")
    assert VELERO in build.missing() and VELERO_KOPIA not in build.missing()
    assert VELERO not in build.missing(KOPIA.modules) and VELERO_KOPIA in build.missing(KOPIA.modules)
    assert build.binaries()["velero"] != build.binaries(KOPIA.modules)["velero"]
    assert "kopia" in build.binaries(KOPIA.modules) and "kopia" not in build.binaries()


def test_the_other_module_is_our_own_and_takes_its_velero() -> None:
    first, *lines = (VELERO_KOPIA.folder / "go.mod").read_text().splitlines()
    assert first == "module velero-acceptance.local/lab/tools/velero-kopia"
    assert any(line.split()[1:3] == ["github.com/vmware-tanzu/velero", KOPIA.version] for line in lines)


@pytest.mark.parametrize("release", RELEASES.values(), ids=RELEASES)
def test_what_a_release_says_is_what_gitops_asks_for(release: Release, tmp_path: Path) -> None:
    found = gitops_tree.rendered(gitops_tree.copy(tmp_path) / release.path)
    values = found["HelmRelease"]["spec"]["values"]
    assert found["OCIRepository"]["spec"]["ref"]["tag"] == release.chart
    assert (values["image"]["tag"], values["configuration"]["uploaderType"]) == (release.version, release.uploader)


@pytest.mark.parametrize("release", RELEASES.values(), ids=RELEASES)
def test_the_chart_is_packed_with_its_definitions_and_its_version(release: Release) -> None:
    packed = registry.pack(registry.metadata(release), "kind: CustomResourceDefinition\n")
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        names = tar.getnames()
        assert {"velero/values.yaml", "velero/crds/velero.yaml"} <= set(names) and len(set(names)) == len(names)
        content = tar.extractfile("velero/Chart.yaml")
        assert content is not None and yaml.safe_load(content)["version"] == release.chart


@pytest.mark.parametrize("release", RELEASES.values(), ids=RELEASES)
def test_the_folder_of_the_uploader_is_deployed(settings: LabSettings, release: Release) -> None:
    gitops.commit(settings.model_copy(update={"uploader": release.uploader}))
    text = (settings.state / "home" / gitops.KUSTOMIZATIONS).read_text()
    velero, schedule = (item["spec"]["path"] for item in yaml.safe_load_all(text))
    assert (velero, schedule) == (release.path, "./kubernetes/apps/velero/schedule")


def test_a_lab_with_another_uploader_is_refused_and_left_alone(
    settings: LabSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "check", lambda _: None)
    (settings.state / "uploader").write_text("restic")
    with pytest.raises(Refusal, match="the lab lab is up with restic, not kopia: run `acceptance lab down` first"):
        Lab(settings.model_copy(update={"uploader": "kopia"})).up(QUIET)
    assert (settings.state / "uploader").read_text() == "restic"


def test_nothing_can_be_brought_into_a_lab_that_is_not_up(settings: LabSettings) -> None:
    with pytest.raises(AcceptanceError, match="there is no lab"):
        Lab(settings).provide(DEFAULT, QUIET)
