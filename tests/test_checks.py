"""The judgements behind the Then steps, each seen to go red."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from velero_acceptance.checks import bucket, coverage, schedule
from velero_acceptance.corpus.uploaders import RESTIC
from velero_acceptance.drivers.kinds import Json

HASH = "0123456789abcdef" * 4


# -- AC-003-03: claims ----------------------------------------------------------------------


def claim(name: str = "data") -> Json:
    return {"metadata": {"namespace": "n", "name": name}}


def pod(claim_name: str = "data", phase: str = "Running") -> Json:
    volumes = [{"name": "v", "persistentVolumeClaim": {"claimName": claim_name}}]
    return {"metadata": {"namespace": "n", "name": "p"}, "spec": {"volumes": volumes}, "status": {"phase": phase}}


def volume_backup(**status: object) -> Json:
    spec = {"pod": {"namespace": "n", "name": "p"}, "volume": "v"}
    return {"metadata": {"name": "b"}, "spec": spec, "status": {"phase": "Completed", "snapshotID": "abc", **status}}


def info(**change: object) -> Json:
    whole = {
        "pvcNamespace": "n",
        "pvcName": "data",
        "backupMethod": "PodVolumeBackup",
        "result": "succeeded",
        "skipped": False,
    }
    return {**whole, **change}


def gaps(**change: list[Json]) -> list[str]:
    given = {
        "claims": [claim()],
        "pods": [pod()],
        "volume_backups": [volume_backup()],
        "volume_info": [info()],
        **change,
    }
    return [found.gap for found in coverage.gaps(coverage.audit(**given))]


def test_a_claim_with_its_snapshot_is_covered() -> None:
    assert gaps() == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"volume_backups": []}, "no PodVolumeBackup"),
        ({"volume_backups": [], "volume_info": [info(skippedReason="host path")]}, "(host path)"),
        ({"volume_backups": [volume_backup(phase="Failed", message="x509")]}, "is Failed: x509"),
        ({"volume_backups": [volume_backup(phase="InProgress")]}, "is InProgress"),
        ({"volume_backups": [volume_backup(snapshotID="")]}, "no snapshot"),
        ({"pods": []}, "no running pod in the backup mounts it"),
        ({"pods": [pod(phase="Pending")]}, "no running pod in the backup mounts it"),
        ({"pods": [pod("other")]}, "no running pod in the backup mounts it"),
        ({"volume_info": []}, "volumeinfo does not name it"),
        ({"volume_info": [info(skipped=True)]}, "skipped True"),
        ({"volume_info": [info(backupMethod="NativeSnapshot")]}, "NativeSnapshot"),
        ({"volume_info": [info(result="failed")]}, "failed"),
    ],
)
def test_completed_without_data_is_a_gap(change: dict[str, list[Json]], says: str) -> None:
    (found,) = gaps(**change)
    assert says in found


def test_a_block_device_is_named_as_left_out() -> None:
    block = {**claim(), "spec": {"volumeMode": "Block"}}
    assert gaps(claims=[block], pods=[], volume_backups=[], volume_info=[]) == [coverage.BLOCK]
    assert gaps(claims=[{**claim(), "spec": {"volumeMode": "Filesystem"}}]) == []


def test_every_claim_counts_for_itself() -> None:
    assert len(gaps(claims=[claim(), claim("forgotten")])) == 1


# -- AC-002-04: keys ------------------------------------------------------------------------

WHOLE = {
    *bucket.backup_keys("velero/", "b", RESTIC),
    *bucket.restore_keys("velero/", "r"),
    "velero/restic/n/config",
    *(f"velero/restic/n/{part}/{HASH}" for part in ("keys", "snapshots", "index")),
    f"velero/restic/n/data/01/{HASH}",
}


def inspect(keys: set[str]) -> bucket.LayoutFindings:
    return bucket.inspect(keys, "velero/", backup="b", restore="r", uploader=RESTIC, namespace="n", snapshots=1)


def test_the_whole_layout_has_no_finding() -> None:
    others = {"velero/backups/other/other.tar.gz", "velero/restic/m/config", f"velero/restic/n/locks/{HASH}"}
    assert inspect(WHOLE | others) == bucket.LayoutFindings((), ())


@pytest.mark.parametrize("key", sorted(WHOLE))
def test_every_key_is_missed(key: str) -> None:
    assert inspect(WHOLE - {key}).missing


@pytest.mark.parametrize(
    "key",
    [
        "velero/stray/file",
        "velero/file",
        "outside",
        "velero/backups/b/extra",
        "velero/restores/r/extra",
        "velero/restic/n/extra",
        f"velero/restic/n/data/{HASH}",
    ],
)
def test_every_foreign_key_is_seen(key: str) -> None:
    assert inspect(WHOLE | {key}).unexpected == (key,)


def test_unreadable_objects_are_named() -> None:
    assert bucket.unreadable({"a": None, "b": ValueError("no gzip")}) == ["b: no gzip"]


# -- AC-006-01: retention -------------------------------------------------------------------


def backup(ttl: str | None, started: str, expiration: str) -> Json:
    spec = {} if ttl is None else {"ttl": ttl}
    return {"spec": spec, "status": {"startTimestamp": started, "expiration": expiration}}


def test_retention_and_expiration() -> None:
    found = backup("720h0m0s", "2026-01-01T00:00:00Z", "2026-01-31T00:00:00Z")
    assert (schedule.retention(found), schedule.expiration_error(found)) == (2_592_000, 0)


def test_a_wrong_expiration_and_a_missing_ttl_show() -> None:
    assert schedule.expiration_error(backup("720h0m0s", "2026-01-01T00:00:00Z", "2026-01-31T00:01:00Z")) == 60
    assert schedule.retention(backup(None, "2026-01-01T00:00:00Z", "2026-01-31T00:00:00Z")) == 0


@pytest.mark.parametrize(("text", "seconds"), [("72h", 259_200), ("1h30m", 5400), ("90s", 90), ("250ms", 0.25)])
def test_durations_of_go(text: str, seconds: float) -> None:
    assert schedule.seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "30d", "h", "1h 30m", "soon"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no duration"):
        schedule.seconds_of(text)


# -- AC-005-01: schedule --------------------------------------------------------------------

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def test_the_design_is_due_at_two_every_night() -> None:
    due = schedule.due_times("0 2 * * *", NOON, 5)
    assert due == schedule.daily_at(2, NOON, 5)
    assert due[0] == datetime(2026, 11, 24, 2, 0, tzinfo=UTC)


@pytest.mark.parametrize("cron", ["0 14 * * *", "0 2 * * 1", "1 2 * * *", "0 */2 * * *"])
def test_another_cron_is_due_at_other_times(cron: str) -> None:
    assert schedule.due_times(cron, NOON, 5) != schedule.daily_at(2, NOON, 5)


def test_a_wrong_cron_is_refused() -> None:
    with pytest.raises(ValueError, match="no cron expression"):
        schedule.due_times("at two", NOON, 5)


@pytest.mark.parametrize("cron", ["CRON_TZ=UTC 0 2 * * *", "TZ=Etc/UTC 0 2 * * *", "0 2 ? * *", "0 2 * * 0-6"])
def test_the_design_s_time_may_be_written_as_velero_reads_it(cron: str) -> None:
    assert schedule.due_times(cron, NOON, 5) == schedule.daily_at(2, NOON, 5)


def test_a_schedule_in_another_time_zone_is_due_at_another_time() -> None:
    (due,) = schedule.due_times("CRON_TZ=Asia/Tokyo 0 2 * * *", NOON, 1)
    assert (due.hour, due.tzinfo) == (17, NOON.tzinfo)
    with pytest.raises(ValueError, match="names no time zone"):
        schedule.due_times("CRON_TZ=Nowhere/City 0 2 * * *", NOON, 1)


@pytest.mark.parametrize(
    ("name", "label", "own"),
    [
        ("daily-20261123020000", "daily", True),
        ("daily-20261123020000", "other", False),
        ("daily-by-hand", "daily", False),
        ("xdaily-20261123020000", "daily", False),
    ],
)
def test_a_run_has_name_and_label_of_its_schedule(name: str, label: str, own: bool) -> None:
    run = {"metadata": {"name": name, "labels": {"velero.io/schedule-name": label}}}
    assert schedule.is_run_of(run, "daily") is own
