"""NFR-RESOURCE-001, NFR-PERF: limits and peak use of the containers that move volumes, and Prometheus's view of it."""

import bisect
import itertools
import re
from collections.abc import Sequence

from velero_acceptance.drivers.cgroups import ResourceUse
from velero_acceptance.drivers.kinds import Json, name_of
from velero_acceptance.drivers.prometheus import Series

# The container of node-agent. A pod that moves one volume has one container, named by a uid.
CONTAINER = "node-agent"
MEBIBYTE = 2**20
# A CPU limit holds in each of the scheduler's periods of 0.1 s. Any window can contain the allowance of one period more
# than its length: this much is no use beyond the limit.
WINDOW = 10.0
ALLOWANCE = 0.05
# How far readings of the same moment may differ: by the clocks, and by memory that comes and goes meanwhile.
SECONDS_APART = 1.0
MEMORY_SHARE, MEMORY_BYTES = 0.05, 4e6
CPU_SHARE, CPU_SECONDS = 0.05, 0.15

# A process that the kernel killed; one that ended with its whole container, in cgroup v2.
KILLED = re.compile(r"signal: killed|server starting")


class LimitMissing(Exception):
    """A container has no such limit; the message says which."""


def highest(pods: Sequence[Json], resource: str) -> float:
    """The highest limit (``cpu``: CPUs, ``memory``: bytes) of containers that move volumes; raises LimitMissing."""
    from kubernetes.utils.quantity import parse_quantity

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
    """The containers of a pod that move volumes; it may have others."""
    owners = {str(owner["uid"]) for owner in pod["metadata"].get("ownerReferences", [])}
    return [container for container in pod["spec"]["containers"] if container["name"] in {CONTAINER, *owners}]


def kill_reported(phase: str, words: Sequence[str]) -> bool:
    """Whether a backup whose uploader was killed failed, and its reasons name the kill."""
    return phase in ("Failed", "PartiallyFailed") and any(map(KILLED.search, words))


def not_burstable(pods: Sequence[Json]) -> list[str]:
    """The pods of another quality of service than Burstable, each with its class."""
    classes = {name_of(pod): str((pod.get("status") or {}).get("qosClass")) for pod in pods}
    return [f"{name} is {found}" for name, found in classes.items() if found != "Burstable"]


def highest_memory(samples: Sequence[ResourceUse]) -> int:
    """The largest working set, in bytes."""
    return max(use.working_set for use in samples)


def highest_cpu(samples: Sequence[ResourceUse]) -> float:
    """The most CPUs in use on average in any window of ten seconds, or in the whole of a shorter time."""
    times = [use.at for use in samples]
    span = min(WINDOW, times[-1] - times[0])
    if span <= 0:
        return 0.0
    ends = [bisect.bisect_left(times, start + span) for start in times]
    windows = ((use, samples[end]) for use, end in zip(samples, ends, strict=True) if end < len(samples))
    rates = ((last.cpu - first.cpu - ALLOWANCE) / (last.at - first.at) for first, last in windows)
    return max([0.0, *rates])


def memory_disagreeing(samples: Sequence[ResourceUse], series: Series) -> list[str]:
    """Points of Prometheus's working set that no reading about that time agrees with."""
    found = []
    for at, value in within(series, samples):
        near = [use.working_set for use in samples if abs(use.at - at) <= SECONDS_APART]
        near = near or [min(samples, key=lambda use: abs(use.at - at)).working_set]
        low, high = min(near), max(near)
        tolerance = MEMORY_BYTES + MEMORY_SHARE * high
        if not low - tolerance <= value <= high + tolerance:
            group = f"control group {low / 1e6:.1f} to {high / 1e6:.1f} MB"
            found.append(f"{at:.1f}: Prometheus {value / 1e6:.1f} MB, {group}")
    return found


def cpu_disagreeing(samples: Sequence[ResourceUse], series: Series) -> list[str]:
    """Pairs of points of Prometheus's CPU time that differ otherwise than the control group's."""
    found = []
    for (start, before), (end, after) in itertools.pairwise(within(series, samples)):
        counted, reported = _cpu_at(samples, end) - _cpu_at(samples, start), after - before
        if abs(counted - reported) > CPU_SECONDS + CPU_SHARE * counted:
            found.append(f"{start:.1f} to {end:.1f}: Prometheus {reported:.2f} s, control group {counted:.2f} s")
    return found


def within(series: Series, samples: Sequence[ResourceUse]) -> list[tuple[float, float]]:
    """The points of a series between the first and the last of *samples*."""
    return [(at, value) for at, value in series.points if samples[0].at <= at <= samples[-1].at]


def _cpu_at(samples: Sequence[ResourceUse], moment: float) -> float:
    """CPU seconds at a moment between two readings."""
    end = max(1, min(len(samples) - 1, bisect.bisect_left([use.at for use in samples], moment)))
    before, after = samples[end - 1], samples[end]
    share = (moment - before.at) / (after.at - before.at)
    return before.cpu + share * (after.cpu - before.cpu)
