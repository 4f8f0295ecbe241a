"""A second kind cluster comes up, is used, and leaves nothing behind, however it ended."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import facts
from lab.kind.cluster import KindCluster
from lab.kind.settings import KindSettings
from lab.tests.conftest import Second
from lab.tests.machine import differences, look
from velero_acceptance.core.waiting import poll

SETTINGS = {"NAME": "second", "NETWORK": "10.80.0.0/24"}
PORTS = {"API": "27443", "S3": "27000", "S3_DIRECT": "27001", "TOXIPROXY": "27474", "PROMETHEUS": "27090"}
NODE_GONE_SECONDS = 30.0


@pytest.fixture
def second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Second]:
    """The second cluster; it is down before and after."""
    for name, value in {**SETTINGS, **{f"{name}_PORT": port for name, port in PORTS.items()}}.items():
        monkeypatch.setenv(f"ACCEPTANCE_KIND_{name}", value)
    found = Second(tmp_path / "log", KindCluster(KindSettings()), "kind")
    found.run("down")
    yield found
    if os.environ.get("KEEP_LAB") is None:
        found.run("down")


def test_down_leaves_nothing_after_up_was_killed(second: Second) -> None:
    before = look(second.lab.settings)
    second.kill_at("certificates, Docker and network:")
    code, said = second.run("down")
    assert code == 0 and said.startswith("The kind cluster is down after ")
    assert differences(before, look(second.lab.settings)) == []


def test_a_whole_life(second: Second) -> None:
    """Brought up, not touched by a second `up`, a node lost and told, taken down."""
    before = look(second.lab.settings)
    code, said = second.run("up")
    assert code == 0, said
    assert said.splitlines()[-2].startswith("The kind cluster is up after ")
    cluster = KindCluster(KindSettings())
    found = facts.load(cluster.settings)
    assert found is not None and found.audit_log.exists()

    code, said = second.run("up")
    assert (code, len(said.splitlines())) == (0, 2), "a cluster that is up is not touched"
    assert second.run("status")[0] == 0

    lost = cluster.settings.container("worker2")
    cluster.engine.docker("kill", lost)
    poll(
        cluster.status,
        until=lambda states: states[lost] == "ended",
        event="the node has ended",
        timeout=NODE_GONE_SECONDS,
    )
    assert second.run("status")[0] == 1

    assert second.run("down")[0] == 0
    assert differences(before, look(second.lab.settings)) == []
