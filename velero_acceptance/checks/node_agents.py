"""Whether every node that carries a volume has a working node-agent, by the volumes and not by a count."""

from __future__ import annotations

from collections.abc import Iterable

from velero_acceptance.drivers.kinds import Json, is_ready, name_of

HOSTNAME = "kubernetes.io/hostname"
HOST_PODS = "/host_pods"
# What node-agent logs at its start when the mount does not show the pods of its node.
WRONG_FOLDER = "unexpected directory structure for host-pods volume"


def nodes_of(volume: Json) -> set[str]:
    """The nodes that a PersistentVolume is bound to by its node affinity."""
    required = (volume["spec"].get("nodeAffinity") or {}).get("required") or {}
    return {
        value
        for term in required.get("nodeSelectorTerms", [])
        for rule in term.get("matchExpressions", [])
        if rule["key"] == HOSTNAME and rule["operator"] == "In"
        for value in rule["values"]
    }


def hostnames(nodes: Iterable[Json]) -> dict[str, str]:
    """Node names by the label that volumes name them with: usually, but not always, the same."""
    return {node["metadata"]["labels"].get(HOSTNAME, name_of(node)): name_of(node) for node in nodes}


def without_agent(volumes: Iterable[Json], nodes: Iterable[Json], agents: Iterable[Json]) -> dict[str, str]:
    """Nodes that carry one of *volumes* and have no ready agent, each with the volume that needs it."""
    names = hostnames(nodes)
    ready = {agent["spec"].get("nodeName") for agent in agents if is_ready(agent)}
    needed = {names.get(host, host): name_of(volume) for volume in volumes for host in sorted(nodes_of(volume))}
    return {node: volume for node, volume in needed.items() if node not in ready}


def unreachable_nodes(volumes: Iterable[Json], nodes: Iterable[Json], agents: Iterable[Json]) -> dict[str, list[str]]:
    """What a missing agent costs: every node without a ready one that carries some of *volumes*, with all of these."""
    nodes, found = list(nodes), list(volumes)
    lacking = without_agent(found, nodes, agents)
    names = hostnames(nodes)
    return {
        node: sorted(name_of(v) for v in found if node in {names.get(host, host) for host in nodes_of(v)})
        for node in lacking
    }


def mount_problem(agent: Json) -> str:
    """What is wrong with an agent's mount of its node's pods; empty when nothing is."""
    mounts = [m for c in agent["spec"]["containers"] for m in c.get("volumeMounts", []) if m["mountPath"] == HOST_PODS]
    if not mounts:
        return f"{name_of(agent)} does not mount {HOST_PODS}"
    if mounts[0].get("mountPropagation") != "HostToContainer":
        return f"{name_of(agent)} mounts {HOST_PODS} without HostToContainer: volumes mounted later stay invisible"
    source = next(v for v in agent["spec"]["volumes"] if v["name"] == mounts[0]["name"])
    if "hostPath" not in source:
        return f"{name_of(agent)} mounts {HOST_PODS} from something else than the node"
    return ""
