"""What the lab needs of the kernel: tried, loaded, or refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lab import kernel
from lab.kernel import Feature
from velero_acceptance.core.errors import AcceptanceError, Refusal

RELEASE = os.uname().release


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Modules that were asked for; the kernel has none of them."""
    asked: list[str] = []

    def load(module: str) -> str:
        asked.append(module)
        return f"modprobe: FATAL: Module {module} not found in directory /lib/modules/x"

    monkeypatch.setattr(kernel, "load", load)
    monkeypatch.setattr(kernel, "has_capability", lambda _: True)
    return asked


def only(monkeypatch: pytest.MonkeyPatch, feature: Feature) -> None:
    monkeypatch.setattr(kernel, "features", lambda _: [feature])


def test_what_works_is_not_loaded(loaded: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, Feature("nf_conntrack", "tracks connections", lambda: "", ("nf_conntrack",)))
    kernel.require(tmp_path)
    assert loaded == []


def test_a_module_is_loaded_when_its_feature_is_missing(
    loaded: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only(
        monkeypatch, Feature("nf_conntrack", "tracks connections", lambda: "" if loaded else "none", ("nf_conntrack",))
    )
    kernel.require(tmp_path)
    assert loaded == ["nf_conntrack"]


@pytest.mark.usefixtures("loaded")
def test_a_module_that_cannot_be_loaded_is_named_with_the_kernel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only(monkeypatch, Feature("xt_nat", "leads a service to a pod", lambda: "no", ("xt_nat",)))
    expected = rf"the kernel {RELEASE} has no xt_nat, which leads a service to a pod \(no; modprobe: FATAL.*: install"
    with pytest.raises(Refusal, match=expected):
        kernel.require(tmp_path)


@pytest.mark.usefixtures("loaded")
def test_a_container_without_the_right_is_sent_to_its_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "has_capability", lambda _: False)
    only(monkeypatch, Feature("bridge", "is the lab's switch", lambda: "no", ("bridge",)))
    with pytest.raises(Refusal, match="may load no modules: run `modprobe bridge` on its host"):
        kernel.require(tmp_path)


def test_a_controller_that_cgroup_v2_does_not_offer_is_missing(tmp_path: Path) -> None:
    assert not kernel.controller_fault("memory", tmp_path)  # v1
    (tmp_path / "cgroup.controllers").write_text("cpu pids\n")
    assert not kernel.controller_fault("cpu", tmp_path) and "lacks it" in kernel.controller_fault("memory", tmp_path)


def test_without_modprobe_its_absence_is_the_complaint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert kernel.load("bridge") == "modprobe cannot be run: No such file or directory"
    with pytest.raises(AcceptanceError, match="iptables-restore cannot be run"):
        kernel.rule_fault("nat", "")


@pytest.mark.skipif(os.geteuid() != 0, reason="makes namespaces")
def test_a_feature_is_tried_in_a_namespace_and_nothing_stays(tmp_path: Path) -> None:
    before = Path("/proc/net/dev").read_text().count(":")
    assert not kernel.link_fault("veth")
    assert "not supported" in kernel.link_fault("no-such-kind")
    assert Path("/proc/net/dev").read_text().count(":") == before
    kernel.overlay_fault(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_every_module_is_tried_for_a_purpose(tmp_path: Path) -> None:
    found = kernel.features(tmp_path)
    assert len({feature.name for feature in found}) == len(found)
    assert all(feature.purpose and callable(feature.fault) for feature in found)
