"""What is not the suite's own: what is looked at, what changes by itself, and what is called the run's doing."""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from velero_acceptance.core.naming import RUN_LABEL
from velero_acceptance.core.settings import Environment
from velero_acceptance.drivers.kinds import BACKUP, BACKUP_REPOSITORY, NAMESPACE, RESTORE, Json, Kind
from velero_acceptance.drivers.kubernetes import FIELD_MANAGER, ApiError, Kubernetes
from velero_acceptance.drivers.s3 import Bucket
from velero_acceptance.target.snapshot import (
    ClusterSnapshot,
    Comparison,
    ForeignObject,
    ObjectKey,
    VeleroState,
    take_snapshot,
)

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
LATER, BEFORE = NOW + timedelta(minutes=1), NOW - timedelta(minutes=1)
PLACE = ObjectKey("ConfigMap", "shop", "settings")
OWN = "acc-run-0123abcd"


def state(
    objects: dict[ObjectKey, ForeignObject] | None = None, keys: dict[str, tuple[int, str]] | None = None, **velero: Any
) -> ClusterSnapshot:
    unseen = velero.pop("unseen", {})
    return ClusterSnapshot(NOW, objects or {}, keys or {}, VeleroState(**velero), unseen)


def written(by: str | None = None, at: datetime = LATER, uid: str = "1", **parts: str) -> ForeignObject:
    return ForeignObject(uid, parts or {"data": "a"}, {by: at} if by else {})


def differences(before: ClusterSnapshot, after: ClusterSnapshot, **rules: Any) -> tuple[list[str], list[str]]:
    found = Comparison(before, after, **rules).changes()
    return found.by_run, found.by_others


def test_nothing_changed() -> None:
    whole = state({PLACE: written("kubectl", at=BEFORE)}, {"backups/b/f": (1, "x")})
    assert differences(whole, copy.deepcopy(whole)) == ([], [])


@pytest.mark.parametrize(
    ("after", "by_run", "by_others"),
    [
        (written(FIELD_MANAGER, data="b"), ["has another data, by velero-acceptance"], []),
        (written("velero-server", data="b"), ["has another data, by velero-server"], []),
        (written("kubectl-edit", data="b"), [], ["has another data, by kubectl-edit"]),
        (written(None, data="b"), ["has another data"], []),  # nobody says who
        (written("kubectl-edit", at=BEFORE, data="b"), ["has another data"], []),  # not by whom it says
        (written(FIELD_MANAGER), ["was written by this run"], []),  # and written back
        (written(FIELD_MANAGER, at=BEFORE), [], []),  # by a run before
        (written("kubectl-create", uid="2"), [], ["was recreated, by kubectl-create"]),
        (written("velero-server", uid="2"), ["was recreated, by velero-server"], []),
        (None, ["is gone"], []),
    ],
)
def test_an_object_that_is_not_ours(after: ForeignObject | None, by_run: list[str], by_others: list[str]) -> None:
    found = differences(state({PLACE: written()}), state({PLACE: after} if after else {}))
    assert found == ([f"{PLACE} {text}" for text in by_run], [f"{PLACE} {text}" for text in by_others])


@pytest.mark.parametrize(("by", "ours"), [("velero-server", True), (FIELD_MANAGER, True), ("helm", False)])
def test_an_object_that_appears(by: str, ours: bool) -> None:
    found = differences(state(), state({PLACE: written(by)}))
    text = [f"{PLACE} is new, by {by}"]
    assert found == ((text, []) if ours else ([], text))


def test_backups_of_schedules_and_other_people_are_not_the_runs_doing() -> None:
    backup = {ObjectKey("Backup", "velero", "daily-1"): written("velero-server")}
    repository = {ObjectKey("BackupRepository", "velero", "shop-default-restic"): written("velero-server")}
    keys = {"backups/daily-1/f": (1, "x"), "restic/shop/data/1": (1, "x")}
    ours, theirs = differences(state(), state({**backup, **repository}, keys))
    assert ours == []
    assert theirs == [
        "Backup velero/daily-1 is new, by velero-server",
        "BackupRepository velero/shop-default-restic is new, by velero-server",
        "S3 keys below backups/daily-1: 1 new",
        "S3 keys below restic/shop: 1 new",
    ]
    without = differences(state(), state(repository, keys))[0]
    assert len(without) == 3, "a repository or keys without a backup of anybody's"
    changed = differences(state({key: written(data="before") for key in backup}), state(backup))[0]
    assert changed, "a backup that was there already, and that Velero changed meanwhile"
    own = {ObjectKey("Backup", "velero", "daily-1"): written(FIELD_MANAGER)}
    assert differences(state(), state(own))[0] == [f"Backup velero/daily-1 is new, by {FIELD_MANAGER}"]


