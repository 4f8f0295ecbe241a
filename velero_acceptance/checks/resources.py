"""NFR-RESOURCE-001: how much was used at the most, and whether Prometheus saw the same."""

from __future__ import annotations

import bisect
import itertools
import re
from collections.abc import Iterator, Sequence

from kubernetes.utils.quantity import parse_quantity

from velero_acceptance.drivers.cgroups import ResourceUse
from velero_acceptance.drivers.kinds import Json, name_of
from velero_acceptance.drivers.prometheus import Series

# A limit of CPU time holds in each of the scheduler's periods of 0.1 s. A window, wherever it begins, can hold the
# allowance of one period more than it is long: so much is no use beyond the limit.
WINDOW = 10.0
ALLOWANCE = 0.05
# How far readings of the same moment may differ: the clocks of reading, and memory that comes and goes meanwhile.
SECONDS_BESIDE = 1.0
MEMORY_SHARE, MEMORY_BYTES = 0.05, 4e6
CPU_SHARE, CPU_SECONDS = 0.05, 0.15

# Of a process that the kernel ended; of one that ended with all of its container, in cgroup v2.
KILLED = re.compile(r"signal: killed|server starting")


def kill_reported(phase: str, words: Sequence[str]) -> bool:
    """Whether a backup whose uploader was killed is called a failure, and the kill named."""
    return phase in ("Failed", "PartiallyFailed") and any(map(KILLED.search, words))


def not_burstable(pods: Sequence[Json]) -> list[str]:
    """The pods of another quality of service than Burstable, each with which."""
    classes = {name_of(pod): str((pod.get("status") or {}).get("qosClass")) for pod in pods}
    return [f"{name} is {found}" for name, found in classes.items() if found != "Burstable"]


def highest_memory(samples: Sequence[ResourceUse]) -> int:
    """The largest working set, in bytes."""
    return max(use.working_set for use in samples)


def highest_cpu(samples: Sequence[ResourceUse]) -> float:
    """The most CPUs in use on average over any window of ten seconds, or over all of a shorter time."""
    times = [use.at for use in samples]
    span = min(WINDOW, times[-1] - times[0])
    if span <= 0:
        return 0.0
    return max(_mean(samples, start, bisect.bisect_left(times, times[start] + span)) for start in range(len(times)))


def _mean(samples: Sequence[ResourceUse], start: int, end: int) -> float:
    if end >= len(samples):
        return 0.0
    first, last = samples[start], samples[end]
    return max(0.0, last.cpu - first.cpu - ALLOWANCE) / (last.at - first.at)


def memory_disagreeing(samples: Sequence[ResourceUse], seen: Series) -> list[str]:
    """Points of Prometheus's series of the working set that no reading about that time agrees with."""
    return [
        f"{at:.1f}: Prometheus {value / 1e6:.1f} MB, control group {low / 1e6:.1f} to {high / 1e6:.1f} MB"
        for at, value in within(seen, samples)
        for low, high in [_about(samples, at)]
        if not low - _slack(high) <= value <= high + _slack(high)
    ]


def cpu_disagreeing(samples: Sequence[ResourceUse], seen: Series) -> list[str]:
    """Pairs of points of Prometheus's counter of CPU time between which the control group counted otherwise."""
    return list(_cpu_disagreeing(samples, seen))


def _cpu_disagreeing(samples: Sequence[ResourceUse], seen: Series) -> Iterator[str]:
    for (start, before), (end, after) in itertools.pairwise(within(seen, samples)):
        counted, told = _at(samples, end) - _at(samples, start), after - before
        if abs(counted - told) > CPU_SECONDS + CPU_SHARE * counted:
            yield f"{start:.1f} to {end:.1f}: Prometheus {told:.2f} s, control group {counted:.2f} s"


def within(seen: Series, samples: Sequence[ResourceUse]) -> list[tuple[float, float]]:
    """The points of a series that lie between the first and the last of *samples*."""
    return [(at, value) for at, value in seen.points if samples[0].at <= at <= samples[-1].at]


def _about(samples: Sequence[ResourceUse], moment: float) -> tuple[int, int]:
    near = [use.working_set for use in samples if abs(use.at - moment) <= SECONDS_BESIDE]
    near = near or [min(samples, key=lambda use: abs(use.at - moment)).working_set]
    return min(near), max(near)


def _slack(size: float) -> float:
    return MEMORY_BYTES + MEMORY_SHARE * size


def _at(samples: Sequence[ResourceUse], moment: float) -> float:
    """CPU seconds at a moment between two readings."""
    end = max(1, min(len(samples) - 1, bisect.bisect_left([use.at for use in samples], moment)))
    before, after = samples[end - 1], samples[end]
    share = (moment - before.at) / (after.at - before.at)
    return before.cpu + share * (after.cpu - before.cpu)


# The limits of the containers that move volumes, by which their timings have to be understood.


# Of node-agent. A pod that moves one volume has one container, named by a uid.
CONTAINER = "node-agent"
MEBIBYTE = 2**20


class LimitMissing(Exception):
    """A container has no such limit; says which."""


def highest(pods: Sequence[Json], resource: str) -> float:
    """The highest limit of *resource* (``cpu``: in CPUs, ``memory``: in bytes) among the movers.

    Raises Unlimited for a container without one, and when there is no mover.
    """
    containers = [(name_of(pod), container) for pod in pods for container in _movers(pod)]
    if not containers:
        raise LimitMissing("there is no pod that moved data")
    found = []
    for pod, container in containers:
        limit = ((container.get("resources") or {}).get("limits") or {}).get(resource)
        if limit is None:
            raise LimitMissing(f"{pod} has no limit of {resource}")
        found.append(float(parse_quantity(limit)))
    return max(found)


def _movers(pod: Json) -> list[Json]:
    """The containers of a pod that move volumes: others stand beside them."""
    owners = {str(owner["uid"]) for owner in pod["metadata"].get("ownerReferences", [])}
    return [container for container in pod["spec"]["containers"] if container["name"] in {CONTAINER, *owners}]
