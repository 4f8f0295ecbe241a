"""AC-001: whether every node with a volume has a working node-agent, found from the volumes and not from a count."""

from collections.abc import Iterable

from velero_acceptance.drivers.kinds import Json, is_ready, name_of

HOSTNAME = "kubernetes.io/hostname"
HOST_PODS = "/host_pods"
# Logged by node-agent at its start when the mount does not show the pods of its node.
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


def without_agent(volumes: Iterable[Json], nodes: Iterable[Json], agents: Iterable[Json]) -> dict[str, str]:
    """Nodes with one of *volumes* and without a ready agent, each with the name of one such volume."""
    return {node: found[-1] for node, found in unreachable_nodes(volumes, nodes, agents).items()}


def unreachable_nodes(volumes: Iterable[Json], nodes: Iterable[Json], agents: Iterable[Json]) -> dict[str, list[str]]:
    """The volumes that cannot be backed up, by node: those of every node without a ready agent."""
    # By the label that volumes refer to: usually, but not always, the node's name.
    names = {node["metadata"]["labels"].get(HOSTNAME, name_of(node)): name_of(node) for node in nodes}
    ready = {agent["spec"].get("nodeName") for agent in agents if is_ready(agent)}
    found: dict[str, list[str]] = {}
    for volume in sorted(volumes, key=name_of):
        for node in sorted({names.get(host, host) for host in nodes_of(volume)} - ready):
            found.setdefault(node, []).append(name_of(volume))
    return found


def mount_problem(agent: Json) -> str:
    """What is wrong with an agent's mount of its node's pods; empty when nothing is."""
    mounts = [m for c in agent["spec"]["containers"] for m in c.get("volumeMounts", []) if m["mountPath"] == HOST_PODS]
    if not mounts:
        return f"{name_of(agent)} does not mount {HOST_PODS}"
    if mounts[0].get("mountPropagation") != "HostToContainer":
        return f"{name_of(agent)} mounts {HOST_PODS} without HostToContainer: volumes mounted later stay invisible"
    source = next(v for v in agent["spec"]["volumes"] if v["name"] == mounts[0]["name"])
    if "hostPath" not in source:
        return f"{name_of(agent)} mounts {HOST_PODS} from something other than the node"
    return ""
