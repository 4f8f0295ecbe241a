"""The run lock: one holder, renewed while it lives, taken over when it is dead, and told when it is lost."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import Queue

import pytest

from tests.api_server import ApiServer, client, serving
from velero_acceptance.core.errors import Refusal
from velero_acceptance.core.settings import Target
from velero_acceptance.core.waiting import poll
from velero_acceptance.drivers.kinds import LEASE, Json, stamp
from velero_acceptance.drivers.kubernetes import Kubernetes
from velero_acceptance.target import lock
from velero_acceptance.target.lock import NAME, Holder, RunLock, live_holder, unlock

VELERO = "velero"


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with serving() as found:
        yield found


@pytest.fixture
def cluster(server: ApiServer, tmp_path: Path) -> Kubernetes:
    return client(server, tmp_path)


def lease_of(server: ApiServer) -> Json | None:
    return server.objects.get(LEASE.path(VELERO, NAME))


def held(server: ApiServer, run: str = "other", age: float = 0) -> None:
    """A Lease that *run* renewed *age* seconds ago."""
    at = stamp(datetime.now(UTC) - timedelta(seconds=age), "microseconds")
    spec = {"holderIdentity": f"{run} of ann@desk", "leaseDurationSeconds": 60, "renewTime": at, "acquireTime": at}
    server.put(LEASE, {"metadata": {"name": NAME}, "spec": spec}, VELERO)


def test_a_free_lock_is_taken_and_given_back(server: ApiServer, cluster: Kubernetes) -> None:
    mine = RunLock(cluster, VELERO, "mine")
    mine.acquire()
    holder = live_holder(cluster, VELERO)
    assert holder is not None and holder.run == "mine" and "@" in holder.owner
    assert 50 < (holder.until - datetime.now(UTC)).total_seconds() <= 61
    mine.release()
    assert lease_of(server) is None


def test_another_run_is_refused_with_all_that_is_needed_to_go_on(server: ApiServer, cluster: Kubernetes) -> None:
    held(server)
    with pytest.raises(Refusal) as refused:
        RunLock(cluster, VELERO, "mine").acquire()
    for part in ("the run other of ann@desk since 20", "UTC, until", "acceptance unlock --target lab --run other"):
        assert part in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_dead_holder_is_followed(server: ApiServer, cluster: Kubernetes) -> None:
    held(server, age=70)
    assert live_holder(cluster, VELERO) is None
    RunLock(cluster, VELERO, "mine").acquire()
    holder = live_holder(cluster, VELERO)
    assert holder is not None and holder.run == "mine"


@pytest.mark.parametrize("dead", [True, False])
def test_of_two_that_come_at_once_one_is_refused(server: ApiServer, cluster: Kubernetes, dead: bool) -> None:
    if dead:
        held(server, age=70)

    def between(method: str, _path: str, body: Json) -> None:
        if method in ("POST", "PATCH") and "mine" in body["spec"]["holderIdentity"]:
            held(server)

    server.before = between
    with pytest.raises(Refusal, match="has just taken the run lock"):
        RunLock(cluster, VELERO, "mine").acquire()


def test_a_lock_is_renewed(server: ApiServer, cluster: Kubernetes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "RENEWAL_SECONDS", 0.05)
    mine, lost = RunLock(cluster, VELERO, "mine"), Queue[str]()
    mine.acquire()
    first = (lease_of(server) or {})["spec"]
    mine.keep(lost.put)
    poll(
        lambda: (lease_of(server) or {})["spec"]["renewTime"],
        until=lambda at: at > first["renewTime"],
        event="it is renewed",
        timeout=20,
        interval=0.05,
    )
    assert (lease_of(server) or {})["spec"]["acquireTime"] == first["acquireTime"]
    mine.release()
    assert lost.empty()


@pytest.mark.parametrize(
    ("how", "says"),
    [("taken", "was taken: the run other of ann@desk"), ("removed", "somebody removed it"), ("away", "in time")],
)
def test_a_lost_lock_is_told_once(
    server: ApiServer, cluster: Kubernetes, monkeypatch: pytest.MonkeyPatch, how: str, says: str
) -> None:
    monkeypatch.setattr(lock, "RENEWAL_SECONDS", 0.05)
    monkeypatch.setattr(lock, "DURATION", timedelta(seconds=0.3))
    mine, lost = RunLock(cluster, VELERO, "mine"), Queue[str]()
    mine.acquire()
    if how == "taken":
        held(server)
    elif how == "removed":
        del server.objects[LEASE.path(VELERO, NAME)]
    else:
        server.away = True
    mine.keep(lost.put)
    assert says in lost.get(timeout=60)
    server.away = False
    mine.release()
    assert lost.empty()
    assert (lease_of(server) is not None) == (how == "taken"), "only our own lock is given back"


def test_only_a_dead_or_named_lock_is_removed(server: ApiServer, cluster: Kubernetes) -> None:
    assert unlock(cluster, VELERO, None) == "There is no run lock."
    held(server)
    for run in (None, "mine"):
        with pytest.raises(Refusal, match="unlock --target current --run other"):
            unlock(cluster, VELERO, run, Target.CURRENT)
    assert unlock(cluster, VELERO, "other").startswith("The run lock is removed; it was held by the run other")
    held(server, age=70)
    assert unlock(cluster, VELERO, None) == "An expired run lock is removed."
    assert lease_of(server) is None


def test_a_lease_without_a_holder_is_free(cluster: Kubernetes, server: ApiServer) -> None:
    server.put(LEASE, {"metadata": {"name": NAME}, "spec": {"holderIdentity": ""}}, VELERO)
    assert Holder.of(lease_of(server) or {}) is None
    RunLock(cluster, VELERO, "mine").acquire()
