"""The lab comes up, goes on after an interruption, and leaves nothing behind, however it ended."""

from __future__ import annotations

import json
import re
import subprocess

import pytest

from lab import facts
from lab.tests.conftest import Second
from lab.tests.machine import differences, look

# What `up` has printed when the moment has come: it is then in the middle of the next step.
MOMENTS = ("certificates and network:", "control plane:", "nodes and add-ons:")


@pytest.mark.parametrize("moment", MOMENTS)
def test_down_leaves_nothing_after_up_was_killed(second: Second, moment: str) -> None:
    before = look()
    second.kill_at(moment)
    code, said = second.run("down")
    assert code == 0 and re.fullmatch(r"The lab is down after \d+ s\.\n", said)
    assert differences(before, look()) == []


def test_a_whole_life(second: Second) -> None:
    """Killed half-way, taken up again, used, killed as a reboot kills, made anew, taken down."""
    before = look()
    second.kill_at("control plane:")
    code, said = second.run("up")
    assert code == 0, said
    assert said.splitlines()[-2].startswith("The lab is up after ")
    first = second.lab.processes.require("etcd")

    code, said = second.run("up")
    assert (code, len(said.splitlines())) == (0, 2), "a lab that is up is not touched"
    assert second.lab.processes.require("etcd") == first

    # As after a reboot or an ended CI job: processes gone, groups and files left.
    second.lab.cgroups.kill()
    assert second.run("status")[0] == 1
    code, said = second.run("up")
    assert code == 0, said
    assert "removing a lab whose processes are gone" in said
    found = facts.load(second.lab.settings)
    assert found is not None
    nodes = subprocess.run(
        [second.lab.kubectl.program, f"--kubeconfig={found.kubeconfig}", "get", "--raw=/api/v1/nodes"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert [node["metadata"]["name"] for node in json.loads(nodes.stdout)["items"]] == ["node1", "node2", "node3"]

    assert second.run("down")[0] == 0
    assert differences(before, look()) == []


def test_only_one_command_at_a_time(second: Second) -> None:
    with second.lab.locked():
        code, said = second.run("up")
    assert code == 2
    assert said.startswith("acceptance: another command is bringing the lab second up or down")
    assert not second.lab.state.exists()
