"""`acceptance coverage`: each volume has its newest backup, or the reason why there is none."""

from __future__ import annotations

import time
from datetime import date

import pytest

from tests.fake_cluster import environment, make_target
from tests.volume_world import MOVED, NOW, SNAPSHOT, World, claim, info, info_of_pod, pod, uploaded
from velero_acceptance.checks.storage_usage import OPT_IN
from velero_acceptance.checks.volume_coverage.reasons import Reason
from velero_acceptance.checks.volume_coverage.result import cover
from velero_acceptance.core.errors import Refusal
from velero_acceptance.core.naming import RUN_LABEL
from velero_acceptance.core.settings import Profile
from velero_acceptance.core.waivers import VolumeWaiver
from velero_acceptance.drivers import kinds
from velero_acceptance.drivers.kinds import Json, Kind, namespace_of
from velero_acceptance.drivers.kubernetes import ApiError
from velero_acceptance.preconditions.diagnosis import required_permissions


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
        known: Json = {"name": f"web-{template}-{suffix}", "ownerReferences": [owner]}
        return pod(volume=volume, labels={"pod-template-hash": template}, annotations={OPT_IN: "cache"}, **known)

    world.put(of_deployment("zzzzz", "22"))
    before = of_deployment("aaaaa", "11")
    world.backup("daily-1", before, uploads=[uploaded(before, volume="cache")], infos=[info_of_pod(before, "cache")])
    assert world.row("library/web:cache").protection.held


# -- which volumes --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("volume", "listed"),
    [
        ({"hostPath": {"path": "/srv/data"}}, True),
        ({"hostPath": {"path": "/run/containerd.sock", "type": "Socket"}}, False),
        ({"hostPath": {"path": "/var/lib/kubelet/pods"}}, False),
        ({"hostPath": {"path": "/srv/kubelet-notes"}}, True),
        ({"hostPath": {"path": "/sys/fs"}}, False),
        ({"nfs": {"server": "nas", "path": "/"}}, True),
        ({"emptyDir": {}}, False),
        ({"secret": {"secretName": "s"}}, False),
        ({"csi": {"driver": "secrets-store"}}, False),
    ],
)
def test_volumes_of_pods_that_hold_data(volume: Json, listed: bool) -> None:
    world = World()
    world.put(pod(volume={"name": "data", **volume}))
    assert [row.protection.volume.name for row in world.cover().rows] == (["shelf-0:data"] if listed else [])


@pytest.mark.parametrize(
    ("kind", "owner", "name"),
    [
        ("StatefulSet", "shelf", "shelf-0:data"),
        ("DaemonSet", "agent", "agent on node-1:data"),
        ("Job", "import", "import:data"),
        ("Node", "node-1", "shelf-0:data"),
    ],
)
def test_a_volume_is_called_after_what_its_pod_belongs_to(kind: str, owner: str, name: str) -> None:
    world, owners = World(), [{"kind": kind, "name": owner, "controller": True}]
    world.put(pod(volume={"name": "data", "nfs": {"server": "nas"}}, ownerReferences=owners))
    assert [row.protection.volume.name for row in world.cover().rows] == [name]


def test_one_pod_of_a_workload_is_enough() -> None:
    world, volume = World(), {"name": "data", "nfs": {"server": "nas"}}
    owners = [{"kind": "ReplicationController", "name": "web", "controller": True}]
    first, second = (pod(volume=volume, name=f"web-{one}", ownerReferences=owners) for one in "ab")
    world.put(first, second)
    failed = uploaded(first, phase="Failed", snapshotID="", message="x509")
    infos = [{**info_of_pod(first), "result": "failed"}, info_of_pod(second)]
    world.backup("daily-1", first, second, uploads=[failed, uploaded(second)], infos=infos)
    assert world.row("library/web:data").protection.held


def test_backups_of_the_suite_do_not_count(world: World) -> None:
    world.held()
    (made,) = world.cluster.list_all(kinds.BACKUP)
    made["metadata"]["labels"][RUN_LABEL] = "run"
    world.cluster.put(kinds.BACKUP, made)
    found = world.cover()
    assert found.backups == 0 and len(found.unprotected) == 1


def test_what_is_only_read_is_no_data() -> None:
    world = World()
    world.put(pod(volume={"name": "data", "hostPath": {"path": "/lib/modules"}}, read_only=True))
    assert world.cover().rows == []


def test_a_host_path_is_named_and_older_backups_are_not_read_for_it() -> None:
    world = World()
    world.put(one := pod(volume={"name": "data", "hostPath": {"path": "/srv"}}))
    for number in range(5):
        world.backup(f"daily-{number}", one, days=number + 1)
    assert world.reason("library/shelf-0:data") == Reason.HOST_PATH
    kinds_read = [key.rpartition("-")[2] for key in world.bucket.requests if "resource-list" not in key]
    assert sorted(kinds_read) == ["0.tar.gz", "podvolumebackups.json.gz", "volumeinfo.json.gz"]


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
    world.backup("daily-1", claim("attic"), claim("acc-run-0"), days=3)
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
    with pytest.raises(Refusal, match=rf"may not read {kind.plural}.*observe\.yaml"):
        world.cover()


@pytest.mark.parametrize(
    ("status", "says"), [(0, "cannot be reached"), (403, r"may not read deployments in velero.*observe\.yaml")]
)
def test_an_api_server_that_does_not_answer_is_refused(world: World, status: int, says: str) -> None:
    def refuse(*_: object) -> None:
        raise ApiError(status, "the API server https://k8s cannot be reached: MaxRetryError")

    world.cluster.store.before = refuse
    with pytest.raises(Refusal, match=says):
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
            spec: Json = {"days": day + 1, "uploads": [upload], "infos": [about], "includedNamespaces": [name]}
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
