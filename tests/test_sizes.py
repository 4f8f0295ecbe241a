"""Which volumes a backup uploads, how much they hold, and what a finished one cost in S3."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from velero_acceptance.checks.storage_usage import (
    UNKNOWN,
    Estimate,
    Expected,
    PodVolume,
    cost,
    size,
    uploaded,
    used_by_kubelet,
)
from velero_acceptance.drivers.kinds import Json
from velero_acceptance.drivers.minio_admin import Capacity

# -- what is uploaded -----------------------------------------------------------------------

CLAIM = {"metadata": {"namespace": "n", "name": "c"}, "spec": {"volumeName": "pv"}}
VOLUME: Json = {"metadata": {"name": "pv"}, "spec": {"local": {"path": "/x"}}}
DATA = {"name": "data", "persistentVolumeClaim": {"claimName": "c"}}


def pod(*volumes: Json, mounted: bool = True, phase: str = "Running", **metadata: object) -> Json:
    mounts = [{"name": volume["name"], "mountPath": f"/{volume['name']}"} for volume in volumes]
    return {
        "metadata": {"namespace": "n", "name": "p", "uid": "u", **metadata},
        "spec": {
            "nodeName": "node1",
            "containers": [{"name": "c", "volumeMounts": mounts if mounted else []}],
            "volumes": list(volumes),
        },
        "status": {"phase": phase},
    }


def labels(*pods: Json, volume: Json = VOLUME, opt_out: bool = True) -> list[str]:
    return [found.label for found in uploaded(pods, [CLAIM], [volume], opt_out=opt_out)]


def test_claims_and_scratch_space_are_uploaded() -> None:
    assert labels(pod(DATA, {"name": "scratch", "emptyDir": {}})) == ["n/c", "n/p:scratch"]


@pytest.mark.parametrize("kind", ["hostPath", "secret", "configMap", "projected", "downwardAPI"])
def test_what_is_never_uploaded(kind: str) -> None:
    assert labels(pod(DATA, {"name": "other", kind: {}})) == ["n/c"]


@pytest.mark.parametrize(
    "one",
    [
        pod(DATA, mounted=False),
        pod(DATA, phase="Pending"),
        pod(DATA, phase="Succeeded"),
        pod(DATA, labels={"velero.io/exclude-from-backup": "true"}),
        pod(DATA, annotations={"backup.velero.io/backup-volumes-excludes": "other,data"}),
        pod({"name": "data", "persistentVolumeClaim": {"claimName": "another"}}),
    ],
)
def test_what_velero_leaves_out_is_not_counted(one: Json) -> None:
    assert labels(one) == []


def test_a_claim_on_a_host_path_is_left_out() -> None:
    assert labels(pod(DATA), volume={"metadata": {"name": "pv"}, "spec": {"hostPath": {"path": "/x"}}}) == []


def test_a_claim_of_two_pods_counts_once() -> None:
    assert labels(pod(DATA), pod(DATA, name="q", uid="v")) == ["n/c"]


def test_without_the_default_only_what_is_named_is_uploaded() -> None:
    named = {"backup.velero.io/backup-volumes": "data"}
    assert labels(pod(DATA), opt_out=False) == []
    assert labels(pod(DATA, {"name": "more", "emptyDir": {}}, annotations=named), opt_out=False) == ["n/c"]


def test_where_the_kubelet_keeps_a_volume() -> None:
    claim, scratch = uploaded([pod(DATA, {"name": "scratch", "emptyDir": {}})], [CLAIM], [VOLUME])
    assert (claim.folder, scratch.folder) == ("u/volumes/*/pv", "u/volumes/kubernetes.io~empty-dir/scratch")


# -- what the kubelet knows -----------------------------------------------------------------

OWN = PodVolume("n", "p", "u", "data", "node1", "c", "pv")


def summary(capacity: int, *others: int, used: int = 5) -> dict[str, Any]:
    def stat(uid: str, capacity: int) -> dict[str, Any]:
        volume = {"name": "data", "capacityBytes": capacity, "usedBytes": used, "pvcRef": {"name": "c"}}
        return {"podRef": {"uid": uid}, "volume": [volume]}

    pods = [stat("u", capacity), *(stat(f"other {number}", one) for number, one in enumerate(others))]
    return {"node": {"fs": {"capacityBytes": 1000}}, "pods": pods}


def test_a_volume_with_a_file_system_of_its_own_is_known() -> None:
    assert used_by_kubelet(summary(77, 88), OWN) == 5


@pytest.mark.parametrize("found", [summary(1000), summary(77, 77)])
def test_a_folder_of_a_disk_is_not_known(found: dict[str, Any]) -> None:
    assert used_by_kubelet(found, OWN) is None


def test_scratch_space_is_known_though_it_is_a_folder() -> None:
    found = summary(1000)
    scratch = {"name": "scratch", "capacityBytes": 1000, "usedBytes": 7}
    found["pods"][0]["volume"].append(scratch)
    assert used_by_kubelet(found, PodVolume("n", "p", "u", "scratch", "node1")) == 7


def test_a_volume_that_the_kubelet_does_not_name_is_not_known() -> None:
    assert used_by_kubelet({"node": {}, "pods": [{"podRef": {"uid": "u"}}]}, OWN) is None


def test_an_estimate_names_what_it_does_not_know() -> None:
    found = Estimate(
        [Expected(OWN, 2_000_000, "its files"), Expected(PodVolume("n", "q", "v", "x", "m"), None, UNKNOWN)]
    )
    assert (found.known, found.unknown) == (2_000_000, ["n/q:x"])
    assert "2.0 MB  n/c on node1, by its files" in found.table()
    assert "?  n/q:x on m, by not known" in found.table()
    assert Estimate([]).table() == "no volume would be uploaded"


# -- the walker -----------------------------------------------------------------------------


def test_the_walker_counts_every_name_of_every_file(program: Path, tmp_path: Path) -> None:
    folder = tmp_path / "uid/volumes/kind/pv"
    (folder / "deep").mkdir(parents=True)
    (folder / "a").write_bytes(b"x" * 100)
    (folder / "deep/b").write_bytes(b"x" * 23)
    (folder / "second-name").hardlink_to(folder / "a")
    (folder / "link").symlink_to("a")
    pattern = f"{tmp_path}/uid/volumes/*/pv"
    done = subprocess.run([program, "size", pattern, str(folder / "deep")], capture_output=True, text=True, check=True)
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        {"pattern": pattern, "bytes": 223, "files": 3},
        {"pattern": str(folder / "deep"), "bytes": 23, "files": 1},
    ]


@pytest.mark.parametrize("count", [0, 2])
def test_a_pattern_stands_for_one_folder(count: int, program: Path, tmp_path: Path) -> None:
    for number in range(count):
        (tmp_path / f"{number}/pv").mkdir(parents=True)
    done = subprocess.run([program, "size", f"{tmp_path}/*/pv"], capture_output=True, text=True)
    assert (done.returncode, f"stands for {count} folders, not one" in done.stderr) == (1, True)


def test_remove_takes_a_folder_and_refuses_what_is_not_there(program: Path, tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    assert subprocess.run([program, "remove", tmp_path / "a"]).returncode == 0
    assert not (tmp_path / "a").exists()
    assert subprocess.run([program, "remove", tmp_path / "a"], capture_output=True).returncode == 1


# -- what a backup cost ---------------------------------------------------------------------

START = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)


def volume_backup(phase: str = "Completed", total: int = 1000) -> Json:
    times = {"startTimestamp": "2026-11-23T02:00:00Z", "completionTimestamp": "2026-11-23T02:00:10Z"}
    status = {"phase": phase, "progress": {"totalBytes": total, "bytesDone": total}, **times}
    return {"spec": {"pod": {"namespace": "n"}}, "status": status}


def stored(**seconds: float) -> dict[str, tuple[int, datetime]]:
    """Objects of 100 bytes in the repository of n, by the second they are dated."""
    return {
        f"velero/restic/n/data/{name}": (100, START + timedelta(seconds=second)) for name, second in seconds.items()
    }


def test_what_came_into_the_repository_meanwhile_is_what_it_added() -> None:
    objects = stored(before=-60, first=1, last=9, after=60) | {
        "velero/backups/b/b.tar.gz": (7, START),
        "velero/backups/b2/b2.tar.gz": (9, START),
        "velero/restic/other/data/x": (50, START),
        "velero/restic/nn/data/x": (50, START),
    }
    found = cost("b", [volume_backup()], objects, "velero/", "restic")
    assert (found.logical, found.added, found.metadata, found.ratio) == (1000, 200, 7, 5)


@pytest.mark.parametrize(
    ("uploader", "of_volume", "added"),
    [("kopia", None, 50), ("restic", None, 100), ("restic", "kopia", 50), ("kopia", "restic", 100), ("kopia", "", 50)],
)
def test_what_was_added_is_in_the_uploader_s_folder(uploader: str, of_volume: str | None, added: int) -> None:
    """After an upgrade a backup of each is there."""
    volume = volume_backup()
    if of_volume is not None:
        volume["spec"]["uploaderType"] = of_volume
    objects = stored(first=1) | {"velero/kopia/n/p123": (50, START)}
    assert cost("b", [volume], objects, "velero/", uploader).added == added


def test_a_volume_that_failed_holds_nothing() -> None:
    found = cost("b", [volume_backup("Failed")], stored(first=1), "velero/", "restic")
    assert (found.logical, found.added, found.ratio) == (0, 0, None)


def test_two_volumes_of_a_namespace_share_what_was_added() -> None:
    assert cost("b", [volume_backup(), volume_backup()], stored(first=1), "velero/", "restic").added == 100


def test_capacity() -> None:
    assert Capacity(80, 100, "x").percent == 80


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (2_500_000, "2.5 MB"), (1e10, "10.0 GB")]
)
def test_sizes_for_a_reader(count: float, text: str) -> None:
    assert size(count) == text
