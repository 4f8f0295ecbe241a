"""The limits of the containers that move volumes, by which their timings have to be understood."""

from __future__ import annotations

from collections.abc import Sequence

from kubernetes.utils.quantity import parse_quantity

from acceptance.drivers.kinds import Json, name_of

# Of node-agent. A pod that moves one volume has one container, named by a uid.
CONTAINER = "node-agent"
MEBIBYTE = 2**20


class Unlimited(Exception):
    """A container has no such limit; says which."""


def highest(pods: Sequence[Json], resource: str) -> float:
    """The highest limit of *resource* (``cpu``: in CPUs, ``memory``: in bytes) among the movers.

    Raises Unlimited for a container without one, and when there is no mover.
    """
    containers = [(name_of(pod), container) for pod in pods for container in _movers(pod)]
    if not containers:
        raise Unlimited("there is no pod that moved data")
    found = []
    for pod, container in containers:
        limit = ((container.get("resources") or {}).get("limits") or {}).get(resource)
        if limit is None:
            raise Unlimited(f"{pod} has no limit of {resource}")
        found.append(float(parse_quantity(limit)))
    return max(found)


def _movers(pod: Json) -> list[Json]:
    """The containers of a pod that move volumes: others stand beside them."""
    owners = {str(owner["uid"]) for owner in pod["metadata"].get("ownerReferences", [])}
    return [container for container in pod["spec"]["containers"] if container["name"] in {CONTAINER, *owners}]