@pytest.mark.parametrize(("expiration", "ours"), [(BEFORE, False), (LATER + timedelta(days=1), True)])
def test_only_what_has_expired_may_go(expiration: datetime, ours: bool) -> None:
    items = {ObjectKey("Backup", "velero", "old"): written(), ObjectKey("Restore", "velero", "r"): written()}
    keys = {"backups/old/f": (1, "x"), "restores/r/f": (1, "x"), "restic/shop/snapshots/s": (1, "x")}
    before = state(items, keys, expirations={"old": expiration}, restores={"r": "old"})
    by_run, by_others = differences(before, state())
    assert len(by_run if ours else by_others) == 5 and not (by_others if ours else by_run)


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"backups/b/f": (1, "y")}, "S3 keys below backups/b: 1 changed"),
        ({"backups/b/f": (2, "x")}, "S3 keys below backups/b: 1 changed"),
        ({}, "S3 keys below backups/b: 1 gone"),
        ({"backups/b/f": (1, "x"), "backups/b/g": (1, "x")}, "S3 keys below backups/b: 1 new"),
        ({"backups/b/f": (1, "x"), "stray": (1, "x")}, "S3 keys below stray: 1 new"),
    ],
)
def test_a_key_that_is_not_ours(keys: dict[str, tuple[int, str]], says: str) -> None:
    assert differences(state(keys={"backups/b/f": (1, "x")}), state(keys=keys)) == ([says], [])


def test_a_repository_may_be_maintained() -> None:
    before = state(keys={"kopia/shop/p1": (1, "x")}, maintained={"shop": "10:00"})
    after = state(keys={"kopia/shop/p2": (1, "x")}, maintained={"shop": "12:00"})
    assert differences(before, after) == ([], ["S3 keys below kopia/shop: 1 gone, 1 new"])
    assert differences(before, state(keys=dict(after.keys), maintained={"shop": "10:00"}))[0]


def test_what_disrupt_takes_away_may_come_back_as_it_was() -> None:
    """In Velero's and Flux's namespaces and for the cluster's own objects; nowhere else."""
    rules: dict[str, Any] = {"disrupted": frozenset({"velero"}), "disrupts": True}
    for place, allowed in (
        (ObjectKey("Service", "velero", "velero"), True),
        (ObjectKey("Node", "", "n"), True),
        (PLACE, False),
    ):
        remade = differences(state({place: written()}), state({place: written("helm", uid="2")}), **rules)
        touched = differences(state({place: written()}), state({place: written(FIELD_MANAGER)}), **rules)
        assert (remade, touched) == (
            (([], []), ([], []))
            if allowed
            else (([], [f"{place} was recreated, by helm"]), ([f"{place} was written by this run"], []))
        )
        changed = differences(state({place: written()}), state({place: written(FIELD_MANAGER, data="b")}), **rules)
        assert changed[0], "but not as something else"


def test_what_could_not_be_seen_is_not_compared() -> None:
    before = state({PLACE: written()})
    assert differences(before, state(unseen={"ConfigMap": "forbidden"})) == ([], [])


# -- taking it -----------------------------------------------------------------------------------


class Cluster:
    """Lists what it was given."""

    def __init__(self, items: dict[Kind, list[Json]]) -> None:
        self.items = items

    def server_time(self) -> datetime:
        return NOW

    def listable_kinds(self, _: dict[str, str]) -> list[Kind]:
        return list(self.items)

    def list_all(self, kind: Kind, _: str | None = None) -> list[Json]:
        if kind.kind == "Secret":
            raise ApiError(403, "secrets is forbidden")
        return copy.deepcopy(self.items.get(kind, []))


class Keys:
    """A bucket's listing."""

    def __init__(self, *keys: str) -> None:
        self._keys = keys

    def listing(self, _: str) -> dict[str, tuple[int, str]]:
        return dict.fromkeys(self._keys, (1, "x"))


def kind(name: str, *, namespaced: bool = True) -> Kind:
    return Kind("", "v1", name, name.lower() + "s", namespaced)


def item(name: str, namespace: str = "shop", **more: Any) -> Json:
    metadata = {
        "name": name,
        "uid": name,
        **({"namespace": namespace} if namespace else {}),
        **more.pop("metadata", {}),
    }
    return {"metadata": metadata, **more}


def taken(items: dict[Kind, list[Json]], *keys: str, prefix: str = "velero") -> ClusterSnapshot:
    environment = Environment.model_construct(prefix=prefix, velero_namespace="velero")
    whole = {NAMESPACE: [item("shop", "")], **items}
    return take_snapshot(cast(Kubernetes, Cluster(whole)), cast(Bucket, Keys(*keys)), environment)


def places(found: ClusterSnapshot) -> set[str]:
    return {str(place) for place in found.objects} - {"Namespace shop"}


