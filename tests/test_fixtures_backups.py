"""Backups that expire, are maintained, synced and tracked: what is compared, awaited and healed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from fixtures.applications.repository_oracle import Oracle
from fixtures.applications.workload import Workloads
from fixtures.backups import progress
from fixtures.backups.expiry import Expiry, failure_since, maintain, maintenance_table
from fixtures.backups.progress import packs_requested, slowed, track_backup, track_restore
from fixtures.environment.cluster import TargetClients
from fixtures.environment.run_scope import Scope
from steps.restore import delete_object
from tests.fake_cluster import FakeBucket, FakeCluster
from tests.fake_systems import FakeLink, watch_volumes
from tests.fixture_functions import set_up
from velero_acceptance.core.errors import AcceptanceError
from velero_acceptance.core.timeouts import Timeouts
from velero_acceptance.drivers import kinds
from velero_acceptance.drivers.kinds import Json
from velero_acceptance.drivers.minio_trace import S3Trace, TracedRequest
from velero_acceptance.drivers.velero import Operation

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@pytest.fixture
def backup(target: TargetClients, scope: Scope) -> Operation:
    return target.velero.backup(scope.backup_name("b"), labels=scope.labels, includedNamespaces=["n"])


@pytest.fixture
def link() -> FakeLink:
    return FakeLink()


# -- expiry -----------------------------------------------------------------------------------


@pytest.fixture
def snapshots() -> list[str]:
    return []


@pytest.fixture
def expiry(target: TargetClients, snapshots: list[str]) -> Expiry:
    oracle = SimpleNamespace(repository=lambda _: SimpleNamespace(snapshots=lambda: snapshots))
    return Expiry(target.with_settings(timeouts=Timeouts({"garbage_collected": 0.1})), cast(Oracle, oracle))


def test_what_belongs_to_an_expired_backup_is_noted_before_it_expires(
    expiry: Expiry, backup: Operation, cluster: FakeCluster
) -> None:
    restore = Operation({"metadata": {"name": "r"}})
    expired = expiry.expire(backup, [restore])
    names = [(kind.kind, name) for kind, name in expired.objects]
    assert names == [("Backup", backup.name), ("Restore", "r"), ("PodVolumeBackup", f"{backup.name}-n")]
    assert expired.prefixes == (f"velero/backups/{backup.name}/", "velero/restores/r/")
    assert expired.snapshots == {("n", f"snapshot of {backup.name}")}
    status = cluster.require(kinds.BACKUP, backup.name, "velero")["status"]
    assert datetime.fromisoformat(status["expiration"]) < datetime.now(UTC) - timedelta(minutes=59)


def test_objects_keys_and_snapshots_are_left_until_they_are_gone(
    expiry: Expiry, backup: Operation, cluster: FakeCluster, bucket: FakeBucket, snapshots: list[str]
) -> None:
    bucket.put(f"velero/backups/{backup.name}/x", b"")
    snapshots.append(f"snapshot of {backup.name}")
    expired = expiry.expire(backup, [])
    left = expiry.wait_gone(expired)
    assert left and [len(found) for found in (left.objects, left.keys, left.snapshots)] == [2, 1, 1]
    for kind, name in expired.objects:
        cluster.drop(kind, name, "velero")
    bucket.delete(*left.keys)
    snapshots.clear()
    assert not expiry.wait_gone(expired)


# -- maintenance ------------------------------------------------------------------------------


def repository(last: str = "2026-11-23T12:00:00Z", recent: list[Json] | None = None) -> Json:
    labels = {"velero.io/volume-namespace": "n"}
    status = {"lastMaintenanceTime": last, "recentMaintenance": recent or []}
    metadata = {"name": "n-repo", "namespace": "velero", "labels": labels}
    return {"metadata": metadata, "spec": {"maintenanceFrequency": "168h"}, "status": status}


def test_a_repository_is_maintained_and_gets_its_frequency_back(
    target: TargetClients, cluster: FakeCluster, bucket: FakeBucket
) -> None:
    cluster.put(kinds.BACKUP_REPOSITORY, repository())
    bucket.put("velero/restic/n/data/1", b"xxx")
    frequencies: list[str] = []

    def check(item: Json) -> None:
        frequencies.append(item["spec"]["maintenanceFrequency"])
        if frequencies[-1] == "1s":
            bucket.put("velero/restic/n/data/1", b"x")
            status = {"lastMaintenanceTime": "2026-11-23T12:05:00Z", "recentMaintenance": [{"result": "Succeeded"}]}
            cluster.change(kinds.BACKUP_REPOSITORY, "n-repo", "velero", {"status": status})

    cluster.on("PATCH", kinds.BACKUP_REPOSITORY, check)
    assert maintain(target, "n") == (3, 1) and frequencies == ["1s", "168h"]
    assert maintenance_table(target, "n").splitlines() == [
        "{'result': 'Succeeded'}",
        "           1  velero/restic/n/data/1",
    ]


def test_a_maintenance_that_fails_is_an_error_with_velero_s_message(
    target: TargetClients, cluster: FakeCluster
) -> None:
    cluster.put(kinds.BACKUP_REPOSITORY, repository())
    failed = {"startTimestamp": "2026-11-23T12:01:00Z", "result": "Failed", "message": "the repository is locked"}
    change = {"status": {"recentMaintenance": [failed]}}
    cluster.later.append(lambda: cluster.change(kinds.BACKUP_REPOSITORY, "n-repo", "velero", change))
    with pytest.raises(AcceptanceError, match="the maintenance failed: the repository is locked"):
        maintain(target, "n")
    assert cluster.require(kinds.BACKUP_REPOSITORY, "n-repo", "velero")["spec"]["maintenanceFrequency"] == "168h"


def test_a_failure_before_the_last_success_is_none() -> None:
    failed = {"startTimestamp": "2026-11-23T11:00:00Z", "result": "Failed", "message": "old"}
    assert failure_since(NOW, repository(recent=[failed])) is None is failure_since(NOW, None)


def test_a_namespace_without_its_one_repository_is_an_error(target: TargetClients) -> None:
    with pytest.raises(AcceptanceError, match="n has 0 repositories, not one"):
        maintain(target, "n")


# -- sync -------------------------------------------------------------------------------------


@pytest.mark.parametrize("synced", [True, False])
def test_a_backup_is_synced_or_not(
    synced: bool, target: TargetClients, cluster: FakeCluster, backup: Operation
) -> None:
    if synced:
        cluster.later.append(lambda: cluster.put(kinds.BACKUP, backup.item))
    found = delete_object(target=target, backup=backup)
    assert found.backup is backup and (found.seconds is not None) is synced


# -- progress ---------------------------------------------------------------------------------


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    return watch_volumes(monkeypatch)


def test_samples_of_a_backup_count_its_packs_and_those_of_a_restore_what_is_asked(
    watched: list[tuple[str, str]], target: TargetClients, scope: Scope, bucket: FakeBucket
) -> None:
    bucket.contents = {"velero/restic/n/data/1": b"", "velero/restic/n/index/1": b"", "velero/restic/o/data/1": b""}
    tracked = track_backup(target, scope, "n", "b")
    assert [sample.stored for sample in tracked.samples] == [1, 1] and tracked.namespace == "n"
    restored = track_restore(target, scope, tracked.operation.name, "n", "copy", lambda: 7)
    assert [sample.stored for sample in restored.samples] == [7, 7]
    assert restored.operation.item["spec"]["namespaceMapping"] == {"n": scope.name("copy")}
    assert watched == [("PodVolumeBackup", "backup_finished"), ("PodVolumeRestore", "restore_finished")]


def test_only_reads_of_packs_are_packs_requested(target: TargetClients) -> None:
    def request(method: str, path: str) -> TracedRequest:
        return TracedRequest(NOW, method, path, 200, "k")

    packs = "/bucket/velero/restic/n/data/"
    paths = [("GET", f"{packs}1"), ("PUT", f"{packs}2"), ("GET", "/bucket/velero/restic/n/index/1"), ("GET", "/x")]
    trace = cast(S3Trace, SimpleNamespace(requests=[request(*path) for path in paths]))
    place = target.environment.model_copy(update={"bucket": "bucket"})
    assert packs_requested(trace, target.with_settings(environment=place), "n") == 1


def test_a_link_is_healed_also_when_what_it_slows_down_fails(link: FakeLink) -> None:
    with pytest.raises(AcceptanceError), slowed(link, 400):
        raise AcceptanceError("the backup failed")
    assert link.done == ["throttle 400", "heal"]


def test_the_slow_link_is_used_once_for_a_backup_and_once_for_a_restore(
    watched: list[tuple[str, str]],
    target: TargetClients,
    scope: Scope,
    link: FakeLink,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trace = SimpleNamespace(requests=[], __enter__=None)

    @contextmanager
    def traced(*_: object) -> Iterator[Any]:
        yield trace

    monkeypatch.setattr(progress, "S3Trace", traced)
    slow = set_up(progress, "slow_link", workloads=Workloads(target), session_scope=scope)
    assert slow.restore(link) is slow.restore(link) and slow.backup(link) is slow.backup(link)
    assert len(watched) == 2
    assert link.done == [f"throttle {target.uploader.slow}", "heal"] * 2
