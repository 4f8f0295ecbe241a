"""The lab's control groups: where its processes are found again, and where pods are limited.

Works on a cgroup v2 host, on v1 and on the v1 hybrid that many containers and small VMs have.
The lab owns one folder, ``velero-lab-<name>``, in each hierarchy; ``procs`` below it holds
every process the lab starts, so that nothing has to be found by name or by a stale pid.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

from velero_acceptance.core import timeouts
from velero_acceptance.core.errors import Refusal
from velero_acceptance.core.waiting import poll

MOUNT = Path("/sys/fs/cgroup")
PREFIX = "velero-lab-"
# In a container: what ran in its root group before the first lab came up.
OTHERS = "not-velero-lab"
MOVES = 20


class Cgroups:
    """The control groups of the lab called *name* below *mount*."""

    def __init__(self, name: str, mount: Path = MOUNT) -> None:
        self._mount = mount
        self.folder = f"{PREFIX}{name}"
        self.version = 2 if (mount / "cgroup.controllers").exists() else 1

    @property
    def processes(self) -> Path:
        """The group that the lab's processes are put in."""
        return self._tracking / self.folder / "procs"

    def kubelet_root(self, node: str) -> str:
        """The ``cgroupRoot`` of a node's kubelet, relative to the hierarchy."""
        return f"/{self.folder}/{node}"

    @property
    def hierarchies(self) -> dict[str, Path]:
        """Where the use of everything is accounted for, by controller: limits and use of CPU, and memory."""
        names = ("cpu", "cpuacct", "memory")
        return {name: self._mount if self.version == 2 else self._mount / name for name in names}

    @property
    def accounts(self) -> dict[str, Path]:
        """The lab's part of the hierarchies."""
        return {name: hierarchy / self.folder for name, hierarchy in self.hierarchies.items()}

    def create(self) -> None:
        """Make the group for processes. On v2, hand the controllers down to the lab."""
        self.processes.mkdir(parents=True, exist_ok=True)
        if self.version == 2:
            self._delegate_root()
            _delegate(self._mount / self.folder)

    def create_node(self, node: str) -> None:
        """Make the node's group anew in every hierarchy: a stale one would cost kubelet seconds."""
        for hierarchy in self._limiting:
            folder = hierarchy / self.folder / node
            _remove(folder)
            folder.mkdir(parents=True)
            for level in (folder.parent, folder):
                _inherit_cpuset(level)
        if self.version == 2:
            _delegate(self._mount / self.folder / node)

    def members(self) -> set[int]:
        """Pids of every live process of the lab, its containers included."""
        return set(_pids(self._tracking / self.folder))

    def kill(self) -> None:
        """Kill every process of the lab and wait until they are gone."""

        def strike() -> set[int]:
            for pid in (left := self.members()):
                _kill(pid)
            return left

        poll(
            strike,
            until=lambda left: not left,
            event="the lab's processes end",
            timeout=timeouts.seconds("lab_processes_gone"),
            interval=0.1,
        )

    def remove(self) -> None:
        """Remove the lab's groups from every hierarchy."""
        for hierarchy in self._hierarchies:
            folder = hierarchy / self.folder
            poll(
                partial(_remove, folder),
                until=bool,
                event=f"{folder} is removed",
                timeout=timeouts.seconds("lab_processes_gone"),
                interval=0.1,
            )
        self._return_root()

    def leftovers(self) -> list[str]:
        """Folders of the lab that still exist."""
        return [str(hierarchy / self.folder) for hierarchy in self._hierarchies if (hierarchy / self.folder).exists()]

    def _delegate_root(self) -> None:
        """Enable the controllers below the root; in a container, move its processes to a leaf first.

        Only the machine's own root may both have processes and hand controllers down (the kernel's cgroup-v2, "No
        Internal Process Constraint"). Raises Refusal when processes stay.
        """
        if (self._mount / "cgroup.type").exists():  # which the machine's own root has not
            (self._mount / OTHERS).mkdir(exist_ok=True)
            if not _move(self._mount, self._mount / OTHERS):
                raise Refusal(
                    "the root control group has processes of another container: start this one with a cgroup namespace "
                    "of its own (docker run --cgroupns=private)"
                )
        _delegate(self._mount)

    def _return_root(self) -> None:
        """Move the processes of a container back when the last lab is gone."""
        others = self._mount / OTHERS
        if self.version == 2 and others.exists() and not any(self._mount.glob(f"{PREFIX}*")):
            _delegate(self._mount, "-")
            _move(others, self._mount)
            _rmdir(others)

    @property
    def _hierarchies(self) -> list[Path]:
        if self.version == 2:
            return [self._mount]
        folders = (entry for entry in sorted(self._mount.iterdir()) if entry.is_dir() and not entry.is_symlink())
        return [folder for folder in folders if (folder / "cgroup.procs").exists()]

    @property
    def _limiting(self) -> list[Path]:
        """Hierarchies that kubelet and runc use; a hybrid's v2 mount is not one of them."""
        if self.version == 2:
            return [self._mount]
        return [folder for folder in self._hierarchies if not (folder / "cgroup.controllers").exists()]

    @property
    def _tracking(self) -> Path:
        """One hierarchy in which runc moves nothing, or moves it below the lab's own folder."""
        if self.version == 2:
            return self._mount
        unified = self._mount / "unified"
        return unified if (unified / "cgroup.procs").exists() else self._mount / "pids"


def _delegate(folder: Path, sign: str = "+") -> None:
    """Enable in the children of *folder* every controller it has; disable them with ``-``."""
    for controller in (folder / "cgroup.controllers").read_text().split():
        (folder / "cgroup.subtree_control").write_text(f"{sign}{controller}")


def _move(source: Path, target: Path) -> bool:
    """Move every process of a group to another; whether none is left. Some may fork meanwhile."""
    for _ in range(MOVES):
        pids = (source / "cgroup.procs").read_text().split()
        if not pids:
            return True
        for pid in pids:
            with suppress(OSError):  # ended, or a process that this container cannot see, shown as 0
                (target / "cgroup.procs").write_text(pid)
    return False


def _inherit_cpuset(folder: Path) -> None:
    """A v1 cpuset group takes no process until its cpus and memory nodes are set."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        own, parent = folder / name, folder.parent / name
        if own.exists() and parent.exists() and not own.read_text().strip():
            own.write_text(parent.read_text())


def _pids(folder: Path) -> Iterator[int]:
    for entry in [folder, *folder.rglob("*")] if folder.exists() else []:
        if entry.is_dir():
            try:
                content = (entry / "cgroup.procs").read_text()
            except OSError:  # removed while we looked
                continue
            yield from (int(line) for line in content.split())


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _remove(folder: Path) -> bool:
    """Remove a tree of groups, deepest first; False while the kernel still holds one."""
    if not folder.exists():
        return True
    for entry in sorted((e for e in folder.rglob("*") if e.is_dir()), key=lambda e: -len(e.parts)):
        _rmdir(entry)
    _rmdir(folder)
    return not folder.exists()


def _rmdir(folder: Path) -> None:
    with suppress(OSError):  # still busy or already gone: the caller looks again
        folder.rmdir()