@pytest.mark.parametrize(
    "own",
    [
        item("x", metadata={"labels": {RUN_LABEL: "run"}}),
        item(OWN),
        item("x", OWN),
        item("x", "labelled"),
        item("x", "", spec={"claimRef": {"namespace": OWN}}),
        item("x", "velero", metadata={"labels": {"velero.io/backup-name": OWN}}),
        item("x", metadata={"ownerReferences": [{"controller": True}]}),
        item("x", type="helm.sh/release.v1"),
        item("x", metadata={"labels": {"velero.io/repo-name": "shop"}}),
    ],
)
def test_what_is_ours_or_somebody_elses_shadow_is_left_out(own: Json) -> None:
    labelled = item("labelled", "", metadata={"labels": {RUN_LABEL: "run"}})
    found = taken({NAMESPACE: [item("shop", ""), labelled], kind("Thing"): [own, item("kept")]})
    assert places(found) == {"Thing shop/kept"}


def test_a_definition_that_a_release_of_the_run_wrote_last_stays_somebody_elses() -> None:
    label = {"labels": {"helm.toolkit.fluxcd.io/namespace": OWN}}
    assert places(taken({kind("Definition"): [item("backups.velero.io", "", metadata=label)]})) == {
        "Definition backups.velero.io"
    }


def test_what_never_rests_is_left_out() -> None:
    assert (
        places(taken({kind("Event"): [item("e")], kind("Lease"): [item("l")], kind("EndpointSlice"): [item("s")]}))
        == set()
    )


def test_a_kind_that_may_not_be_listed_is_named() -> None:
    found = taken({kind("Secret"): [item("s")], kind("Thing"): [item("t")]})
    assert places(found) == {"Thing shop/t"} and found.unseen == {"Secret": "secrets is forbidden"}


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ({"status": {"phase": "x"}}, set()),
        ({"metadata": {"resourceVersion": "9", "managedFields": [], "generation": 4}}, set()),
        ({"metadata": {"annotations": {"deployment.kubernetes.io/revision": "4"}}}, set()),
        ({"metadata": {"annotations": {"note": "n"}}}, {"annotations"}),
        ({"metadata": {"labels": {"app": "x"}}}, {"labels"}),
        ({"metadata": {"finalizers": ["f"]}}, {"metadata"}),
        ({"spec": {"replicas": 2}}, {"spec"}),
        ({"data": {"key": "x"}}, {"data"}),
    ],
)
def test_what_counts_as_another_content(change: Json, parts: set[str]) -> None:
    (old,) = [f for p, f in taken({kind("Thing"): [item("t")]}).objects.items() if p.kind == "Thing"]
    (new,) = [f for p, f in taken({kind("Thing"): [item("t", **change)]}).objects.items() if p.kind == "Thing"]
    assert {part for part in {*old.parts, *new.parts} if old.parts.get(part) != new.parts.get(part)} == parts


def test_kubernetes_own_choices_do_not_count() -> None:
    node, service = kind("Node", namespaced=False), kind("Service")
    own = {"key": "node.kubernetes.io/not-ready", "effect": "NoExecute"}
    before = taken({node: [item("n", "", spec={})], service: [item("s", spec={"clusterIP": "10.0.0.1"})]})
    after = taken({node: [item("n", "", spec={"taints": [own]})], service: [item("s", spec={"clusterIP": "10.0.0.2"})]})
    assert differences(before, after) == ([], [])
    foreign = taken({node: [item("n", "", spec={"taints": [{"key": "velero-acceptance.io/fault"}]})]})
    assert differences(taken({node: [item("n", "", spec={})]}), foreign)[0] == ["Node n has another spec"]


def test_who_wrote_is_kept_without_the_status() -> None:
    fields = [
        {"manager": "kubectl", "time": "2026-01-01T11:00:00Z"},
        {"manager": "kubectl", "time": "2026-01-01T10:00:00Z"},
        {"manager": "velero-server", "time": "2026-01-01T12:30:00Z", "subresource": "status"},
    ]
    found = taken({kind("Thing"): [item("t", metadata={"managedFields": fields})]})
    assert found.objects[ObjectKey("Thing", "shop", "t")].writers == {"kubectl": datetime(2026, 1, 1, 11, tzinfo=UTC)}


def test_keys_are_foreign_below_the_prefix() -> None:
    keys = (
        "velero/backups/daily/f",
        f"velero/backups/{OWN}/f",
        f"velero/restic/{OWN}/data/1",
        "velero/restic/shop/locks/1",
    )
    assert set(taken({}, *keys).keys) == {"backups/daily/f"}
    assert set(taken({}, "backups/daily/f", "kopia/shop/_log_1", prefix="").keys) == {"backups/daily/f"}


def test_what_velero_does_by_itself_is_known() -> None:
    expiring = {"status": {"expiration": "2026-01-31T00:00:00Z"}}
    found = taken(
        {
            BACKUP: [item("daily-1", "velero", **expiring), item("x", "velero")],
            RESTORE: [item("r", "velero", spec={"backupName": "daily-1"})],
            BACKUP_REPOSITORY: [
                item("b", "velero", spec={"volumeNamespace": "shop"}, status={"lastMaintenanceTime": "t"})
            ],
        }
    ).velero
    assert found.restores == {"r": "daily-1"} and found.maintained == {"shop": "t"}
    assert found.expirations == {"daily-1": datetime(2026, 1, 31, tzinfo=UTC)}
