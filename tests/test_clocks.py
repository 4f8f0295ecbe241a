"""Clocks: what is known of a skew is an interval, and only what is beyond the limit for certain is a problem."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from velero_acceptance.core.waiting import Deadline
from velero_acceptance.drivers.kinds import Json
from velero_acceptance.drivers.kubernetes import ApiError, Kubernetes
from velero_acceptance.target.clocks import DELIVERY_SECONDS, Clocks, Skew, of_nodes, of_server


class Cluster:
    """An API server and nodes whose clocks are *ahead*, in seconds; the Leases are renewed one after the other."""

    def __init__(self, server: float = 0, **nodes: float) -> None:
        self._server, self._nodes = server, nodes

    def server_time(self) -> datetime:
        return (datetime.now(UTC) + timedelta(seconds=self._server)).replace(microsecond=0)

    def watch(self, *_: object, **__: object) -> Iterator[dict[str, Json]]:
        old = {name: lease(-8 + ahead) for name, ahead in self._nodes.items()}
        yield dict(old)
        for name, ahead in self._nodes.items():
            old[name] = lease(ahead)
            yield dict(old)


def lease(ahead: float) -> Json:
    return {"spec": {"renewTime": (datetime.now(UTC) + timedelta(seconds=ahead)).isoformat()}}


def cluster(*arguments: float, **nodes: float) -> Kubernetes:
    return cast(Kubernetes, Cluster(*arguments, **nodes))


@pytest.mark.parametrize("ahead", [-30.0, 0.0, 30.0])
def test_the_server_is_somewhere_within_the_interval(ahead: float) -> None:
    skew = of_server(cluster(ahead))
    assert skew.low <= ahead <= skew.high and skew.high - skew.low < 2.5
    assert skew.wrong == (ahead != 0)


def test_a_node_is_known_by_a_renewal_that_was_seen_to_arrive() -> None:
    """The age of what is there already says nothing: it is up to ten seconds old anyway."""
    found = {skew.place: skew for skew in of_nodes(cluster(a=0.0, b=9.0, c=-9.0), Deadline(5))}
    assert {place: skew.wrong for place, skew in found.items()} == {"node a": False, "node b": True, "node c": True}
    assert found["node b"].low <= 9.0 <= found["node b"].low + DELIVERY_SECONDS


def test_of_several_renewals_the_one_that_came_soonest_counts() -> None:
    """A busy API server delivers late, which looks like a slow clock."""

    class Busy(Cluster):
        def watch(self, *_: object, **__: object) -> Iterator[dict[str, Json]]:
            for late in (0.0, -9.0, -0.1):
                yield {"a": lease(late)}

    (skew,) = of_nodes(cast(Kubernetes, Busy()), Deadline(5))
    assert not skew.wrong and -1 < skew.low <= -0.1


@pytest.mark.parametrize(("low", "high", "wrong"), [(4, 6, False), (5.1, 6, True), (-6, -4, False), (-9, -5.1, True)])
def test_only_what_is_certain_is_wrong(low: float, high: float, wrong: bool) -> None:
    assert Skew("x", low, high).wrong == wrong


def test_clocks_are_measured_beside_and_judged_when_asked() -> None:
    good = Clocks(cluster(a=0.0), nodes=True, seconds=5).start()
    assert good.problem() == "" and "the worst of 2 clocks" in good.note()
    bad = Clocks(cluster(a=30.0, b=0.0), nodes=True, seconds=5).start()
    assert "the clock of node a is 29" in bad.problem() or "the clock of node a is 30" in bad.problem()
    assert "node b" not in bad.problem() and "limit 5 s" in bad.problem()


def test_nodes_of_one_machine_have_one_clock() -> None:
    only_server = Clocks(cluster(a=30.0), nodes=False, seconds=5).start()
    assert only_server.problem() == "" and len(only_server.skews) == 1


def test_what_cannot_be_measured_is_a_problem() -> None:
    class Away(Cluster):
        def watch(self, *_: object, **__: object) -> Any:
            raise ApiError(403, "leases is forbidden")

    found = Clocks(cast(Kubernetes, Away()), nodes=True, seconds=5).start()
    assert found.problem() == "the clocks could not be compared: leases is forbidden"
