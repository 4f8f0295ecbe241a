"""How often the kernel held a pod back for want of CPU time, read from its control group.

Only where the nodes' control groups are on this machine, as those of the lab and of the kind cluster are.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Throttling:
    """Periods of the scheduler, those at whose end the limit was reached, and the seconds of waiting."""

    periods: int
    throttled: int
    seconds: float

    def since(self, earlier: Throttling) -> Throttling:
        """What came after *earlier*."""
        return Throttling(
            self.periods - earlier.periods, self.throttled - earlier.throttled, self.seconds - earlier.seconds
        )

    def __add__(self, other: Throttling) -> Throttling:
        return Throttling(self.periods + other.periods, self.throttled + other.throttled, self.seconds + other.seconds)

    def __str__(self) -> str:
        return f"{self.throttled} of {self.periods} periods, {self.seconds:.1f} s"


def of_pods(root: Path | None, uids: Iterable[str]) -> Throttling | None:
    """The sum over the pods with these *uids* below *root*; None where it cannot be known.

    *root* is the folder, in the hierarchy that accounts for CPU, below which the kubelets make theirs.
    """
    if root is None:
        return None
    found = [stat for uid in uids for folder in folders(root, uid) if (stat := _of_pod(folder))]
    if not found:
        return None
    return Throttling(*(sum(getattr(stat, name) for stat in found) for name in ("periods", "throttled", "seconds")))


def folders(root: Path, uid: str) -> Iterator[Path]:
    """A pod's groups, by the name that the kubelet itself gives them, or has systemd give them."""
    own, of_systemd = f"pod{uid}", f"-pod{uid.replace('-', '_')}.slice"
    for folder, names, _ in os.walk(root):  # which passes over groups that go meanwhile
        yield from (Path(folder, name) for name in names if name == own or name.endswith(of_systemd))


def _of_pod(folder: Path) -> Throttling | None:
    """The limit is set on the container and on its pod, and either of them may be the one that is held back."""
    stats = [_parse(path.read_text()) for path in (folder / "cpu.stat", *folder.glob("*/cpu.stat")) if path.exists()]
    return max(stats, key=lambda stat: stat.seconds, default=None)


def _parse(text: str) -> Throttling:
    """``cpu.stat`` of cgroup v2 (microseconds) or v1 (nanoseconds)."""
    values = {name: int(value) for name, value in (line.split() for line in text.splitlines())}
    seconds = values["throttled_usec"] / 1e6 if "throttled_usec" in values else values.get("throttled_time", 0) / 1e9
    return Throttling(values.get("nr_periods", 0), values.get("nr_throttled", 0), seconds)
