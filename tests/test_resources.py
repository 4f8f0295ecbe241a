"""Use of memory and CPU: read from recorded hierarchies, and the checks seen to go red."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.observability.agent_resources import OVERUSE_SECONDS, latest_overuse
from velero_acceptance.checks import resources
from velero_acceptance.core.errors import AcceptanceError
from velero_acceptance.core.waiting import poll
from velero_acceptance.drivers.cgroups import UNLIMITED, PodCgroups, ResourceUse, ResourceUseWatch
from velero_acceptance.drivers.prometheus import Series

V1 = {
    "memory/lab/pod-a/podu/memory.usage_in_bytes": "500\n",
    "memory/lab/pod-a/podu/memory.limit_in_bytes": "1000\n",
    "memory/lab/pod-a/podu/memory.stat": "cache 1\nrss 2\ninactive_file 3\ntotal_rss 200\ntotal_inactive_file 100\n",
    "memory/lab/pod-a/podu/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n",
    "memory/lab/pod-a/podu/c/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
    "cpuacct/lab/pod-a/podu/cpuacct.usage": "2500000000\n",
}
V2 = {
    "lab/pod-a/podu/memory.current": "500\n",
    "lab/pod-a/podu/memory.max": "max\n",
    "lab/pod-a/podu/memory.stat": "anon 200\nfile 300\ninactive_file 100\n",
    "lab/pod-a/podu/memory.events": "low 0\noom 2\noom_kill 2\n",
    "lab/pod-a/podu/c/memory.events": "low 0\noom 2\noom_kill 2\n",
    "lab/pod-a/podu/cpu.stat": "usage_usec 2500000\nnr_periods 4\n",
}
ROOTS = {"v1": {"memory": "memory/lab", "cpuacct": "cpuacct/lab"}, "v2": {"memory": "lab", "cpuacct": "lab"}}
FILES = {"v1": V1, "v2": V2}


def groups(folder: Path, version: str) -> PodCgroups:
    for path, text in FILES[version].items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return PodCgroups.of({name: folder / root for name, root in ROOTS[version].items()}, "u")


# -- reading --------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ROOTS)
def test_a_pod_s_use_is_read(tmp_path: Path, version: str) -> None:
    found = groups(tmp_path, version)
    use = found.read()
    assert (use.working_set, use.resident, use.cpu) == (400, 200, 2.5)
    assert found.kills() == 2


@pytest.mark.parametrize(("version", "limit"), [("v1", 1000), ("v2", UNLIMITED)])
def test_its_limit_can_be_changed(tmp_path: Path, version: str, limit: int) -> None:
    found = groups(tmp_path, version)
    assert found.limit() == limit
    found.set_limit(77)
    assert found.limit() == 77


def test_a_pod_that_is_elsewhere_is_named(tmp_path: Path) -> None:
    with pytest.raises(AcceptanceError, match="the pod x has no control group on this machine"):
        PodCgroups.of({"memory": tmp_path, "cpuacct": tmp_path}, "x")


def test_a_watch_has_a_sample_of_each_pod_and_ends(tmp_path: Path) -> None:
    with ResourceUseWatch({"a": groups(tmp_path, "v1")}, seconds=30) as watch:
        poll(lambda: len(watch.samples["a"]), until=lambda n: n >= 2, event="two samples", timeout=10, interval=0.05)
    assert {use.working_set for use in watch.samples["a"]} == {400}


def test_a_group_that_goes_is_an_error(tmp_path: Path) -> None:
    watched = groups(tmp_path, "v1")
    (watched.memory / "memory.usage_in_bytes").unlink()
    with (
        pytest.raises(AcceptanceError, match="could not be read"),
        ResourceUseWatch({"a": watched}, seconds=30) as watch,
    ):
        watch._thread.join(10)


# -- peaks ----------------------------------------------------------------------------------


def uses(*rates: float, step: float = 0.25, seconds: float = 5.0, memory: int = 100) -> list[ResourceUse]:
    """Readings of a pod that used so many CPUs, each rate for so many seconds."""
    found, cpu, at = [ResourceUse(0.0, memory, 0, 0.0)], 0.0, 0.0
    for rate in rates:
        for _ in range(int(seconds / step)):
            at, cpu = at + step, cpu + rate * step
            found.append(ResourceUse(at, memory, 0, cpu))
    return found


def test_the_highest_memory_counts() -> None:
    assert resources.highest_memory([ResourceUse(0, 5, 0, 0), ResourceUse(1, 9, 0, 0), ResourceUse(2, 7, 0, 0)]) == 9


@pytest.mark.parametrize(
    ("rates", "cpus"),
    [
        ((0.5, 0.5, 0.5, 0.5), 0.495),
        ((0.1, 0.9, 0.9, 0.1), 0.895),
        ((0.0, 0.0, 0.0, 0.0), 0.0),
        ((0.8, 0.2, 0.2, 0.2), 0.495),
        ((0.6,), 0.59),
    ],
)
def test_the_busiest_window_counts(rates: tuple[float, ...], cpus: float) -> None:
    assert resources.highest_cpu(uses(*rates)) == pytest.approx(cpus, abs=0.002)


def test_a_limit_that_is_kept_in_every_period_is_kept_in_every_window() -> None:
    """The worst case: the allowance is used at the end of the first period and at the start of the last."""
    allowed = [ResourceUse(0.0, 0, 0, 0.0), *(ResourceUse(0.01 + i * 0.1, 0, 0, 0.05 * (i + 1)) for i in range(102))]
    assert resources.highest_cpu(allowed) <= 0.5


def test_one_reading_is_no_use() -> None:
    assert resources.highest_cpu([ResourceUse(0, 1, 1, 1)]) == 0.0


def test_a_pod_that_is_to_use_too_much_is_judged_by_when_it_did() -> None:
    """A busy machine gives it its CPU late."""
    late = uses(0.3, 0.3, 0.8)[:-6]  # five seconds each, the last one a second and a half less
    assert resources.highest_cpu(late) <= 0.5 < resources.highest_cpu(latest_overuse(late))
    assert latest_overuse(uses(0.3, 0.5)) == [] == latest_overuse(uses(0.9, seconds=OVERUSE_SECONDS - 0.5))


# -- Prometheus beside ----------------------------------------------------------------------


def seen(*points: tuple[float, float]) -> Series:
    return Series({}, points)


@pytest.mark.parametrize(
    ("value", "agrees"), [(100e6, True), (108e6, True), (91e6, True), (111e6, False), (89e6, False)]
)
def test_memory_agrees_within_its_tolerance(value: float, agrees: bool) -> None:
    samples = uses(0.1, memory=100_000_000)
    assert (resources.memory_disagreeing(samples, seen((2.0, value))) == []) is agrees


def test_memory_that_changes_agrees_with_any_reading_of_that_second() -> None:
    samples = [
        ResourceUse(0.0, 10_000_000, 0, 0),
        ResourceUse(1.0, 90_000_000, 0, 0),
        ResourceUse(9.0, 10_000_000, 0, 0),
    ]
    assert resources.memory_disagreeing(samples, seen((0.5, 50e6))) == []
    assert len(resources.memory_disagreeing(samples, seen((5.0, 50e6)))) == 1


def test_points_beside_the_watch_are_not_compared() -> None:
    assert resources.memory_disagreeing(uses(0.1), seen((-1.0, 9e9), (6.0, 9e9))) == []


@pytest.mark.parametrize(("after", "agrees"), [(2.0, True), (2.2, True), (2.3, False), (1.7, False)])
def test_cpu_time_agrees_within_its_tolerance(after: float, agrees: bool) -> None:
    """Both counters may have begun elsewhere: what was counted between two readings is compared."""
    found = resources.cpu_disagreeing(uses(0.5, 0.5), seen((2.0, 100.0), (6.0, 100.0 + after)))
    assert (found == []) is agrees


# -- the rest -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("phase", "words", "told"),
    [
        ("PartiallyFailed", ["pod volume backup failed: signal: killed"], True),
        ("PartiallyFailed", ["found a podvolumebackup during the server starting"], True),
        ("Failed", ["signal: killed"], True),
        ("PartiallyFailed", ["something else"], False),
        ("Completed", ["signal: killed"], False),
        ("InProgress", ["signal: killed"], False),
    ],
)
def test_a_kill_has_to_be_told(phase: str, words: list[str], told: bool) -> None:
    assert resources.kill_reported(phase, words) is told


def test_another_quality_of_service_is_named() -> None:
    pods = [{"metadata": {"name": name}, "status": {"qosClass": name}} for name in ("Burstable", "Guaranteed")]
    assert resources.not_burstable([*pods, {"metadata": {"name": "new"}}]) == [
        "Guaranteed is Guaranteed",
        "new is None",
    ]
