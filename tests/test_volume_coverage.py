"""`acceptance coverage`: each volume has its newest backup, or the reason why there is none."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from tests.backup_archives import CountingBucket, backup_contents
from tests.fake_cluster import FakeCluster, environment, make_target
from tests.fake_velero import velero_objects
from velero_acceptance.checks.volume_coverage.reasons import Reason
from velero_acceptance.checks.volume_coverage.result import CoverageResult, Row, cover
from velero_acceptance.core.errors import Refusal
from velero_acceptance.core.naming import RUN_LABEL
from velero_acceptance.core.settings import Profile
from velero_acceptance.core.waivers import VolumeWaiver
from velero_acceptance.drivers import kinds
from velero_acceptance.drivers.kinds import Json, Kind, name_of, namespace_of, stamp
from velero_acceptance.drivers.kubernetes import ApiError
from velero_acceptance.drivers.velero import SCHEDULE_LABEL
from velero_acceptance.preconditions.diagnosis import required_permissions

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
LONG_AGO = stamp(NOW - timedelta(days=365))
OPT_OUT, OPT_IN = "backup.velero.io/backup-volumes-excludes", "backup.velero.io/backup-volumes"
EXCLUDED = {"velero.io/exclude-from-backup": "true"}
MOUNT = {"name": "data", "mountPath": "/data"}
OF_CLAIM = {"name": "data", "persistentVolumeClaim": {"claimName": "books"}}


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

    def schedule(self, name: str = "daily", **template: object) -> None:
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
        **spec: object,
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


@pytest.fixture
def world() -> World:
    found = World()
    found.put(claim(), pod())
    return found


# -- protected ------------------------------------------------------------------------------


def test_a_volume_has_its_newest_backup(world: World) -> None:
    world.held("daily-1", days=3)
    world.held("daily-2", days=2)
    row = world.row()
    assert row.protection.held is not None
    assert (row.protection.held.backup, row.protection.held.schedule) == ("daily-2", "daily")
    assert (row.protection.held.bytes, row.protection.held.moved, row.age) == (5_000, "kopia", 2 * 86400)
    assert row.protection.finding is None and not row.unprotected


def test_an_older_backup_counts_and_the_newest_one_is_explained(world: World) -> None:
    world.held("daily-1", days=3)
    failed = uploaded(pod(), phase="Failed", snapshotID="", message="x509")
    world.backup("daily-2", claim(), pod(), phase="PartiallyFailed", uploads=[failed], infos=[info(result="failed")])
    row = world.row()
    assert row.protection.held and row.protection.held.backup == "daily-1"
    assert row.protection.finding and row.protection.finding.reason is Reason.PARTIALLY_FAILED


def test_a_partially_failed_backup_holds_what_it_holds(world: World) -> None:
    world.held(phase="PartiallyFailed")
    assert not world.row().unprotected


def test_restic_of_velero_1_16_counts(world: World) -> None:
    world.repository("library", "restic")
    old = uploaded(pod(), "restic")
    del old["spec"]["uploaderType"]
    world.backup("daily-1", claim(), pod(), uploads=[old], infos=[info()])
    held = world.row().protection.held
    assert held and held.moved == "restic"


def test_an_empty_volume_has_nothing_to_lose(world: World) -> None:
    empty = uploaded(pod(), snapshotID="", message="volume was empty so no snapshot was taken")
    world.backup("daily-1", claim(), pod(), uploads=[empty], infos=[info()])
    held = world.row().protection.held
    assert held and held.bytes == 0


SNAPSHOT = {"backupMethod": "CSISnapshot", "csiSnapshotInfo": {"snapshotHandle": "s", "size": 7, "ReadyToUse": True}}
MOVED: Json = {
    "backupMethod": "CSISnapshot",
    "snapshotDataMoved": True,
    "csiSnapshotInfo": {"snapshotHandle": "unknown"},
    "snapshotDataMovementInfo": {"dataMover": "velero", "uploaderType": "kopia", "size": 9, "Phase": "Completed"},
}


@pytest.mark.parametrize(
    ("change", "moved", "size"),
    [
        (SNAPSHOT, "CSISnapshot", 7),
        ({**SNAPSHOT, "result": None}, "CSISnapshot", 7),
        (MOVED, "kopia", 9),
        ({**MOVED, "result": None}, "kopia", 9),
    ],
)
@pytest.mark.parametrize("mode", ["Filesystem", "Block"])
def test_snapshots_and_moved_snapshots_hold_data(mode: str, change: Json, moved: str, size: int) -> None:
    world = World()
    world.put(claim(volumeMode=mode))
    world.backup("daily-1", claim(volumeMode=mode), infos=[info(**change)])
    held = world.row().protection.held
    assert held and (held.moved, held.bytes) == (moved, size)


@pytest.mark.parametrize("kind", ["emptyDir", "nfs"])
def test_a_volume_without_a_claim_is_found_in_the_pod_before(kind: str) -> None:
    """Pods of a Deployment have new names every time."""
    world, volume = World(), {"name": "cache", kind: {"server": "nas"}}

    def of_deployment(suffix: str, template: str) -> Json:
        owner = {"kind": "ReplicaSet", "name": f"web-{template}", "controller": True}
        known = {"name": f"web-{template}-{suffix}", "ownerReferences": [owner]}
        return pod(volume=volume, labels={"pod-template-hash": template}, annotations={OPT_IN: "cache"}, **known)

    world.put(of_deployment("zzzzz", "22"))
    before = of_deployment("aaaaa", "11")
    world.backup("daily-1", before, uploads=[uploaded(before, volume="cache")], infos=[info_of_pod(before, "cache")])
    assert world.row("library/web:cache").protection.held


# -- each reason ----------------------------------------------------------------------------

SELECTOR = {"matchLabels": {"backup": "yes"}}
EXPRESSION = {"matchExpressions": [{"key": "tier", "operator": "In", "values": ["gold"]}]}
Arrange = Callable[[World], None]


def leaving_out(**spec: object) -> Arrange:
    return lambda world: world.backup("daily-1", **spec)


def without_upload(one: Json | None = None, skipped: str = "", **spec: object) -> Arrange:
    infos = [info(skipped=True, skippedReason=skipped, backupMethod="", result="")] if skipped else []
    return lambda world: world.backup("daily-1", claim(), one or pod(), infos=infos, **spec)


def labelled_namespace(world: World) -> None:
    world.namespace("library", **EXCLUDED)
    world.backup("daily-1")


def labelled_claim(world: World) -> None:
    labelled = claim()
    labelled["metadata"]["labels"] = EXCLUDED
    world.put(labelled)
    world.backup("daily-1", pod())


def labelled_pod(world: World) -> None:
    world.put(pod(labels=EXCLUDED))
    world.backup("daily-1", claim())


def pod_of_no_selector(world: World) -> None:
    labelled = claim()
    labelled["metadata"]["labels"] = {"backup": "yes"}
    world.put(labelled)
    world.backup("daily-1", labelled, labelSelector=SELECTOR)


def on_host_path(world: World) -> None:
    world.cluster.put(kinds.VOLUME, {"metadata": {"name": "pv-library"}, "spec": {"hostPath": {"path": "/srv"}}})
    world.backup("daily-1", claim(), pod())


def block(world: World) -> None:
    world.put(claim(volumeMode="Block"))
    world.backup("daily-1", claim(volumeMode="Block"), pod())


def failed_upload(phase: str) -> Arrange:
    failed = uploaded(pod(), phase="Failed", snapshotID="", message="x509")
    return lambda w: w.backup("daily-1", claim(), pod(), phase=phase, uploads=[failed], infos=[info(result="failed")])


def by_another_mover(world: World) -> None:
    movement = {"dataMover": "acme", "uploaderType": "acme"}
    world.backup("daily-1", claim(), infos=[info(**{**MOVED, "snapshotDataMovementInfo": movement})])


def by_restic_before_1_19(world: World) -> None:
    world.repository("library", "restic")
    (server,) = world.cluster.list_all(kinds.DEPLOYMENT)
    server["spec"]["template"]["spec"]["containers"] = [{"image": "velero/velero:v1.19.0"}]
    world.cluster.put(kinds.DEPLOYMENT, server)
    world.backup("daily-1", claim(), pod(), uploads=[uploaded(pod(), "restic")], infos=[info()])


def repository_gone(world: World) -> None:
    world.held()
    del world.bucket.contents["velero/kopia/library/kopia.repository"]


def repository_not_ready(world: World) -> None:
    world.held()
    spec = {"volumeNamespace": "library", "repositoryType": "kopia"}
    status = {"phase": "NotReady", "message": "invalid\npassword"}
    metadata = {"name": "library-default-kopia", "namespace": "velero"}
    world.cluster.put(kinds.BACKUP_REPOSITORY, {"metadata": metadata, "spec": spec, "status": status})


def younger(world: World) -> None:
    world.put(claim(created=stamp(NOW - timedelta(hours=1))))
    world.held()


def unreadable(world: World) -> None:
    world.held()
    world.bucket.contents["velero/backups/daily-1/daily-1.tar.gz"] = b"\x1f\x8b broken"


POLICY = "any: skipped due to resource policy ;volumeSnapshot: not satisfy the criteria for VolumePolicy;"
REASONS: list[tuple[Arrange, Reason, str]] = [
    (lambda w: w.schedule(includedNamespaces=["other"]), Reason.NO_SCHEDULE, "no schedule includes its namespace"),
    (lambda w: w.schedule(excludedNamespaces=["lib*"]), Reason.NO_SCHEDULE, "no schedule"),
    (lambda w: w.schedule(), Reason.NO_BACKUP, "no finished backup yet of daily"),
    (lambda w: w.schedule(labelSelector=SELECTOR), Reason.SELECTOR, "(schedule daily)"),
    (without_upload(pod(annotations={OPT_OUT: "x,data"})), Reason.OPTED_OUT, "shelf-0 opts data out"),
    (without_upload(defaultVolumesToFsBackup=False), Reason.NOT_OPTED_IN, "does not name data"),
    (labelled_namespace, Reason.LABEL, "the namespace is labelled"),
    (labelled_claim, Reason.LABEL, "the claim is labelled"),
    (labelled_pod, Reason.LABEL, "the pod shelf-0 is labelled"),
    (leaving_out(labelSelector=SELECTOR), Reason.SELECTOR, "labels of the claim"),
    (leaving_out(orLabelSelectors=[SELECTOR, EXPRESSION]), Reason.SELECTOR, "labels of the claim"),
    (pod_of_no_selector, Reason.SELECTOR, "labels of the pod shelf-0"),
    (without_upload(skipped=POLICY), Reason.RESOURCE_POLICY, "its resource policy skips it"),
    (leaving_out(includedResources=["configmaps"]), Reason.RESOURCE_LIST, "includedResources does not name"),
    (leaving_out(excludedResources=["pvc"]), Reason.RESOURCE_LIST, "excludedResources names"),
    (leaving_out(excludedNamespaceScopedResources=["*"]), Reason.RESOURCE_LIST, "excludedNamespaceScopedResources"),
    (lambda w: w.backup("daily-1", claim()), Reason.NOT_MOUNTED, "no running pod in the backup mounts it"),
    (on_host_path, Reason.HOST_PATH, "path on a node"),
    (block, Reason.BLOCK, "volumeMode Block"),
    (by_another_mover, Reason.UPLOADER, "acme moved it"),
    (by_restic_before_1_19, Reason.UPLOADER, "restic moved it"),
    (failed_upload("PartiallyFailed"), Reason.PARTIALLY_FAILED, "x509"),
    (failed_upload("Completed"), Reason.FAILED, "x509"),
    (
        lambda w: w.backup("daily-1", claim(), infos=[info(**{**MOVED, "result": "failed"})]),
        Reason.FAILED,
        "CSISnapshot",
    ),
    (leaving_out(phase="PartiallyFailed"), Reason.PARTIALLY_FAILED, "the claim is not in the backup"),
    (repository_gone, Reason.REPOSITORY_GONE, "velero/kopia/library/ is not in the bucket"),
    (repository_not_ready, Reason.REPOSITORY_NOT_READY, "NotReady: invalid password"),
    (younger, Reason.YOUNGER, "younger than daily-1"),
    (unreadable, Reason.UNREADABLE, "daily-1"),
]


@pytest.mark.parametrize(("arrange", "reason", "says"), REASONS)
def test_each_gap_has_its_reason(world: World, arrange: Arrange, reason: Reason, says: str) -> None:
    arrange(world)
    row = world.row()
    assert row.unprotected and row.protection.finding is not None
    assert row.protection.finding.reason is reason and says in row.protection.finding.text, row.protection.finding


def test_every_reason_is_made_and_documented() -> None:
    from tests.commands import ROOT

    assert {reason for _, reason, _ in REASONS} == set(Reason)
    page = (ROOT / "docs/coverage.md").read_text()
    assert all(f"| `{reason}` |" in page for reason in Reason)


# -- which volumes --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("volume", "listed"),
    [
        ({"hostPath": {"path": "/srv/data"}}, True),
        ({"hostPath": {"path": "/run/containerd.sock", "type": "Socket"}}, False),
        ({"hostPath": {"path": "/sys/fs"}}, False),
        ({"nfs": {"server": "nas", "path": "/"}}, True),
        ({"emptyDir": {}}, False),
        ({"secret": {"secretName": "s"}}, False),
        ({"csi": {"driver": "secrets-store"}}, False),
    ],
)
def test_volumes_of_pods_that_hold_data(volume: Json, listed: bool) -> None:  # noqa: FBT001
    world = World()
    world.put(pod(volume={"name": "data", **volume}))
    assert [row.protection.volume.name for row in world.cover().rows] == (["shelf-0:data"] if listed else [])


def test_what_is_only_read_is_no_data() -> None:
    world = World()
    world.put(pod(volume={"name": "data", "hostPath": {"path": "/lib/modules"}}, read_only=True))
    assert world.cover().rows == []


def test_a_host_path_is_named_and_no_backup_is_read_twice_for_it() -> None:
    world = World()
    world.put(one := pod(volume={"name": "data", "hostPath": {"path": "/srv"}}))
    for number in range(5):
        world.backup(f"daily-{number}", one, days=number + 1)
    assert world.reason("library/shelf-0:data") == Reason.HOST_PATH
    assert sum(key.endswith(".tar.gz") for key in world.bucket.requests) == 1


def test_claims_without_a_volume_and_those_of_the_suite_are_left_out(world: World) -> None:
    world.namespace("acc-1", **{RUN_LABEL: "run"})
    world.put(claim("acc-1"), {**claim(name="pending"), "status": {"phase": "Pending"}})
    assert [row.protection.volume.label for row in world.cover().rows] == ["library/books"]


def test_the_claim_of_an_ephemeral_volume_is_mounted_by_its_pod() -> None:
    world, one = World(), pod(volume={"name": "data", "ephemeral": {}})
    world.put(claim(name="shelf-0-data"), one)
    world.backup("daily-1", claim(name="shelf-0-data"), one, uploads=[uploaded(one)], infos=[info_of_pod(one)])
    assert world.row("library/shelf-0-data").protection.held


# -- what else is found ---------------------------------------------------------------------


def test_namespaces_that_only_backups_have_are_listed(world: World) -> None:
    world.backup("daily-1", claim("attic"), days=3)
    world.backup("weekly-1", claim("cellar"), days=9, includedNamespaces=["cellar"])
    world.held("daily-2", days=2)
    found = {gone.name: (gone.backup, gone.age) for gone in world.cover().gone}
    assert found == {"attic": ("daily-1", 3 * 86400.0), "cellar": ("weekly-1", 9 * 86400.0)}


@pytest.mark.parametrize("content", [b"no gzip", b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03garbage"])
def test_an_unreadable_backup_ends_nothing(world: World, content: bytes) -> None:
    world.held("daily-1", days=2)
    world.held("daily-2", days=1)
    world.bucket.contents["velero/backups/daily-2/daily-2.tar.gz"] = content
    found = world.cover()
    assert list(found.unreadable) == ["daily-2"] and "\n" not in found.unreadable["daily-2"]
    assert [row.protection.held and row.protection.held.backup for row in found.rows] == ["daily-1"]


def test_a_backup_without_its_files_or_in_another_location_is_listed(world: World) -> None:
    world.held("daily-1", days=3)
    world.held("daily-2", days=2)
    world.held("daily-3", days=1, storageLocation="offsite")
    for key in [key for key in world.bucket.contents if "/daily-2/" in key]:
        del world.bucket.contents[key]
    found = world.cover()
    assert set(found.unreadable) == {"daily-2", "daily-3"} and not found.unprotected
    assert "location offsite" in found.unreadable["daily-3"]


def test_malformed_lists_are_unreadable_and_no_traceback(world: World) -> None:
    world.backup("daily-1", claim(), pod(), uploads=[{"spec": {}}], infos=[info()])
    assert world.reason() == Reason.UNREADABLE


# -- waivers --------------------------------------------------------------------------------


def waiver(volume: str, until: date = date(2026, 11, 28)) -> VolumeWaiver:
    return VolumeWaiver(volume=volume, by="the librarian", why="it can be bought again", until=until)


def test_a_waiver_holds_to_the_end_of_its_day(world: World) -> None:
    assert world.cover(waiver("library/*")).unprotected == []
    found = world.cover(waiver("library/*", date(2026, 11, 27)))
    assert len(found.unprotected) == 1 and [one.volume for one in found.expired] == ["library/*"]


def test_a_waiver_of_nothing_is_named(world: World) -> None:
    found = world.cover(waiver("libary/*"))
    assert len(found.unprotected) == 1 and [one.volume for one in found.unused] == ["libary/*"]


def test_a_protected_volume_needs_no_waiver(world: World) -> None:
    world.held()
    found = world.cover(waiver("library/books"))
    assert found.rows[0].waiver is None and len(found.unused) == 1


# -- rights and refusals --------------------------------------------------------------------


@pytest.mark.parametrize("profile", [Profile.OBSERVE, Profile.EXERCISE])
def test_the_accounts_of_the_project_may_do_all_of_it(world: World, profile: Profile) -> None:
    allowed = {(p.verb, p.group, p.resource, p.namespace) for p in required_permissions(profile, "velero")}
    asked: list[str] = []

    def check(method: str, path: str, _: Json) -> None:
        parts = path.removeprefix("/apis/").removeprefix("/api/").split("/")
        group, rest = (parts[0], parts[2:]) if path.startswith("/apis/") else ("", parts[1:])
        namespace = rest[1] if rest[0] == "namespaces" and len(rest) > 2 else ""
        rest = rest[2:] if namespace else rest
        verb = "get" if len(rest) > 1 else "list"
        asked.append(rest[0])
        given = {(verb, group, name, place) for name in (rest[0], "*") for place in ("", namespace)}
        assert method == "GET" and given & allowed, f"{method} {path}"

    world.held()
    world.cluster.store.before = check
    assert not world.cover().unprotected
    assert "secrets" not in asked and len(asked) < 12


@pytest.mark.parametrize("kind", [kinds.NAMESPACE, kinds.POD, kinds.CLAIM, kinds.VOLUME, kinds.BACKUP, kinds.SCHEDULE])
def test_a_missing_right_is_one_sentence(world: World, kind: Kind) -> None:
    world.cluster.unlistable[kind] = ApiError(403, "forbidden")
    with pytest.raises(Refusal, match=rf"may not list {kind.plural}.*observe\.yaml"):
        world.cover()


def test_secrets_are_not_needed(world: World) -> None:
    world.cluster.unlistable[kinds.SECRET] = ApiError(403, "forbidden")
    world.held()
    assert not world.cover().unprotected


def test_a_cluster_without_velero_is_refused(world: World) -> None:
    world.cluster.unlistable[kinds.BACKUP] = ApiError(404, "not found")
    with pytest.raises(Refusal, match="there is no Velero on this cluster"):
        world.cover()
    world.cluster.drop(kinds.DEPLOYMENT, "velero", "velero")
    with pytest.raises(Refusal, match="no Velero in the namespace velero"):
        world.cover()


def test_without_backups_everything_is_unprotected(world: World) -> None:
    found = world.cover()
    assert found.backups == 0 and len(found.unprotected) == 1


# -- size -----------------------------------------------------------------------------------


def of(number: int) -> tuple[Json, Json, Json, Json]:
    name = f"team-{number:03}"
    one = pod(name)
    return claim(name), one, uploaded(one), info(name)


def large(world: World, namespaces: int) -> list[tuple[Json, Json, Json, Json]]:
    every = [of(number) for number in range(namespaces)]
    for found, one, *_ in every:
        world.namespace(namespace_of(found))
        world.repository(namespace_of(found))
        world.put(found, one)
    return every


def test_300_namespaces_in_one_schedule_are_read_from_one_archive() -> None:
    world = World()
    claims, pods, uploads, infos = zip(*large(world, 300), strict=True)
    for day in range(30):
        world.backup(f"daily-{day:02}", *claims, *pods, days=day + 1, uploads=list(uploads), infos=list(infos))
    begun = time.monotonic()
    found = world.cover()
    assert len(found.rows) == 300 and not found.unprotected
    assert time.monotonic() - begun < 60
    assert {row.protection.held.backup for row in found.rows if row.protection.held} == {"daily-00"}
    # Three files of the newest, a list of the others, the folders of one uploader.
    assert len(world.bucket.requests) == 3 + 29 + 1


def test_300_schedules_are_read_once_each() -> None:
    world = World()
    for found, one, upload, about in large(world, 300):
        name = namespace_of(found)
        for day in range(3):
            spec = {"days": day + 1, "uploads": [upload], "infos": [about], "includedNamespaces": [name]}
            world.backup(f"{name}-{day}", found, one, **spec)
    begun = time.monotonic()
    assert not world.cover().unprotected
    assert time.monotonic() - begun < 60
    assert len(world.bucket.requests) == 3 * 300 + 1
    assert len(set(world.bucket.requests)) == len(world.bucket.requests)


def test_one_unprotected_volume_costs_a_list_of_each_older_backup(world: World) -> None:
    for day in range(30):
        world.backup(f"daily-{day:02}", claim(), days=day + 1)
    assert world.reason() == Reason.NOT_MOUNTED
    assert sum(key.endswith(".tar.gz") for key in world.bucket.requests) == 1
    assert len(world.bucket.requests) <= 3 * 30


def test_the_environment_has_no_prefix() -> None:
    world = World()
    world.put(claim(), pod())
    world.held()
    world.bucket.contents = {key.removeprefix("velero/"): one for key, one in world.bucket.contents.items()}
    place = make_target(world.cluster, world.bucket)
    found = cover(place.kubernetes, place.velero, world.bucket, environment(prefix=""), [], NOW)
    assert not found.unprotected
