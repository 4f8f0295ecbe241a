"""Memory, CPU time and throttling of pods by their control groups, where these are on this machine (lab and kind)."""

import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from velero_acceptance.core.errors import AcceptanceError
from velero_acceptance.core.waiting import WaitTimedOut, poll

INTERVAL = 0.25
# Files, and entries of memory.stat: in cgroup v2, in v1.
USAGE = ("memory.current", "memory.usage_in_bytes")
LIMIT = ("memory.max", "memory.limit_in_bytes")
INACTIVE = ("inactive_file", "total_inactive_file")
RESIDENT = ("anon", "total_rss")
UNLIMITED = 1 << 62


@dataclass(frozen=True)
class ResourceUse:
    """Resources of a pod at a moment, in Unix time.

    *working_set*: bytes of its group without inactive file cache, as kubelet and cAdvisor count. *resident*: bytes of
    its processes alone. *cpu*: CPU seconds since its start.
    """

    at: float
    working_set: int
    resident: int
    cpu: float


@dataclass(frozen=True)
class PodCgroups:
    """The control groups of one pod: of memory, and of CPU time."""

    memory: Path
    cpu: Path

    @staticmethod
    def of(accounts: Mapping[str, Path], uid: str) -> "PodCgroups":
        """The groups of the pod *uid*; *accounts* are the kubelets' folders of groups by controller."""
        memory, cpu = (next(folders(accounts[name], uid), None) for name in ("memory", "cpuacct"))
        if memory is None or cpu is None:
            raise AcceptanceError(f"the pod {uid} has no control group on this machine")
        return PodCgroups(memory, cpu)

    def read(self) -> ResourceUse:
        stat = _pairs(self.memory / "memory.stat")
        usage = int(_either(self.memory, USAGE).read_text())
        return ResourceUse(time.time(), usage - _value(stat, INACTIVE), _value(stat, RESIDENT), self._seconds())

    def kills(self) -> int:
        """How many of the pod's processes the kernel killed for lack of memory."""
        files = (path for name in ("memory.events", "memory.oom_control") for path in self.memory.rglob(name))
        # In v2 a group counts those below it too.
        own = [path for path in files if path.name == "memory.oom_control" or path.parent == self.memory]
        return sum(_pairs(path).get("oom_kill", 0) for path in own)

    def limit(self) -> int:
        """The pod's memory limit in bytes; UNLIMITED without one."""
        text = _either(self.memory, LIMIT).read_text().strip()
        return int(text) if text.isdigit() else UNLIMITED

    def set_limit(self, size: int) -> None:
        _either(self.memory, LIMIT).write_text(str(size))

    def _seconds(self) -> float:
        stat = self.cpu / "cpuacct.usage"
        return int(stat.read_text()) / 1e9 if stat.exists() else _pairs(self.cpu / "cpu.stat")["usage_usec"] / 1e6


class ResourceUseWatch:
    """Reads the resources of pods periodically while the body of ``with`` runs; *samples* by the name of the pod."""

    def __init__(self, groups: Mapping[str, PodCgroups], *, seconds: float) -> None:
        self._groups, self._seconds = dict(groups), seconds
        self._stopped = threading.Event()
        self._failure: Exception | None = None
        self.samples: dict[str, list[ResourceUse]] = {name: [] for name in groups}

    def __enter__(self) -> "ResourceUseWatch":
        self._thread = threading.Thread(target=self._collect, daemon=True, name="resources of pods")
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._stopped.set()
        self._thread.join()
        if self._failure is not None and kind is None:
            raise AcceptanceError(f"the resources of pods could not be read: {self._failure}")

    def _collect(self) -> None:
        try:
            poll(
                self._look,
                until=lambda _: self._stopped.is_set(),
                event="the watch of pods' resources ends",
                timeout=self._seconds,
                interval=INTERVAL,
            )
        except (OSError, KeyError, WaitTimedOut) as error:  # in a thread: raised when the body ends
            self._failure = error

    def _look(self) -> None:
        for name, groups in self._groups.items():
            self.samples[name].append(groups.read())


@dataclass(frozen=True)
class Throttling:
    """Periods of the scheduler, those in which the limit was reached, and the seconds of waiting."""

    periods: int
    throttled: int
    seconds: float

    def since(self, earlier: "Throttling") -> "Throttling":
        return self + Throttling(-earlier.periods, -earlier.throttled, -earlier.seconds)

    def __add__(self, other: "Throttling") -> "Throttling":
        return Throttling(self.periods + other.periods, self.throttled + other.throttled, self.seconds + other.seconds)

    def __str__(self) -> str:
        return f"{self.throttled} of {self.periods} periods, {self.seconds:.1f} s"


def of_pods(root: Path | None, uids: Iterable[str]) -> Throttling | None:
    """The sum over the pods *uids* below *root*, the kubelets' folder for CPU accounting; None where unknown."""
    if root is None:
        return None
    found = [stat for uid in uids for folder in folders(root, uid) if (stat := _of_pod(folder))]
    return sum(found, Throttling(0, 0, 0.0)) if found else None


def folders(root: Path, uid: str) -> Iterator[Path]:
    """A pod's groups, by the kubelet's name for them or systemd's."""
    own, of_systemd = f"pod{uid}", f"-pod{uid.replace('-', '_')}.slice"
    for folder, names, _ in os.walk(root):  # which passes over groups that disappear meanwhile
        yield from (Path(folder, name) for name in names if name == own or name.endswith(of_systemd))


def _of_pod(folder: Path) -> Throttling | None:
    """The limit is set on the container and on its pod, and either of them may be the one that is throttled."""
    stats = [_throttling(path) for path in (folder / "cpu.stat", *folder.glob("*/cpu.stat")) if path.exists()]
    return max(stats, key=lambda stat: stat.seconds, default=None)


def _throttling(path: Path) -> Throttling:
    """``cpu.stat`` of cgroup v2 (microseconds) or v1 (nanoseconds)."""
    values = _pairs(path)
    seconds = values["throttled_usec"] / 1e6 if "throttled_usec" in values else values.get("throttled_time", 0) / 1e9
    return Throttling(values.get("nr_periods", 0), values.get("nr_throttled", 0), seconds)


def _either(folder: Path, names: tuple[str, str]) -> Path:
    modern, old = (folder / name for name in names)
    return modern if modern.exists() else old


def _pairs(path: Path) -> dict[str, int]:
    lines = (line.split() for line in path.read_text().splitlines())
    return {name: int(value) for name, value in lines}


def _value(stat: Mapping[str, int], names: tuple[str, str]) -> int:
    """By v1's name where there is one: v1 has the other too, for the group without those below it."""
    modern, old = names
    return stat[old] if old in stat else stat[modern]
