"""A cluster whose volumes are backed up, and the bucket with the backups."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.backup_archives import CountingBucket, backup_contents
from tests.fake_cluster import FakeCluster, make_target
from tests.fake_velero import velero_objects
from velero_acceptance.checks.volume_coverage.result import CoverageResult, Row, cover
from velero_acceptance.core.waivers import VolumeWaiver
from velero_acceptance.drivers import kinds
from velero_acceptance.drivers.kinds import Json, name_of, namespace_of, stamp
from velero_acceptance.drivers.velero import SCHEDULE_LABEL

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
LONG_AGO = stamp(NOW - timedelta(days=365))
EXCLUDED = {"velero.io/exclude-from-backup": "true"}
MOUNT = {"name": "data", "mountPath": "/data"}
OF_CLAIM = {"name": "data", "persistentVolumeClaim": {"claimName": "books"}}


SNAPSHOT: Json = {
    "backupMethod": "CSISnapshot",
    "csiSnapshotInfo": {"snapshotHandle": "s", "size": 7, "ReadyToUse": True},
}
MOVED: Json = {
    "backupMethod": "CSISnapshot",
    "snapshotDataMoved": True,
    "csiSnapshotInfo": {"snapshotHandle": "unknown"},
    "snapshotDataMovementInfo": {"dataMover": "velero", "uploaderType": "kopia", "size": 9, "Phase": "Completed"},
}


def claim(namespace: str = "library", name: str = "books", *, created: str = LONG_AGO, **spec: object) -> Json:
    metadata = {"namespace": namespace, "name": name, "creationTimestamp": created}
    return {"metadata": metadata, "spec": {"volumeName": f"pv-{namespace}", **spec}, "status": {"phase": "Bound"}}


def pod(namespace: str = "library", volume: Json = OF_CLAIM, *, read_only: bool = False, **metadata: object) -> Json:
    mount = {"name": volume["name"], "mountPath": "/data", "readOnly": read_only}
    return {
        "metadata": {"namespace": namespace, "name": "shelf-0", **metadata},
        "spec": {"nodeName": "node-1", "volumes": [volume], "containers": [{"name": "c", "volumeMounts": [mount]}]},
        "status": {"phase": "Running"},
    }


def uploaded(one: Json, uploader: str = "kopia", volume: str = "data", **status: object) -> Json:
    where = {"namespace": namespace_of(one), "name": name_of(one)}
    done = {"phase": "Completed", "snapshotID": "abc", "progress": {"totalBytes": 5_000}}
    spec = {"pod": where, "volume": volume, "uploaderType": uploader}
    return {"metadata": {"name": "b-1"}, "spec": spec, "status": {**done, **status}}


def info(namespace: str = "library", **change: object) -> Json:
    whole = {"pvcNamespace": namespace, "pvcName": "books", "backupMethod": "PodVolumeBackup", "result": "succeeded"}
    return {**whole, "skipped": False, **change}


def info_of_pod(one: Json, volume: str = "data") -> Json:
    place = {"podNamespace": namespace_of(one), "podName": name_of(one), "volumeName": volume}
    return {"backupMethod": "PodVolumeBackup", "result": "succeeded", "skipped": False, "pvbInfo": place}


@dataclass
class World:
    """A cluster with a Velero, and its bucket."""

    cluster: FakeCluster = field(default_factory=lambda: FakeCluster(velero_objects()))
    bucket: CountingBucket = field(default_factory=CountingBucket)

    def __post_init__(self) -> None:
        self.namespace("library")
        self.repository("library")

    def namespace(self, name: str, **labels: str) -> None:
        self.cluster.put(kinds.NAMESPACE, {"metadata": {"name": name, "labels": labels}})

    def put(self, *items: Json) -> None:
        for item in items:
            self.cluster.put(kinds.POD if "containers" in item["spec"] else kinds.CLAIM, item)

    def repository(self, namespace: str, uploader: str = "kopia") -> None:
        self.bucket.contents[f"velero/{uploader}/{namespace}/kopia.repository"] = b""

    def schedule(self, name: str = "daily", **template: Any) -> None:
        spec = {"schedule": "0 2 * * *", "template": template}
        self.cluster.put(kinds.SCHEDULE, {"metadata": {"name": name, "namespace": "velero"}, "spec": spec})

    def backup(
        self,
        name: str = "daily-1",
        *items: Json,
        days: float = 1,
        phase: str = "Completed",
        uploads: list[Json] | None = None,
        infos: list[Json] | None = None,
        **spec: Any,
    ) -> None:
        """Make a backup with the claims and pods *items*, as old as *days*."""
        started = stamp(NOW - timedelta(days=days))
        metadata = {"name": name, "namespace": "velero", "labels": {SCHEDULE_LABEL: name.rpartition("-")[0]}}
        whole = {"defaultVolumesToFsBackup": True, "storageLocation": "default", **spec}
        status = {"phase": phase, "startTimestamp": started}
        self.cluster.put(kinds.BACKUP, {"metadata": metadata, "spec": whole, "status": status})
        objects = {
            "persistentvolumeclaims": [item for item in items if "containers" not in item["spec"]],
            "pods": [item for item in items if "containers" in item["spec"]],
        }
        files = backup_contents(f"velero/backups/{name}/", name, objects, uploads or [], infos or [])
        self.bucket.contents.update(files)

    def held(self, name: str = "daily-1", **how: Any) -> None:
        """Make a backup that holds the claim books of library."""
        one = pod()
        self.backup(name, claim(), one, uploads=[uploaded(one)], infos=[info()], **how)

    def cover(self, *waivers: VolumeWaiver) -> CoverageResult:
        place = make_target(self.cluster, self.bucket, prefix="velero")
        self.bucket.requests.clear()
        return cover(place.kubernetes, place.velero, self.bucket, place.environment, waivers, NOW)

    def row(self, label: str = "library/books") -> Row:
        (found,) = [row for row in self.cover().rows if row.protection.volume.label == label]
        return found

    def reason(self, label: str = "library/books") -> str:
        row = self.row(label)
        assert row.protection.held is None and row.protection.finding, row
        return row.protection.finding.reason
