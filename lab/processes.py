"""Processes of the lab: started once, found again by a later command, never confused.

A record holds pid and start time, so that a pid that was given away to a stranger after a
reboot is not taken for ours.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from lab.cgroups import Cgroups
from velero_acceptance.core import timeouts
from velero_acceptance.core.errors import AcceptanceError
from velero_acceptance.core.waiting import poll

LAUNCHER = Path(__file__).with_name("launch.py")


class Processes:
    """The lab's processes, recorded in *state*/run and logged to *state*/log."""

    def __init__(self, state: Path, cgroups: Cgroups, up: str = "acceptance lab up") -> None:
        self._records = state / "run"
        self.logs = state / "log"
        self._cgroups = cgroups
        self._up = up  # the command that starts them

    def start(
        self,
        name: str,
        argv: Sequence[str | Path],
        *,
        netns: str = "host",
        environment: dict[str, str] | None = None,
    ) -> int:
        """Start *argv* as *name* unless it runs already; return its pid.

        *netns* is the name of a process whose network namespace to enter, ``new`` or ``host``.
        """
        if (running := self.pid(name)) is not None:
            return running
        self._records.mkdir(parents=True, exist_ok=True)
        self.logs.mkdir(parents=True, exist_ok=True)
        where = netns if netns in ("new", "host") else f"/proc/{self.require(netns)}/ns/net"
        record = self._records / name
        record.unlink(missing_ok=True)
        with (self.logs / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [*self.launcher(record, where), *argv],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, **(environment or {})},
            )
        poll(
            record.exists,
            until=bool,
            terminal=lambda _: f"it ended at once: {self.tail(name)}" if process.poll() is not None else None,
            event=f"{name} starts",
            timeout=timeouts.seconds("lab_process_started"),
            interval=0.005,
        )
        return process.pid

    def launcher(self, record: Path, netns: str = "host") -> list[str | Path]:
        """What to put before a command for it to run in the lab's control group, where ``down`` finds it."""
        return [sys.executable, "-I", "-S", LAUNCHER, record, self._cgroups.processes, netns]

    def hold_network(self, name: str) -> int:
        """Start the process that keeps network namespace *name* alive; return its pid.

        A namespace held by a process is gone with it: nothing is mounted, nothing can be left.
        """
        return self.start(name, ["sleep", "infinity"], netns="new")

    def pid(self, name: str) -> int | None:
        """Pid of *name* if it lives, else None."""
        try:
            pid, started = (int(field) for field in (self._records / name).read_text().split())
        except FileNotFoundError:
            return None
        return pid if _start_time(pid) == started else None

    def stop(self, name: str) -> None:
        """Kill *name* if it lives, and forget it; returns when its children have ended too.

        For a node, whose only child takes all processes of its namespace with it.
        """
        there: list[int] = []
        if (pid := self.pid(name)) is not None:
            with suppress(OSError):  # it ends just now
                children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
                there = [pid, *map(int, children)]
                os.kill(pid, signal.SIGKILL)
        poll(
            lambda: [pid for pid in there if _start_time(pid) is not None],
            until=lambda left: not left,
            event=f"{name} ends",
            timeout=timeouts.seconds("lab_processes_gone"),
            interval=0.05,
        )
        (self._records / name).unlink(missing_ok=True)

    def require(self, name: str) -> int:
        """Pid of *name*; raises AcceptanceError when it does not run."""
        pid = self.pid(name)
        if pid is None:
            raise AcceptanceError(
                f"{name} of the lab is not running: look at {self.logs / name}.log, then run `{self._up}`"
            )
        return pid

    def recorded(self) -> list[str]:
        """Names of all processes that were started, alive or not."""
        return sorted(path.name for path in self._records.glob("*")) if self._records.exists() else []

    def dead(self) -> list[str]:
        """Names of processes that were started and have ended."""
        return [name for name in self.recorded() if self.pid(name) is None]

    def tail(self, name: str, lines: int = 5) -> str:
        """The last lines of a process's log, for an error message."""
        path = self.logs / f"{name}.log"
        text = path.read_text(errors="replace") if path.exists() else ""
        return " | ".join(line for line in text.splitlines()[-lines:])


def _start_time(pid: int) -> int | None:
    """Clock ticks from boot to the process's start; None for no process or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[19])
