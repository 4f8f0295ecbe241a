"""What looks on beside every scenario goes red: restarts, error lines, leaks."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest

from fixtures.environment.run_scope import Scope
from fixtures.environment.velero_health import VeleroHealth, VeleroUnhealthy
from tests.fake_cluster import FakeBucket, FakeCluster, make_target, merged
from velero_acceptance.core.errors import AcceptanceError
from velero_acceptance.core.naming import RUN_LABEL, belongs_to_run, labels, unique
from velero_acceptance.core.timeouts import Timeouts
from velero_acceptance.corpus.uploaders import UPLOADERS
from velero_acceptance.drivers.kinds import (
    BACKUP,
    CLAIM,
    DELETE_BACKUP_REQUEST,
    DEPLOYMENT,
    JOB,
    NAMESPACE,
    POD,
    POD_VOLUME_BACKUP,
    SCHEDULE,
    STORAGE_LOCATION,
    VOLUME,
    Json,
    Kind,
)
from velero_acceptance.drivers.velero import SCHEDULE_LABEL, Velero
from velero_acceptance.evidence.failure_bundle import LEVEL_ERROR, LogLine, LogStreams
from velero_acceptance.target.created_resources import CreatedResources, ResourceCleaner

RUN = "20261123-1200-abcd"
OWN, FOREIGN = f"acc-{RUN}-00000001", f"acc-{RUN}-00000002"


class Lines:
    """Log streams that say what a test put in."""

    def __init__(self) -> None:
        self.lines: list[LogLine] = []

    def add(self, text: str, seconds: float = 1.0) -> None:
        self.lines.append(LogLine("velero-1", datetime.now(UTC) + timedelta(seconds=seconds), text))

    def errors_since(self, moment: datetime) -> list[LogLine]:
        return [line for line in self.lines if line.at > moment]


def server_pod(name: str = "velero-1", restarts: int = 0) -> Json:
    status = {"containerStatuses": [{"name": "velero", "restartCount": restarts}]}
    return {"metadata": {"name": name, "namespace": "velero", "labels": {"name": "velero"}}, "status": status}


@pytest.fixture
def cluster() -> FakeCluster:
    template = {"metadata": {"labels": {"name": "velero"}}}
    server = {"metadata": {"name": "velero", "namespace": "velero"}, "spec": {"template": template}}
    return FakeCluster({DEPLOYMENT: [server], POD: [server_pod()]})


@pytest.fixture
def lines() -> Lines:
    return Lines()


@pytest.fixture
def velero_health(cluster: FakeCluster, lines: Lines) -> VeleroHealth:
    scope = Scope(RUN, "scenario", cluster, CreatedResources(backups={OWN}))
    return VeleroHealth(make_target(cluster), cast(LogStreams, lines), scope)


def test_a_quiet_velero_is_fine(velero_health: VeleroHealth) -> None:
    velero_health.verify()


@pytest.mark.parametrize("pod", [server_pod(restarts=1), server_pod("velero-2")])
def test_a_restart_is_red_unless_announced(velero_health: VeleroHealth, cluster: FakeCluster, pod: Json) -> None:
    cluster.drop(POD, "velero-1", "velero")
    cluster.put(POD, pod)
    with pytest.raises(VeleroUnhealthy, match="restarted or replaced"):
        velero_health.verify()
    velero_health.expect_restart()
    velero_health.verify()


def test_an_error_line_is_red_unless_allowed(velero_health: VeleroHealth, lines: Lines) -> None:
    lines.add('level=error msg="disk on fire"')
    with pytest.raises(VeleroUnhealthy, match=r"1 unexpected errors:\nvelero-1: .*disk on fire"):
        velero_health.verify()
    velero_health.allow_errors("on fire")
    velero_health.verify()


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ('level=error msg="Error getting a backup store" backup-storage-location=velero/old-nas', False),
        ('level=error msg="unavailable: BackupStorageLocation \\"old-nas\\" is unavailable"', False),
        ('level=error msg="error" schedule=velero/of-others', False),
        ('level=error msg="Error getting a backup store" backup-storage-location=velero/default', True),
        ('level=error msg="error" schedule=velero/daily-backup', True),
        ('level=error msg="old-nas-2 is on fire"', True),
        ('level=error msg="no object is named: old-nas"', True),
        ('level=error msg="x" backupLocation=velero/old-nas schedule=velero/daily-backup', True),
        # Somebody's schedule is called velero, as the namespace is in every line.
        ('level=error msg="error of velero" backup=velero/nightly-1', True),
        ('level=error msg="error" schedule=velero/velero', False),
    ],
)
def test_errors_about_other_people_s_objects_do_not_count(
    velero_health: VeleroHealth, lines: Lines, cluster: FakeCluster, text: str, counts: bool
) -> None:
    for kind, name in (
        (STORAGE_LOCATION, "old-nas"),
        (STORAGE_LOCATION, "default"),
        (SCHEDULE, "of-others"),
        (SCHEDULE, "velero"),
        (SCHEDULE, "daily-backup"),
    ):
        cluster.put(kind, {"metadata": {"name": name, "namespace": "velero"}})
    lines.add(text)
    with pytest.raises(VeleroUnhealthy) if counts else nullcontext():
        velero_health.verify()


def test_calls_cut_short_by_an_announced_restart_are_fine(velero_health: VeleroHealth, lines: Lines) -> None:
    lines.add('level=error msg="Error updating the phase" error="client rate limiter: context canceled"')
    with pytest.raises(VeleroUnhealthy, match="context canceled"):
        velero_health.verify()
    velero_health.expect_restart()
    velero_health.verify()
    lines.add('level=error msg="disk on fire"')
    with pytest.raises(VeleroUnhealthy, match="disk on fire"):
        velero_health.verify()


def test_what_a_pod_said_is_told_from_what_others_did(velero_health: VeleroHealth, lines: Lines) -> None:
    lines.add("level=error Access Denied")
    assert velero_health.error_lines(["velero-1"]) == ["level=error Access Denied"]
    assert velero_health.error_lines(["another"]) == []


def test_only_own_and_unnamed_errors_count(velero_health: VeleroHealth, lines: Lines) -> None:
    lines.add(f'level=error msg="cannot delete {FOREIGN}"')
    lines.add('level=error msg="cannot delete acc-20260101-0000-abcd-0123abcd"')
    lines.add('level=error msg="from before"', seconds=-60)
    velero_health.verify()
    lines.add(f'level=error msg="cannot back up {OWN}"')
    with pytest.raises(VeleroUnhealthy, match="cannot back up"):
        velero_health.verify()


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ('time="x" level=error msg="y"', True),
        ('{"level":"error","msg":"y"}', True),
        ('time="x" level=fatal msg="y"', True),
        ('time="x" level=warning msg="an error"', False),
        ('time="x" level=info msg="level=errors"', False),
    ],
)
def test_error_lines_are_told_from_lines_about_errors(line: str, error: bool) -> None:
    assert bool(LEVEL_ERROR.search(line)) is error


# -- leaks ----------------------------------------------------------------------------------


@pytest.fixture
def bucket() -> FakeBucket:
    return FakeBucket()


@pytest.fixture
def keeper(cluster: FakeCluster, bucket: FakeBucket) -> ResourceCleaner:
    velero = Velero(cluster, "velero", "default", Timeouts())
    return ResourceCleaner(cluster, velero, bucket, "velero", Timeouts({"object_gone": 0.1}))


def labelled(name: str, run: str = RUN, **more: str) -> Json:
    return {"metadata": {"name": name, "labels": {RUN_LABEL: run, **more}}}


def test_a_clean_cluster_has_no_leftovers(keeper: ResourceCleaner, cluster: FakeCluster, bucket: FakeBucket) -> None:
    for item in (labelled("other", "another-run"), {"metadata": {"name": "default"}}):
        cluster.put(NAMESPACE, item)
    for key in ("velero/backups/mine/mine.tar.gz", "velero/backups/acc-another-run-00000001/x"):
        bucket.put(key, b"")
    assert keeper.leftovers(RUN) == []


@pytest.mark.parametrize(
    ("kind", "item", "says"),
    [
        (NAMESPACE, labelled(OWN), f"Namespace {OWN}"),
        (BACKUP, labelled("daily-1"), "Backup velero/daily-1"),
        (SCHEDULE, labelled("s"), "Schedule velero/s"),
        (
            VOLUME,
            {"metadata": {"name": "pvc-1"}, "spec": {"claimRef": {"namespace": OWN}}},
            f"PersistentVolume pvc-1 of {OWN}",
        ),
        (
            VOLUME,
            {"metadata": {"name": "pvc-1"}, "spec": {"claimRef": {"namespace": "monitoring", "name": OWN}}},
            f"PersistentVolume pvc-1 of {OWN}",
        ),
        (
            JOB,
            {"metadata": {"name": "j", "labels": {"velero.io/repo-name": f"{OWN}-default-restic-x1"}}},
            f"Job velero/j of {OWN}-default-restic-x1",
        ),
        (DEPLOYMENT, labelled(OWN), f"Deployment velero/{OWN}"),
        (CLAIM, labelled(OWN), f"PersistentVolumeClaim velero/{OWN}"),
        (
            POD_VOLUME_BACKUP,
            {"metadata": {"name": "v", "labels": {"velero.io/backup-name": OWN}}},
            f"PodVolumeBackup velero/v of {OWN}",
        ),
    ],
)
def test_every_object_left_is_a_leak(
    keeper: ResourceCleaner, cluster: FakeCluster, kind: Kind, item: Json, says: str
) -> None:
    cluster.put(kind, item, "velero")
    (found,) = keeper.leftovers(RUN)
    assert found.startswith(says)


def test_every_key_and_upload_left_is_a_leak(keeper: ResourceCleaner, bucket: FakeBucket) -> None:
    bucket.put(f"velero/restic/{OWN}/config", b"")
    bucket.uploads = [f"velero/restic/{OWN}/data/x"]
    assert keeper.leftovers(RUN) == [
        f"s3://bucket/velero/restic/{OWN}/config",
        f"incomplete upload of s3://bucket/velero/restic/{OWN}/data/x",
    ]


def test_runs_are_found_by_their_label(keeper: ResourceCleaner, cluster: FakeCluster) -> None:
    for item in (labelled(OWN), labelled("x", "another")):
        cluster.put(NAMESPACE, item)
    cluster.put(BACKUP, labelled("b"), "velero")
    found = keeper.runs()
    assert set(found) == {RUN, "another"}
    assert (found[RUN].namespaces, found[RUN].backups) == ({OWN}, {"b"})


def test_guests_in_namespaces_of_others_are_found_and_removed(keeper: ResourceCleaner, cluster: FakeCluster) -> None:
    for kind in (DEPLOYMENT, CLAIM):
        cluster.put(kind, merged(labelled(OWN), {"metadata": {"namespace": "monitoring"}}))
    made = keeper.runs()[RUN]
    assert made.workloads == {f"monitoring/{OWN}"}
    keeper.start(made)
    assert cluster.written("DELETE") == [f"deployments/{OWN}", f"persistentvolumeclaims/{OWN}"]
    assert cluster.get(CLAIM, OWN, "monitoring") is None


def test_runs_of_a_schedule_go_with_it(keeper: ResourceCleaner, cluster: FakeCluster) -> None:
    run = f"{OWN}-20261123020000"
    metadata = {"name": run, "namespace": "velero", "uid": "u", "labels": {SCHEDULE_LABEL: OWN}}
    cluster.put(BACKUP, {"metadata": metadata, "status": {"phase": "Completed"}})
    made = CreatedResources(schedules={OWN})
    keeper.start(made)
    assert made.backups == {run}
    assert f"schedules/{OWN}" in cluster.written("DELETE")
    (request,) = cluster.list_all(DELETE_BACKUP_REQUEST, "velero")
    assert request["spec"] == {"backupName": run}


def test_a_namespace_that_a_restore_made_late_is_removed_again(keeper: ResourceCleaner, cluster: FakeCluster) -> None:
    cluster.put(NAMESPACE, {"metadata": {"name": OWN}})
    assert keeper.finish(CreatedResources(namespaces={OWN})) == []
    assert cluster.get(NAMESPACE, OWN) is None


def test_a_repository_of_others_goes_only_when_it_was_made_for_us_and_holds_nothing(
    keeper: ResourceCleaner, cluster: FakeCluster, bucket: FakeBucket
) -> None:
    backup = {"metadata": {"name": "v"}, "spec": {"pod": {"namespace": "database"}}}
    cluster.put(POD_VOLUME_BACKUP, backup, "velero")
    kept = [f"velero/{uploader}/database/config" for uploader in UPLOADERS]
    for key in (*kept, *(f"velero/{uploader}/monitoring/config" for uploader in UPLOADERS)):
        bucket.put(key, b"")
    keeper.finish(CreatedResources(borrowed={"monitoring", "database"}))
    assert set(bucket.contents) == set(kept)


def test_names_are_unique_and_belong_to_their_run() -> None:
    first, second = unique(RUN), unique(RUN)
    assert first != second and belongs_to_run(first, RUN) and not belongs_to_run(first, "20261123-1200")
    assert len(first) <= 63


@pytest.mark.parametrize("scenario", ["a" * 100, "ends_in_a_sign_" + "_" * 60, "x" * 62 + "-y", "Ünïcode and spaces"])
def test_labels_are_valid_for_any_scenario(scenario: str) -> None:
    import re

    for value in labels(RUN, re.sub(r"[^A-Za-z0-9._-]+", "-", scenario)).values():
        assert re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?", value), value


def test_what_cannot_be_removed_keeps_nothing_else(keeper: ResourceCleaner, cluster: FakeCluster) -> None:
    def refuse(method: str, path: str, _: Json) -> None:
        if method == "DELETE" and "/schedules/" in path:
            raise AcceptanceError("the API server did not answer")

    cluster.store.before = refuse
    with pytest.raises(AcceptanceError, match="did not answer"):
        keeper.start(CreatedResources(schedules={"one"}, namespaces={OWN}))
    assert f"namespaces/{OWN}" in cluster.written("DELETE")
