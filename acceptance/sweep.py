"""Remove what a killed run left behind, by label and run id alone."""

from __future__ import annotations

from collections.abc import Iterator

from acceptance.drivers.kubernetes import Kubernetes
from acceptance.drivers.s3 import Bucket
from acceptance.drivers.velero import Velero
from acceptance.housekeeping import Housekeeper
from acceptance.mending import mend
from acceptance.settings import Environment
from acceptance.timeouts import Timeouts


def sweep(environment: Environment, timeouts: Timeouts, run: str | None = None) -> Iterator[str]:
    """Remove the leftovers of *run*, or of every run; yield a line for each thing removed or left.

    A run that is going on looks the same as one that was killed: do not sweep beside one.
    """
    kubernetes = Kubernetes(environment.kubeconfig, environment.context, call_seconds=timeouts["api_call"])
    velero = Velero(kubernetes, environment.velero_namespace, environment.location, timeouts)
    bucket = Bucket(environment.s3, environment.bucket, call_seconds=timeouts["s3_call"])
    yield from (f"undone: {fault}" for fault in mend(kubernetes, environment, timeouts))
    keeper = Housekeeper(kubernetes, velero, bucket, environment.prefix, timeouts)
    for name, made in keeper.runs().items():
        if run in (None, name):
            keeper.start(made)
            yield from (f"{name}: {thing}" for thing in sorted(made.names))
            yield from (f"{name}: {problem}" for problem in keeper.finish(made))
            yield from (f"{name}: left: {leftover}" for leftover in keeper.leftovers(name))
