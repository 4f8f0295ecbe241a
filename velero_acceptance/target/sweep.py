"""Remove what killed runs left on the target, by label and run id alone."""

from collections.abc import Iterator

from velero_acceptance.core.settings import Environment
from velero_acceptance.core.timeouts import Timeouts
from velero_acceptance.drivers.kubernetes import Kubernetes
from velero_acceptance.drivers.s3 import Bucket
from velero_acceptance.drivers.velero import Velero
from velero_acceptance.target.created_resources import ResourceCleaner
from velero_acceptance.target.fault_reverts import revert_faults
from velero_acceptance.target.lock import live_holder


def sweep(
    environment: Environment,
    timeouts: Timeouts,
    run: str | None = None,
    *,
    expired: bool = False,
    keep: str | None = None,
) -> Iterator[str]:
    """Remove the leftovers of *run*, or of every run; yield a line for each thing removed or left.

    With *expired* only resources whose label allows it. The run that holds the run lock is in progress, and so is
    *keep*: their resources stay, and while another run is in progress no fault is reverted.
    """
    kubernetes = Kubernetes(environment.kubeconfig, environment.context, call_seconds=timeouts["api_call"])
    velero = Velero(kubernetes, environment.velero_namespace, environment.location, timeouts)
    bucket = Bucket(environment.s3, environment.bucket, call_seconds=timeouts["s3_call"])
    holder = live_holder(kubernetes, environment.velero_namespace)
    working = {keep, holder.run if holder else None}
    if holder is None or holder.run == keep:
        yield from (f"undone: {fault}" for fault in revert_faults(kubernetes, environment, timeouts))
    keeper = ResourceCleaner(kubernetes, velero, bucket, environment.prefix, timeouts)
    moment = kubernetes.server_time()
    for name, made in keeper.runs().items():
        if name in working:
            yield f"{name}: left alone, it is at work"
        elif run in (None, name) and not (expired and made.expires > moment):
            keeper.start(made)
            yield from (f"{name}: {thing}" for thing in sorted(made.names))
            yield from (f"{name}: {problem}" for problem in keeper.finish(made))
            yield from (f"{name}: left: {leftover}" for leftover in keeper.leftovers(name))
