"""The node image of the kind target, and the runtime of its Docker engine; no Docker, no mirror."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from lab import images
from lab.control_plane import PROGRAMS
from lab.kind import node_image, rootfs
from lab.kind.engine import Engine
from lab.kind.settings import KindSettings


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KindSettings:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return KindSettings()


# -- the runtime without the capability -----------------------------------------------------


@pytest.fixture
def runc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A runc that only notes what it was called with."""
    program = tmp_path / "bin/runc"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\nimport sys\nprint(sys.argv[1:])\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return program


def run_runtime(settings: KindSettings, *arguments: str) -> str:
    settings.state.mkdir(parents=True, exist_ok=True)
    runtime = Engine(settings, own=True)._runtime()
    return subprocess.run([runtime, *arguments], capture_output=True, text=True, check=True).stdout


CAPABILITIES = {"bounding": ["CAP_SYS_ADMIN", "CAP_SYS_RESOURCE"], "effective": ["CAP_SYS_RESOURCE"]}


@pytest.mark.usefixtures("runc")
def test_a_container_does_not_ask_for_the_capability(settings: KindSettings, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"process": {"args": ["x"], "capabilities": CAPABILITIES}, "hostname": "h"}))
    said = run_runtime(settings, "--root=/r", "create", "--bundle", str(tmp_path), "id")
    assert said.strip() == str(["--root=/r", "create", "--bundle", str(tmp_path), "id"])
    changed = json.loads(path.read_text())
    assert changed["process"]["capabilities"] == {"bounding": ["CAP_SYS_ADMIN"], "effective": []}
    assert changed["hostname"] == "h" and changed["process"]["args"] == ["x"]


@pytest.mark.usefixtures("runc")
def test_neither_does_a_program_that_is_executed_in_it(settings: KindSettings, tmp_path: Path) -> None:
    path = tmp_path / "process.json"
    path.write_text(json.dumps({"args": ["x"], "capabilities": CAPABILITIES}))
    run_runtime(settings, "exec", f"--process={path}", "id")
    assert json.loads(path.read_text())["capabilities"]["bounding"] == ["CAP_SYS_ADMIN"]


@pytest.mark.usefixtures("runc")
def test_other_calls_are_passed_on(settings: KindSettings) -> None:
    assert run_runtime(settings, "kill", "id", "9").strip() == str(["kill", "id", "9"])


# -- the node image -------------------------------------------------------------------------


def test_a_node_is_a_trimmed_debian_with_our_units(tmp_path: Path) -> None:
    for useless in ("usr/share/doc/x/copyright", "etc/systemd/system/y.wants/z.service", "var/lib/apt/lists/l"):
        (tmp_path / useless).parent.mkdir(parents=True)
        (tmp_path / useless).touch()
    rootfs.tidy(tmp_path)
    assert (
        not (tmp_path / "usr/share/doc/x").exists() and not (tmp_path / "etc/systemd/system/y.wants/z.service").exists()
    )
    units = tmp_path / "etc/systemd/system"
    assert os.readlink(units / "getty.target") == "/dev/null"
    assert os.readlink(units / "multi-user.target.wants/kubelet.service") == "/etc/systemd/system/kubelet.service"
    rootfs.tidy(tmp_path)


def test_every_unit_that_is_enabled_is_in_the_image() -> None:
    for name in rootfs.ENABLED:
        assert (rootfs.FILES / "etc/systemd/system" / name).exists()


def test_containerd_in_the_node_has_the_pause_image_of_the_lab() -> None:
    text = (rootfs.FILES / "etc/containerd/config.toml").read_text()
    assert f'sandbox_image = "{images.PAUSE}"' in text
    assert 'snapshotter = "overlayfs"' in text, "kind asks for it"


def test_the_control_plane_is_one_image_under_the_names_of_kubeadm() -> None:
    names = {reference.rsplit("/", 1)[1].partition(":")[0] for reference in (node_image.KUBE, *node_image.OTHER_NAMES)}
    assert names == set(PROGRAMS) - {"kubelet"}


def test_the_archive_is_one_that_docker_loads(tmp_path: Path) -> None:
    layer = tmp_path / "layer.tar"
    layer.write_bytes(b"layer")
    node_image.pack(layer, tmp_path / "image.tar")
    with tarfile.open(tmp_path / "image.tar") as tar:
        content = {name: tar.extractfile(name).read() for name in tar.getnames()}  # type: ignore[union-attr]
    (manifest,) = json.loads(content["manifest.json"])
    assert manifest["RepoTags"] == [node_image.REFERENCE] and content[manifest["Layers"][0]] == b"layer"
    image = json.loads(content[manifest["Config"]])
    assert image["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(b'layer').hexdigest()}"]
    assert image["config"]["Entrypoint"] == [rootfs.ENTRYPOINT, "/sbin/init"]


@pytest.mark.usefixtures("settings")
def test_the_image_is_keyed_by_programs_and_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = {name: tmp_path / name for name in ("kube", "kubeadm", "node-entrypoint", "pause")}
    before = node_image.archive(built)
    assert before.is_relative_to(tmp_path / "cache")
    assert node_image.archive({**built, "kube": tmp_path / "another"}) != before
    unit = tmp_path / "unit"
    unit.write_text("changed")
    monkeypatch.setattr(node_image, "SOURCES", (*node_image.SOURCES, unit))
    assert node_image.archive(built) != before


@pytest.mark.usefixtures("settings")
def test_what_is_in_the_cache_is_not_made_again(tmp_path: Path) -> None:
    built = {name: tmp_path / name for name in ("kube", "kubeadm", "node-entrypoint", "pause")}
    path = node_image.archive(built)
    path.parent.mkdir(parents=True)
    path.write_text("image")
    assert node_image.make(built) == path and path.read_text() == "image"
