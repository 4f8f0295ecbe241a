"""A backup's own files decide which claims it contains: each way to lose one goes red."""

import gzip
from datetime import UTC, datetime

import pytest

from tests.backup_archives import backup_contents
from tests.fake_cluster import FakeBucket
from velero_acceptance.checks import coverage
from velero_acceptance.drivers.backup_files import BackupFiles
from velero_acceptance.drivers.kinds import Json

PVB = {
    "metadata": {"name": "b-1"},
    "spec": {"pod": {"namespace": "database", "name": "books-0"}, "volume": "data"},
    "status": {"phase": "Completed", "snapshotID": "abc"},
}
INFO = {
    "pvcNamespace": "database",
    "pvcName": "books",
    "backupMethod": "PodVolumeBackup",
    "result": "succeeded",
    "skipped": False,
}


def claim(name: str = "books", created: str = "2026-11-01T00:00:00Z") -> Json:
    metadata = {"namespace": "database", "name": name, "creationTimestamp": created}
    return {"metadata": metadata, "status": {"phase": "Bound"}}


def pod(phase: str = "Running") -> Json:
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "books"}}]
    return {
        "metadata": {"namespace": "database", "name": "books-0"},
        "spec": {"volumes": volumes},
        "status": {"phase": phase},
    }


def backup(claims: list[Json], pods: list[Json], volume_backups: list[Json], info: list[Json]) -> BackupFiles:
    objects = {"persistentvolumeclaims": claims, "pods": pods}
    return BackupFiles(
        FakeBucket(backup_contents("p/backups/b/", "b", objects, volume_backups, info)), "p/backups/b/", "b"
    )


def gaps(files: BackupFiles, *expected: Json) -> list[str]:
    return [f"{found.claim}: {found.gap}" for found in coverage.gaps(coverage.of_backup(files, expected))]


def test_a_claim_with_its_data_is_covered() -> None:
    assert gaps(backup([claim()], [pod()], [PVB], [INFO]), claim()) == []


@pytest.mark.parametrize(
    ("files", "says"),
    [
        (backup([claim()], [pod()], [], [{**INFO, "skippedReason": "opted out"}]), "no PodVolumeBackup (opted out)"),
        (backup([claim()], [], [], []), "no running pod in the backup mounts it"),
        (backup([claim()], [pod("Succeeded")], [], []), "no running pod in the backup mounts it"),
        (backup([], [pod()], [PVB], [INFO]), "the claim is not in the backup"),
        (backup([claim("other")], [pod()], [PVB], [INFO]), "the claim is not in the backup"),
    ],
)
def test_a_claim_without_its_data_is_named(files: BackupFiles, says: str) -> None:
    assert f"books: {says}" in gaps(files, claim())


def test_claims_that_were_there_before_are_expected() -> None:
    than = datetime(2026, 11, 2, tzinfo=UTC)
    pending = {**claim("pending"), "status": {"phase": "Pending"}}
    there = [claim(), claim("younger", "2026-11-03T00:00:00Z"), pending]
    assert coverage.older(there, ["database"], than) == [claim()]
    assert coverage.older(there, ["monitoring"], than) == []


def test_an_archive_that_cannot_be_read_is_an_error() -> None:
    files = BackupFiles(FakeBucket({"p/backups/b/b.tar.gz": gzip.compress(b"no archive at all")}), "p/backups/b/", "b")
    with pytest.raises(ValueError, match=r"b\.tar\.gz is no archive"):
        files.objects("pods")
