"""Control groups and processes of the lab, without a lab."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from lab import cgroups
from lab.cgroups import Cgroups
from lab.processes import Processes
from velero_acceptance.core.errors import AcceptanceError, Refusal
from velero_acceptance.core.waiting import poll


def hierarchy(folder: Path, *, unified: bool = False) -> Path:
    folder.mkdir(parents=True)
    (folder / "cgroup.procs").touch()
    if unified:
        (folder / "cgroup.controllers").write_text("cpu memory")
        (folder / "cgroup.subtree_control").touch()
    return folder


def test_a_host_with_cgroup_v1(tmp_path: Path) -> None:
    for name in ("memory", "pids"):
        hierarchy(tmp_path / name)
    groups = Cgroups("x", tmp_path)
    groups.create()
    groups.create_node("node1")
    assert groups.version == 1
    assert groups.processes == tmp_path / "pids/velero-lab-x/procs"
    assert (tmp_path / "memory/velero-lab-x/node1").is_dir() and (tmp_path / "pids/velero-lab-x/node1").is_dir()
    groups.remove()
    assert groups.leftovers() == []


def test_a_hybrid_host_tracks_in_v2_and_limits_in_v1(tmp_path: Path) -> None:
    hierarchy(tmp_path / "memory")
    hierarchy(tmp_path / "unified", unified=True)
    groups = Cgroups("x", tmp_path)
    groups.create()
    groups.create_node("node1")
    assert groups.processes == tmp_path / "unified/velero-lab-x/procs"
    assert not (tmp_path / "unified/velero-lab-x/node1").exists()


def test_a_v1_cpuset_inherits_before_it_takes_a_process(tmp_path: Path) -> None:
    cpuset = hierarchy(tmp_path / "cpuset")
    hierarchy(tmp_path / "pids")
    groups = Cgroups("x", tmp_path)
    for folder in (cpuset, cpuset / "velero-lab-x"):
        folder.mkdir(exist_ok=True)
        for name in ("cpuset.cpus", "cpuset.mems"):
            (folder / name).write_text("0-1" if folder is cpuset else "")
    groups.create_node("node1")
    assert (cpuset / "velero-lab-x/cpuset.cpus").read_text() == "0-1"


def test_the_use_of_pods_is_found_on_either_version(tmp_path: Path) -> None:
    old, new = tmp_path / "v1", tmp_path / "v2"
    hierarchy(old / "memory")
    hierarchy(new, unified=True)
    own = "velero-lab-x"
    assert Cgroups("x", old).accounts == {name: old / name / own for name in ("cpu", "cpuacct", "memory")}
    assert set(Cgroups("x", new).accounts.values()) == {new / own}
    assert Cgroups("x", old).hierarchies == {name: old / name for name in ("cpu", "cpuacct", "memory")}
    assert set(Cgroups("x", new).hierarchies.values()) == {new}


def test_in_a_container_others_move_to_a_leaf_and_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, where = hierarchy(tmp_path / "root", unified=True), ["root"]
    (root / "cgroup.type").write_text("domain\n")

    def move(_: Path, target: Path) -> bool:
        where.append("root" if target == root else target.name)
        return True

    for name in "xy":
        hierarchy(root / f"velero-lab-{name}", unified=True)
    monkeypatch.setattr(cgroups, "_move", move)
    first, second = Cgroups("x", root), Cgroups("y", root)
    first.create()
    second.create()
    shutil.rmtree(root / "velero-lab-x")
    first.remove()
    assert where == ["root", "not-velero-lab", "not-velero-lab"], "there still is a lab"
    shutil.rmtree(root / "velero-lab-y")
    second.remove()
    assert where[-1] == "root" and not (root / "not-velero-lab").exists()


def test_a_container_that_shares_its_root_group_is_refused(tmp_path: Path) -> None:
    root = hierarchy(tmp_path / "root", unified=True)
    (root / "cgroup.type").write_text("domain\n")
    (root / "cgroup.procs").write_text("0\n")  # a process that this container does not see
    with pytest.raises(Refusal, match="--cgroupns=private"):
        Cgroups("x", root).create()


def test_leftovers_are_named(tmp_path: Path) -> None:
    hierarchy(tmp_path / "pids")
    groups = Cgroups("x", tmp_path)
    groups.create()
    assert groups.leftovers() == [str(tmp_path / "pids/velero-lab-x")]


@pytest.fixture
def started(tmp_path: Path) -> Processes:
    """Processes whose control group is a plain folder."""
    hierarchy(tmp_path / "cgroup/pids")
    groups = Cgroups("x", tmp_path / "cgroup")
    groups.create()
    (groups.processes / "cgroup.procs").touch()
    return Processes(tmp_path / "state", groups)


def test_a_process_is_started_once_and_found_again(started: Processes) -> None:
    pid = started.start("sleeper", ["sleep", "60"])
    try:
        assert started.start("sleeper", ["sleep", "60"]) == pid == started.require("sleeper")
        assert started.recorded() == ["sleeper"] and started.dead() == []
    finally:
        os.kill(pid, 9)
        poll(started.dead, until=bool, event="it ends", timeout=5, interval=0.01)
    assert started.dead() == ["sleeper"]
    with pytest.raises(AcceptanceError, match="sleeper of the lab is not running"):
        started.require("sleeper")


@pytest.mark.skipif(os.geteuid() != 0, reason="makes namespaces")
def test_a_process_is_stopped_with_all_of_its_namespace(started: Processes, tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    script = f"sleep 60 & echo ready > {inner}; wait"
    node = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child=KILL", "sh", "-c", script]
    pid = started.start("node1-init", node)
    poll(inner.exists, until=bool, event="it runs", timeout=10, interval=0.01)
    (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    (sleeper,) = Path(f"/proc/{child}/task/{child}/children").read_text().split()
    started.stop("node1-init")
    assert started.recorded() == []
    assert not any(Path(f"/proc/{number}").exists() for number in (sleeper,))
    started.stop("node1-init")  # one that is not there is as good


def test_a_pid_that_belongs_to_a_stranger_now_is_not_ours(started: Processes, tmp_path: Path) -> None:
    (tmp_path / "state/run").mkdir(parents=True)
    (tmp_path / "state/run/etcd").write_text(f"{os.getpid()} 1")
    assert started.pid("etcd") is None and started.dead() == ["etcd"]


def test_a_program_that_is_missing_is_an_error_with_its_words(started: Processes) -> None:
    started.start("nothing", ["/no/such/program"])
    poll(started.dead, until=bool, event="it ends", timeout=5, interval=0.01)
    assert "No such file" in started.tail("nothing")


def test_a_namespace_that_cannot_be_entered_ends_the_start(started: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(started, "require", lambda _: 0)
    with pytest.raises(AcceptanceError, match=r"it ended at once: .*No such file"):
        started.start("lost", ["sleep", "1"], netns="nowhere")
