"""What is left of a run: of any kind, anywhere; what is being deleted is awaited, and says what holds it."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from tests.api_server import client, serving
from tests.fake_cluster import RUN_ID, FakeBucket, FakeCluster
from tests.fake_systems import FakeCheckout, FakeFlux
from velero_acceptance.core.naming import RUN_LABEL
from velero_acceptance.core.timeouts import Timeouts
from velero_acceptance.core.waiting import WaitTimedOut
from velero_acceptance.drivers import kinds
from velero_acceptance.drivers.kinds import Json, Kind
from velero_acceptance.drivers.kubernetes import PAGE, ApiError
from velero_acceptance.drivers.velero import Velero
from velero_acceptance.target.created_resources import ResourceCleaner
from velero_acceptance.target.fault_reverts import revert_commit
from velero_acceptance.target.leftovers import LeftoverSearch

OWN, OTHER = f"acc-{RUN_ID}-0123abcd", "acc-20260101-0000-beef-0123abcd"
ENDPOINT = Kind("cilium.io", "v2", "CiliumIdentity", "ciliumidentities", namespaced=False)
CONFIG = Kind("", "v1", "ConfigMap", "configmaps")
DELETING = {"deletionTimestamp": "2026-11-23T12:00:00Z", "finalizers": ["finalizers.fluxcd.io"]}


def keeper_of(cluster: FakeCluster, seconds: float = 0.1) -> ResourceCleaner:
    timeouts = Timeouts({"object_gone": seconds, "namespace_gone": seconds})
    return ResourceCleaner(cluster, Velero(cluster, "velero", "default", timeouts), FakeBucket(), "velero", timeouts)


@pytest.mark.parametrize(
    ("kind", "metadata", "says"),
    [
        (kinds.KUSTOMIZATION, {"name": OWN, "namespace": "flux-system"}, f"Kustomization flux-system/{OWN} of {OWN}"),
        (kinds.HELM_RELEASE, {"name": "velero", "namespace": OWN}, f"HelmRelease {OWN}/velero of {OWN}"),
        (CONFIG, {"name": f"{OWN}-x", "namespace": "shop"}, f"ConfigMap shop/{OWN}-x of {OWN}-x"),
        (CONFIG, {"name": "x", "namespace": "shop", "labels": {RUN_LABEL: RUN_ID}}, "ConfigMap shop/x of ?"),
        (
            kinds.CLUSTER_ROLE_BINDING,
            {"name": "velero-server", "labels": {"helm.toolkit.fluxcd.io/namespace": OWN}},
            f"ClusterRoleBinding velero-server of {OWN}",
        ),
    ],
)
def test_an_object_of_any_kind_and_place_is_found(kind: Kind, metadata: Json, says: str) -> None:
    assert keeper_of(FakeCluster({kind: [{"metadata": metadata}]})).leftovers(RUN_ID) == [says]


@pytest.mark.parametrize(
    ("kind", "metadata"),
    [
        (kinds.KUSTOMIZATION, {"name": OTHER, "namespace": "flux-system"}),
        (CONFIG, {"name": "notes-on-acc", "namespace": "shop", "labels": {RUN_LABEL: "another"}}),
        (kinds.EVENT, {"name": f"{OWN}.17ab", "namespace": OWN}),
        # The network's own, which it removes in its own time.
        (ENDPOINT, {"name": "4711", "labels": {"io.kubernetes.pod.namespace": OWN}}),
    ],
)
def test_what_is_another_s_is_none_of_the_run(kind: Kind, metadata: Json) -> None:
    assert keeper_of(FakeCluster({kind: [{"metadata": metadata}]})).leftovers(RUN_ID) == []


def test_what_is_being_deleted_is_awaited_for_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = FakeCluster()
    cluster.put(kinds.KUSTOMIZATION, {"metadata": {"name": OWN, "namespace": "flux-system", **DELETING}})
    keeper, patience = keeper_of(cluster), Timeouts({"object_gone": 0.1, "namespace_gone": 30})
    monkeypatch.setattr(keeper, "_timeouts", patience)
    looks: list[None] = []

    def look(*_: object) -> None:
        looks.append(None)
        if len(looks) > 8:
            cluster.store.before = lambda *_: None
            cluster.drop(kinds.KUSTOMIZATION, OWN, "flux-system")

    cluster.store.before = look
    assert keeper.leftovers(RUN_ID) == []


def test_what_stays_names_its_finalizer_and_a_namespace_only_what_holds_it() -> None:
    cluster = FakeCluster()
    cluster.put(kinds.NAMESPACE, {"metadata": {"name": OWN, "deletionTimestamp": "2026-11-23T12:00:00Z"}})
    cluster.put(kinds.POD, {"metadata": {"name": "pod", "namespace": OWN}})
    cluster.put(kinds.HELM_RELEASE, {"metadata": {"name": "velero", "namespace": OWN, **DELETING}})
    assert keeper_of(cluster).leftovers(RUN_ID) == [
        f"Namespace {OWN} of {OWN}, being deleted",
        f"HelmRelease {OWN}/velero of {OWN}, being deleted, held by finalizers.fluxcd.io",
    ]


def test_later_looks_are_at_suspects_only_and_the_last_one_at_everything() -> None:
    cluster = FakeCluster({kind: [] for kind in (CONFIG, kinds.POD, kinds.SERVICE)})
    cluster.put(CONFIG, {"metadata": {"name": OWN, "namespace": "shop"}})
    search = LeftoverSearch(cluster, RUN_ID)
    assert len(search.look()) == 1
    cluster.store.asked.clear()
    assert len(search.look()) == 1 and len(cluster.store.asked) == 1
    cluster.drop(CONFIG, OWN, "shop")
    cluster.put(kinds.POD, {"metadata": {"name": OWN, "namespace": "shop"}})
    (found,) = search.look()
    assert found.kind == kinds.POD


@pytest.mark.parametrize(("status", "stops"), [(403, False), (503, False), (500, True)])
def test_a_kind_that_may_not_be_listed_is_passed_over_and_another_error_is_none_left(status: int, stops: bool) -> None:
    cluster = FakeCluster({CONFIG: [{"metadata": {"name": OWN, "namespace": "shop"}}], kinds.SECRET: []})
    cluster.unlistable[kinds.SECRET] = ApiError(status, "no")
    if stops:
        with pytest.raises(ApiError):
            keeper_of(cluster).leftovers(RUN_ID)
    else:
        assert len(keeper_of(cluster).leftovers(RUN_ID)) == 1


def test_a_list_is_read_page_by_page_and_of_metadata_alone(tmp_path: Path) -> None:
    with serving() as server:
        for number in range(2 * PAGE + 1):
            server.put(CONFIG, {"metadata": {"name": f"c{number}"}, "data": {"a": "b"}}, "shop")
        found = client(server, tmp_path).list_metadata(CONFIG)
        assert len(found) == len({item["name"] for item in found}) == 2 * PAGE + 1
        assert len(server.asked) == 3
        assert len(client(server, tmp_path).list_all(CONFIG, "shop", labels="")) == 2 * PAGE + 1


# -- AC-007-01: the Kustomization goes before its namespace -----------------------------------


def reverting(cluster: FakeCluster, *, seconds: float = 5) -> tuple[FakeCheckout, FakeFlux]:
    """A changed repository, whose Kustomization is being deleted."""
    flux = FakeFlux(cluster, [])
    flux.driver._timeouts = Timeouts({"deployed": seconds, "flux_reconciled": seconds})
    checkout = FakeCheckout({"a": "b"}, [])
    checkout.change({"a": "c"}, "x")
    cluster.put(kinds.KUSTOMIZATION, {"metadata": {"name": OWN, "namespace": "flux-system", **DELETING}})
    return checkout, flux


def test_a_revert_ends_when_flux_has_deleted_the_kustomization_and_its_release() -> None:
    cluster = FakeCluster()
    checkout, flux = reverting(cluster)
    release = {"metadata": {"name": "velero", "namespace": OWN, **DELETING}}
    cluster.put(kinds.HELM_RELEASE, release)
    cluster.later.append(partial(cluster.drop, kinds.KUSTOMIZATION, OWN, "flux-system"))
    cluster.later.append(partial(cluster.drop, kinds.HELM_RELEASE, "velero", OWN))
    assert revert_commit(checkout, flux.driver, Timeouts({"deployed": 5}))
    assert not cluster.later


def test_a_kustomization_that_stays_is_an_error() -> None:
    checkout, flux = reverting(FakeCluster())
    with pytest.raises(WaitTimedOut, match="Flux has deleted every Kustomization that Git no longer has"):
        revert_commit(checkout, flux.driver, Timeouts({"deployed": 5}))


def test_a_kustomization_of_other_people_that_stays_is_theirs() -> None:
    cluster = FakeCluster()
    checkout, flux = reverting(cluster)
    cluster.drop(kinds.KUSTOMIZATION, OWN, "flux-system")
    cluster.put(kinds.KUSTOMIZATION, {"metadata": {"name": "shop", "namespace": "flux-system", **DELETING}})
    assert revert_commit(checkout, flux.driver, Timeouts({"deployed": 5}))
