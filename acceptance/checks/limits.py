"""The limits that node-agent's containers run with, by which its timings have to be understood."""

from __future__ import annotations

from collections.abc import Sequence

from kubernetes.utils.quantity import parse_quantity

from acceptance.drivers.kinds import Json, name_of

CONTAINER = "node-agent"
MEBIBYTE = 2**20


class Unlimited(Exception):
    """A container has no such limit; says which."""


def highest(pods: Sequence[Json], resource: str) -> float:
    """The highest limit of *resource* (``cpu``: in CPUs, ``memory``: in bytes) among the agents.

    Raises Unlimited for a container without one, and when there is no agent.
    """
    containers = [(name_of(pod), c) for pod in pods for c in pod["spec"]["containers"] if c["name"] == CONTAINER]
    if not containers:
        raise Unlimited("there is no agent")
    found = []
    for pod, container in containers:
        limit = ((container.get("resources") or {}).get("limits") or {}).get(resource)
        if limit is None:
            raise Unlimited(f"{pod} has no limit of {resource}")
        found.append(float(parse_quantity(limit)))
    return max(found)
