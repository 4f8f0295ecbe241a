"""Clusters as they are: objects that come and go, long names, owned backups, and a bucket that clusters share."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from fixtures.environment.cluster import TargetClients
from fixtures.environment.run_scope import Scope
from fixtures.schedule.runs import LONG_AGO, ScheduleCopies
from tests.fake_cluster import FakeBucket, FakeCluster, environment
from tests.fake_velero import NAMESPACE, named, velero_objects
from velero_acceptance.checks.reliability.run_history import Calendar, calendar, observe
from velero_acceptance.core.timeouts import Timeouts
from velero_acceptance.core.waiting import WaitTimedOut
from velero_acceptance.drivers import kinds
from velero_acceptance.drivers.kinds import Json, Kind, stamp
from velero_acceptance.drivers.kubernetes import FIELD_MANAGER
from velero_acceptance.drivers.velero import BACKUP_LABEL, SCHEDULE_LABEL, Velero, is_synced, label_value
from velero_acceptance.target.snapshot import Comparison, take_snapshot

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
HANDLE = Kind("crd.projectcalico.org", "v1", "IPAMHandle", "ipamhandles", namespaced=False)
ATTACHMENT = Kind("storage.k8s.io", "v1", "VolumeAttachment", "volumeattachments", namespaced=False)
REQUEST = Kind("cert-manager.io", "v1", "CertificateRequest", "certificaterequests")
REPORT = Kind("wgpolicyk8s.io", "v1alpha2", "PolicyReport", "policyreports")
CONFIG = Kind("", "v1", "ConfigMap", "configmaps")
MONITOR = Kind("monitoring.coreos.com", "v1", "ServiceMonitor", "servicemonitors")
TTL = {"ttlSecondsAfterFinished": 40}


# -- what comes and goes ------------------------------------------------------------------------


def compared(before: dict[Kind, list[Json]], after: dict[Kind, list[Json]]) -> tuple[list[str], list[str]]:
    old, new = (take_snapshot(FakeCluster(items), FakeBucket(), environment()) for items in (before, after))
    found = Comparison(old, new).changes()
    return found.by_run, found.by_others


def thing(name: str, **spec: object) -> Json:
    return {"metadata": {"name": name, "namespace": "shop", "uid": name}, "spec": spec}


@pytest.mark.parametrize(
    ("kind", "item", "by_itself"),
    [
        (HANDLE, thing("h1"), True),
        (ATTACHMENT, thing("a"), True),
        (REQUEST, thing("r"), True),
        (REPORT, thing("p"), True),
        (kinds.JOB, thing("old", **TTL), True),
        (kinds.JOB, thing("old"), False),
        (CONFIG, thing("c"), False),
        (MONITOR, thing("m"), False),
        (kinds.HELM_RELEASE, thing("h"), False),
    ],
)
def test_only_what_comes_and_goes_by_itself_is_nobody_s(kind: Kind, item: Json, by_itself: bool) -> None:
    gone, new = compared({kind: [item]}, {kind: []}), compared({kind: []}, {kind: [item]})
    assert bool(gone[1]) is bool(new[1]) is by_itself
    assert bool(gone[0]) is bool(new[0]) is not by_itself


def test_what_the_suite_wrote_is_its_own_whatever_its_kind() -> None:
    entry = {"manager": FIELD_MANAGER, "time": stamp(datetime.now(UTC) + timedelta(minutes=1))}
    item = {"metadata": {"name": "h", "managedFields": [entry]}}
    assert compared({HANDLE: []}, {HANDLE: [item]}) == ([f"IPAMHandle h is new, by {FIELD_MANAGER}"], [])


# -- copies of a schedule -------------------------------------------------------------------------


@pytest.mark.parametrize("template", [{}, {"metadata": {"labels": {"team": "home"}}}])
def test_the_runs_of_a_copy_have_the_run_s_label_and_are_not_owned(
    template: Json, target: TargetClients, scope: Scope, cluster: FakeCluster
) -> None:
    spec = {"schedule": "0 2 * * *", "template": template, "useOwnerReferencesInBackup": True}
    copy = ScheduleCopies(target.velero, {"spec": spec}, scope).make("copy", last=LONG_AGO, namespace="source")
    made = cluster.require(kinds.SCHEDULE, copy.name, NAMESPACE)
    assert made["spec"]["useOwnerReferencesInBackup"] is False
    labels = made["spec"]["template"].get("metadata", {}).get("labels")
    assert labels == ({"team": "home", **scope.labels} if template else None)
    assert made["metadata"]["labels"] == scope.labels
    assert template in ({}, {"metadata": {"labels": {"team": "home"}}}), "the deployed one is as before"


# -- long names -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("length", "shortened"), [(48, False), (63, False), (64, True), (100, True)])
def test_a_name_is_as_velero_writes_it_into_a_label(length: int, shortened: bool) -> None:
    name = "n" * length
    assert len(label_value(name)) == min(length, 63) and (label_value(name) != name) is shortened


def test_a_label_is_hashed_as_velero_does() -> None:
    """velero, pkg/label/label.go: the first 57 characters, and six of the SHA-256 of all."""
    assert label_value("a" * 64) == "a" * 57 + "ffe054"


def test_the_volumes_of_a_backup_with_a_long_name_are_found(cluster: FakeCluster, target: TargetClients) -> None:
    name = "nightly-backup-of-all-stateful-applications-in-the-basement-20261123020000"
    metadata = {**named("v"), "labels": {BACKUP_LABEL: label_value(name)}}
    cluster.put(kinds.POD_VOLUME_BACKUP, {"metadata": metadata})
    assert len(target.velero.volume_backups(name)) == 1
    cluster.put(kinds.BACKUP, {"metadata": {**named(name), "uid": "u"}, "status": {"phase": "Completed"}})
    target.velero.delete_backup(name)
    (request,) = target.velero.deletion_requests(name)
    assert request["spec"]["backupName"] == name


def test_a_schedule_that_makes_no_backup_says_what_velero_logs(cluster: FakeCluster) -> None:
    name = "s" * 66
    words = f'level=error msg="error creating backup: must be no more than 63 characters" schedule=velero/{name}'
    cluster.log_texts["velero-1"] = f"level=info msg=x schedule=velero/{name}\n{words}"
    with pytest.raises(WaitTimedOut, match=r"makes a backup.*Velero logs: .*no more than 63 characters"):
        Velero(cluster, NAMESPACE, "default", Timeouts()).wait_scheduled(name, set())


# -- a bucket that clusters share -------------------------------------------------------------------


def night(day: int, *, created: datetime | None = None, phase: str = "Completed") -> Json:
    """A run of the schedule at 02:00, made here unless it was *created* later."""
    began = datetime(2026, 11, day, 2, 0, tzinfo=UTC)
    status = {
        "phase": phase,
        "startTimestamp": stamp(began),
        "completionTimestamp": stamp(began + timedelta(minutes=1)),
    }
    metadata = {**named(f"daily-{began:%Y%m%d%H%M%S}"), "uid": f"{day} {created}", "labels": {SCHEDULE_LABEL: "daily"}}
    return {"metadata": {**metadata, "creationTimestamp": stamp(created or began)}, "status": status}


def history(folder: Path, *nights: Json) -> Calendar:
    metadata = {**named("daily"), "creationTimestamp": "2026-11-18T12:00:00Z"}
    schedule = {"metadata": metadata, "spec": {"schedule": "0 2 * * *", "template": {}}}
    cluster = FakeCluster({kinds.NAMESPACE: [{"metadata": {"name": "kube-system", "uid": "here"}}]})
    return calendar(folder / "ledger.json", "0 2 * * *", observe(cluster, schedule, nights, NOW))


def test_nights_of_another_cluster_are_no_trials(tmp_path: Path) -> None:
    own = [night(day) for day in (19, 20, 22, 23)]
    found = history(tmp_path, *own, *(night(day, created=NOW) for day in (17, 18, 20, 22)))
    assert [(trial.due.day, trial.outcome) for trial in found.trials] == [
        (19, "Completed"),
        (20, "Completed"),
        (21, "missed"),
        (22, "Completed"),
        (23, "Completed"),
    ]
    assert "4 more were synced from the bucket, not made here" in found.table(99)


def test_nights_whose_objects_were_deleted_and_synced_again_are_the_same_trials(tmp_path: Path) -> None:
    days = (19, 20, 21, 22, 23)
    before = history(tmp_path, *map(night, days))
    after = history(tmp_path, *(night(day, created=NOW) for day in days))
    assert [trial.outcome for trial in after.trials] == [trial.outcome for trial in before.trials] == ["Completed"] * 5
    unknown = history(tmp_path / "no ledger", *(night(day, created=NOW) for day in days))
    assert unknown.trials == [], "neither succeeded nor missed"


@pytest.mark.parametrize(("seconds", "synced"), [(0, False), (64, False), (70, True)])
def test_a_backup_that_had_ended_before_its_object_was_created_was_synced(seconds: int, synced: bool) -> None:
    began = datetime(2026, 11, 20, 2, 0, tzinfo=UTC)
    assert is_synced(night(20, created=began + timedelta(seconds=seconds))) is synced
    assert not is_synced({"metadata": {"creationTimestamp": stamp(NOW)}, "status": {"phase": "InProgress"}})


def test_the_newest_backup_is_one_that_was_made_here(cluster: FakeCluster, target: TargetClients) -> None:
    cluster.put(kinds.BACKUP, night(23, created=NOW, phase="PartiallyFailed"))
    assert target.velero.newest_finished("") is None
    cluster.put(kinds.BACKUP, night(22))
    newest = target.velero.newest_finished(f"{SCHEDULE_LABEL}=daily")
    assert newest is not None and newest.phase == "Completed"


# -- velero install -----------------------------------------------------------------------------------


def test_a_server_of_velero_install_is_stopped_when_its_own_pod_is_gone() -> None:
    objects = velero_objects()
    labels = {"component": "velero", "deploy": "velero"}
    objects[kinds.DEPLOYMENT][0]["spec"]["template"]["metadata"]["labels"] = labels
    objects[kinds.POD][0]["metadata"]["labels"] = labels
    cluster = FakeCluster(objects)
    velero = Velero(cluster, NAMESPACE, "default", Timeouts())
    with pytest.raises(WaitTimedOut, match="the Velero server is gone"):
        velero.stop("run")
    cluster.later.append(partial(cluster.drop, kinds.POD, "velero-1", NAMESPACE))
    velero.stop("run")
    assert not cluster.later
