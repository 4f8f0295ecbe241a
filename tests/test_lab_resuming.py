"""An `up` that goes on where another was killed or gave up, without a lab."""

from __future__ import annotations

import io
import time
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from lab import nodes, progress
from lab.cgroups import Cgroups
from lab.lifecycle import Lab
from lab.progress import Steps
from lab.settings import LabSettings
from velero_acceptance.core.waiting import WaitTimedOut, current_waits, poll


class FakeProcesses:
    """Notes what is started and stopped."""

    def __init__(self, logs: Path, alive: set[str]) -> None:
        self.logs, self.alive = logs, alive
        self.calls: list[str] = []

    def pid(self, name: str) -> int | None:
        return 1 if name in self.alive else None

    def dead(self) -> list[str]:
        return []

    def start(self, name: str, *_: object, **__: object) -> int:
        self.calls.append(f"start {name}")
        return 1

    def stop(self, name: str) -> None:
        self.calls.append(f"stop {name}")
        self.alive.discard(name)


def start_node(settings: LabSettings, alive: set[str], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(Cgroups, "create_node", lambda *_: None)
    processes: Any = FakeProcesses(settings.state / "log", alive)
    groups = Cgroups(settings.group)
    nodes.start(settings, processes, groups, index=1, programs=settings.state, archives={})
    return processes.calls  # type: ignore[no-any-return]


def test_a_node_that_runs_is_left_alone(settings: LabSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert start_node(settings, {"node1-init"}, monkeypatch) == []


def test_a_node_of_which_only_the_namespaces_are_there_is_started(
    settings: LabSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    (settings.state / "node1/containerd").mkdir(parents=True)
    assert start_node(settings, set(), monkeypatch) == ["start node1-init"]


def test_a_node_that_was_late_is_remade_without_its_disk(
    settings: LabSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = settings.state / "node1/kubelet/old"
    old.mkdir(parents=True)
    nodes.mark_late(settings, "node1")
    assert start_node(settings, {"node1-init"}, monkeypatch) == ["stop node1-init", "start node1-init"]
    assert not old.exists()
    assert start_node(settings, {"node1-init"}, monkeypatch) == []


def listed(**ready: bool) -> dict[str, Any]:
    def node(name: str, good: bool) -> dict[str, Any]:
        condition = {"type": "Ready", "status": str(good), "message": "" if good else "cni plugin not initialized"}
        return {"metadata": {"name": name}, "status": {"conditions": [condition]}}

    return {"items": [node(name, good) for name, good in ready.items()]}


def test_what_each_missing_node_does_is_told_and_they_are_remade_by_the_next(
    settings: LabSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = Lab(settings)
    for name in settings.node_names:
        (settings.state / name).mkdir()
    (settings.state / "node3/stage").write_text("imports image 3 of 9")
    monkeypatch.setattr(lab.kubectl, "get", lambda *_: listed(node1=True, node2=False))
    monkeypatch.setenv("ACCEPTANCE_TIMEOUTS", '{"lab_nodes_ready": 0.2}')
    with pytest.raises(WaitTimedOut, match=r"node2': 'not ready: cni.*node3': 'imports image 3 of 9"):
        lab._wait_nodes()
    late = [name for name in settings.node_names if (settings.state / name / nodes.LATE).exists()]
    assert late == ["node2", "node3"]


def test_nodes_that_are_ready_end_the_wait(settings: LabSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = Lab(settings)
    monkeypatch.setattr(lab.kubectl, "get", lambda *_: listed(node1=True, node2=True, node3=True))
    lab._wait_nodes()


def test_a_long_wait_tells_what_it_waits_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "TOLD_EVERY", 0.05)
    out = io.StringIO()
    steps = Steps(Console(file=out, width=200))
    with steps.display("lab"):
        with steps.step("nodes"), pytest.raises(WaitTimedOut):
            poll(lambda: "asleep", until=lambda _: False, event="node1 is Ready", timeout=0.3, interval=0.05)
        with steps.step("programs"):
            time.sleep(0.2)
    assert "waiting until node1 is Ready (0 of 0 s); last seen: asleep" in out.getvalue()
    assert "programs: 0 s so far" in out.getvalue()
    assert current_waits() == []
