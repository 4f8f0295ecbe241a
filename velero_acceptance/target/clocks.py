"""How far the clocks of the API server and of the nodes are from this machine's.

A time measured between two machines means nothing when their clocks differ. From outside, the difference is only known
as an interval: a time stamp was written some time between a request and its answer.
"""

import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime

from velero_acceptance.core.errors import AcceptanceError
from velero_acceptance.core.waiting import Deadline
from velero_acceptance.drivers.kinds import LEASE, time_of
from velero_acceptance.drivers.kubernetes import Kubernetes

LIMIT_SECONDS = 5.0
# The namespace of the nodes' Leases; a kubelet renews its own by default every ten seconds.
NODE_LEASES = "kube-node-lease"
# How long the notice of a renewal may take.
DELIVERY_SECONDS = 2.0


@dataclass(frozen=True)
class Skew:
    """How far the clock of *place* is ahead of this machine's: at least *low* and at most *high* seconds."""

    place: str
    low: float
    high: float

    @property
    def wrong(self) -> bool:
        """Whether it certainly exceeds the limit."""
        return self.low > LIMIT_SECONDS or self.high < -LIMIT_SECONDS

    @property
    def least(self) -> float:
        """The least difference in seconds, in either direction."""
        return max(0.0, self.low, -self.high)


def of_server(kubernetes: Kubernetes) -> Skew:
    """The skew of the API server, from the date of an answer, which is a whole second."""
    asked = datetime.now(UTC)
    date = kubernetes.server_time()
    answered = datetime.now(UTC)
    return Skew("the API server", (date - answered).total_seconds(), (date - asked).total_seconds() + 1.0)


def of_nodes(kubernetes: Kubernetes, deadline: Deadline) -> list[Skew]:
    """The skew of each node, from the time when a renewal of its Lease is observed; none for a node without one.

    A late notice makes a clock look slow: a wrong clock is measured until the deadline, and the fastest notice counts.
    """
    known: dict[str, str] = {}
    best: dict[str, Skew] = {}
    for number, leases in enumerate(kubernetes.watch(LEASE, NODE_LEASES, deadline=deadline)):
        seen = datetime.now(UTC)
        for name, lease in leases.items():
            renewed = str(lease["spec"].get("renewTime") or "")
            # The first state is a list: the age of its stamps is unknown.
            if number and renewed != known.get(name):
                ahead = (time_of(renewed) - seen).total_seconds()
                skew = Skew(f"node {name}", ahead, ahead + DELIVERY_SECONDS)
                best[name] = max(best.get(name, skew), skew, key=lambda found: found.low)
            known[name] = renewed
        if best.keys() >= leases.keys() and not any(skew.wrong for skew in best.values()):
            break
    return list(best.values())


@dataclass
class Clocks:
    """The skews of a target, measured once in the background."""

    kubernetes: Kubernetes
    # False on the lab, whose nodes are namespaces of one machine.
    nodes: bool
    seconds: float
    skews: list[Skew] = field(default_factory=list)
    _failure: AcceptanceError | None = None

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._measure, daemon=True, name="clocks")

    def start(self) -> "Clocks":
        self._thread.start()
        return self

    def problem(self) -> str:
        """Why times across machines cannot be trusted; empty when they can. Waits for the measurement."""
        self._thread.join(self.seconds + 1)
        if self._failure or self._thread.is_alive():
            return f"the clocks could not be compared: {self._failure or 'no answer'}"
        wrong = [skew for skew in self.skews if skew.wrong]
        return "; ".join(
            f"the clock of {skew.place} is {skew.least:.1f} s or more off this machine's (limit {LIMIT_SECONDS:g} s): "
            "let both keep time by NTP"
            for skew in wrong
        )

    def note(self) -> str:
        """The largest skew so far, for the report."""
        worst = max(self.skews, key=lambda skew: skew.least, default=None)
        if worst is None:
            return "not measured"
        clocks = f"the worst of {len(self.skews)} clocks (limit {LIMIT_SECONDS:g} s)"
        return f"{worst.least:.1f} s at {worst.place}, {clocks}"

    def _measure(self) -> None:
        try:
            self.skews.append(of_server(self.kubernetes))
            if self.nodes:
                self.skews.extend(of_nodes(self.kubernetes, Deadline(self.seconds)))
        except AcceptanceError as error:  # in a thread: reported by problem()
            self._failure = error
