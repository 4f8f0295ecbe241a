"""Timed backups and restores: how their times are judged, and that they run once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from fixtures.backups import timed
from fixtures.backups.timed import FreshVolume, SlowLinkRun, Stopwatch, TimedRun, Timing, sizes_of, timings
from fixtures.environment.cluster import TargetClients
from fixtures.environment.run_scope import Scope
from tests.fake_cluster import FakeCluster, make_target
from tests.fake_systems import FakeLink, watch_volumes
from tests.fake_velero import FakeVelero
from tests.fixture_functions import set_up
from velero_acceptance.core.errors import Blocked, Inconclusive
from velero_acceptance.corpus.manifest import Manifest
from velero_acceptance.drivers import kinds
from velero_acceptance.drivers.kinds import Json
from velero_acceptance.drivers.velero import Operation, Transition
from velero_acceptance.drivers.volumes import Sample

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    return watch_volumes(monkeypatch)


def operation(seconds: float = 5.0) -> Operation:
    status = {"phase": "Completed", "startTimestamp": "2026-11-23T12:00:00Z"}
    ended = f"{NOW + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%SZ}"
    transitions = [Transition("InProgress", 1.0), Transition("Completed", 1.0 + seconds)]
    return Operation({"metadata": {"name": "b"}, "status": {**status, "completionTimestamp": ended}}, transitions)


def fresh(size: int, namespace: str = "n") -> FreshVolume:
    return FreshVolume(size, cast(Any, SimpleNamespace(namespace=namespace)), cast(Manifest, None))


def samples(*volumes: str) -> list[Sample]:
    return [
        Sample(at, volume, phase, 0, 0) for volume in volumes for phase, at in (("InProgress", 1.0), ("Completed", 4.0))
    ]


def item(namespace: str) -> Json:
    return {"metadata": {"name": f"v-{namespace}"}, "spec": {"pod": {"namespace": namespace}}}


def test_a_timing_is_the_time_in_which_the_volume_moved_and_the_overhead() -> None:
    (timing,) = timings([fresh(3_000_000_000)], ["n"], [item("n")], operation(), samples("v-n"), None)
    assert (timing.moving, timing.overhead, timing.seconds) == (3.0, 2.0, 5.0)
    assert (timing.gigabytes, timing.megabytes_per_second) == (3.0, 1000.0)
    assert (timing.point.gigabytes, timing.point.moving) == (3.0, 3.0)


@pytest.mark.parametrize("items", [[item("n")], [item("n"), item("m")]])
def test_a_volume_that_was_not_seen_from_start_to_end_is_no_timing(items: list[Json]) -> None:
    volumes = [fresh(1), fresh(1, "m")]
    with pytest.raises(Inconclusive, match="not every volume of b"):
        timings(volumes, ["n", "m"], items, operation(), samples("v-n"), None)


@pytest.mark.parametrize(("size", "sizes"), [(50, [50]), (60, [60]), (8_000, [8_000]), (40, [5, 10, 20, 40])], ids=str)
def test_less_data_than_wanted_is_timed_in_several_sizes(size: int, sizes: list[int]) -> None:
    assert sizes_of(size, 50) == sizes


class Watch:
    """A stopwatch that measures nothing."""

    def __init__(self, disk: Path | None = None) -> None:
        self.target = make_target(disk=disk)
        self.done: list[str] = []
        self.movers: Mapping[str, Json] = {"a": {"metadata": {"name": "agent"}}}

    def fill(self, _: str, sizes: list[int]) -> list[FreshVolume]:
        workload = SimpleNamespace(namespace="n", run=lambda *_, **__: self.done.append("more data"))
        return [FreshVolume(size, cast(Any, workload), cast(Manifest, None)) for size in sizes]

    def backup(self, alias: str, volumes: list[FreshVolume], report: Any = None) -> list[Timing]:
        self.done.append(f"backup {alias}")
        if report is not None:
            report(Sample(1.0, "v", "InProgress", 500_000_000, 2_000_000_000))
            report(Sample(2.0, "v", "Completed", 2_000_000_000, 2_000_000_000))
        return [Timing(volume.size, operation(), 3.0, 2.0, None) for volume in volumes]

    def restore(self, backup: Timing, volumes: list[FreshVolume], _: Any = None) -> list[Timing]:
        self.done.append(f"restore {backup.size}")
        return [Timing(volume.size, operation(), 4.0, 1.0, None) for volume in volumes]

    def changes(self, volume: FreshVolume) -> Any:
        return SimpleNamespace(percent_equal=100.0 if volume.size > 1 else 50.0)


def test_a_timed_run_backs_up_restores_and_backs_up_a_change_once() -> None:
    watch, said = Watch(), list[str]()
    run = TimedRun(cast(Stopwatch, watch), [1, 100], said.append)
    result = run.result()
    assert run.result() is result
    changed = ["more data", "backup after a change"]
    assert watch.done == ["backup of 1", "backup of 100", "restore 1", "restore 100", *changed]
    assert result.difference.percent_equal == 50.0 and result.after_change.size == 10
    assert [timing.size for timing in result.restores] == [1, 100] and len(result.movers) == 1
    assert said[:3] == ["new data, 1e-07 GB", "0.5 of 2 GB", "backup of 1e-09 GB: 5 s"]


def test_a_disk_that_is_too_small_blocks_everybody_who_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1e9))
    run = TimedRun(cast(Stopwatch, Watch(tmp_path)), [10**9], lambda _: None)
    for _ in range(2):
        with pytest.raises(Blocked, match=r"needs 3\.3 GB at .* and there are 1\.0: 2\.3 GB are missing"):
            run.result()


def test_the_slow_run_throttles_a_backup_and_a_restore_once() -> None:
    watch, link = Watch(), FakeLink()
    slow = set_up(timed, "slow_link_run", stopwatch=watch)
    assert isinstance(slow, SlowLinkRun)
    assert slow.restores(link) is slow.restores(link) and slow.backups(link) is slow.backups(link)
    assert watch.done == ["backup slow", "restore 1048576"]
    assert link.done == ["throttle 1000", "heal"] * 2


def put_volume_restore(cluster: FakeCluster, restore: Json, namespace: str) -> None:
    labels = {"velero.io/restore-name": restore["metadata"]["name"]}
    metadata = {"name": "r", "namespace": "velero", "labels": labels}
    cluster.put(kinds.POD_VOLUME_RESTORE, {"metadata": metadata, "spec": {"pod": {"namespace": namespace}}})


def test_the_stopwatch_fills_times_and_compares(
    watched: list[tuple[str, str]], target: TargetClients, scope: Scope, velero: FakeVelero
) -> None:
    entry = {"path": "f", "type": "file", "size": 4, "mode": 420, "mtime": 0, "sha256": "x"}
    manifest = SimpleNamespace(entries={"f": SimpleNamespace(**entry)}, compare=lambda other: other)
    run = SimpleNamespace(settings=SimpleNamespace(data_size=2 * 10**9))
    watch = set_up(timed, "stopwatch", target=target, session_scope=scope, run=run)
    assert watch.target.timeouts["backup_finished"] == 300 + 2 * 180 and watch.target.timeouts["api_call"] == 30
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fixtures.applications.workload.Workload.manifest", lambda _: manifest)
        patch.setattr("velero_acceptance.checks.backups.seconds", lambda _, name: 1.0 if name else None)
        (volume,) = watch.fill("fresh", [4])
        assert volume.size == 4
        (backup,) = watch.backup("of 4", [volume])
        copy = scope.name(f"copy of {volume.workload.namespace}")
        velero.cluster.on(
            "POST",
            kinds.RESTORE,
            lambda restore: put_volume_restore(velero.cluster, restore, copy),
        )
        (restore,) = watch.restore(backup, [volume])
        assert (backup.size, restore.size) == (4, 4) and watch.changes(volume) is manifest
    assert [kind for kind, _ in watched] == ["PodVolumeBackup", "PodVolumeRestore"]
