"""AC-001: whether every node with a volume has a working node-agent, found from the volumes and not from a count."""

import operator
from collections.abc import Callable, Iterable

from velero_acceptance.drivers.kinds import Json, is_ready, labels_of, name_of, phase_of

# Where a bound volume is whose affinity no node meets.
NO_NODE = "no node of its affinity"
HOST_PODS = "/host_pods"
# Logged by node-agent at its start when the mount does not show the pods of its node.
WRONG_FOLDER = "unexpected directory structure for host-pods volume"


def nodes_of(volume: Json, nodes: Iterable[Json]) -> set[str]:
    """The names of those of *nodes* that the node affinity of a PersistentVolume allows; none without an affinity.

    Source: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/node-selector-requirement/.
    """
    return {name_of(node) for node in nodes if any(_matches(term, node) for term in _terms(volume))}


def _terms(volume: Json) -> list[Json]:
    required = (volume["spec"].get("nodeAffinity") or {}).get("required") or {}
    return list(required.get("nodeSelectorTerms") or [])


def _matches(term: Json, node: Json) -> bool:
    """Whether a node meets every rule of a term; an empty term matches no node."""
    rules = [(rule, labels_of(node)) for rule in term.get("matchExpressions") or []]
    rules += [(rule, {"metadata.name": name_of(node)}) for rule in term.get("matchFields") or []]
    return bool(rules) and all(OPERATORS[rule["operator"]](found.get(rule["key"]), rule) for rule, found in rules)


def _compared(sign: Callable[[int, int], bool]) -> Callable[[str | None, Json], bool]:
    def holds(value: str | None, rule: Json) -> bool:
        texts = [value or "", *rule["values"]]
        return all(text.lstrip("-").isdigit() for text in texts) and sign(int(texts[0]), int(texts[1]))

    return holds


OPERATORS: dict[str, Callable[[str | None, Json], bool]] = {
    "In": lambda value, rule: value in rule["values"],
    "NotIn": lambda value, rule: value not in rule["values"],
    "Exists": lambda value, _: value is not None,
    "DoesNotExist": lambda value, _: value is None,
    "Gt": _compared(operator.gt),
    "Lt": _compared(operator.lt),
}


def without_agent(
    volumes: Iterable[Json], nodes: Iterable[Json], agents: Iterable[Json], pods: Iterable[Json] = ()
) -> dict[str, str]:
    """Nodes with one of *volumes* and without a ready agent, each with the name of one such volume."""
    return {node: found[-1] for node, found in unreachable_nodes(volumes, nodes, agents, pods).items()}


def unreachable_nodes(
    volumes: Iterable[Json], nodes: Iterable[Json], agents: Iterable[Json], pods: Iterable[Json] = ()
) -> dict[str, list[str]]:
    """The volumes that cannot be backed up, by node: those of every node without a ready agent.

    A volume that several nodes could mount is where *pods* mount it; without one, an agent on any of them is enough. A
    volume whose node was removed counts while it is bound.
    """
    known, mounted = list(nodes), _mounts(pods)
    ready = {agent["spec"].get("nodeName") for agent in agents if is_ready(agent)}
    found: dict[str, list[str]] = {}
    for volume in sorted(volumes, key=name_of):
        allowed = nodes_of(volume, known)
        places = allowed & mounted.get(_claim(volume), set()) or allowed
        if _terms(volume) and not allowed and phase_of(volume) == "Bound":
            found.setdefault(NO_NODE, []).append(name_of(volume))
        if places == allowed and len(allowed) > 1 and allowed & ready:
            continue
        for node in sorted(places - ready):
            found.setdefault(node, []).append(name_of(volume))
    return found


def _claim(volume: Json) -> tuple[str, str]:
    claim = volume["spec"].get("claimRef") or {}
    return str(claim.get("namespace", "")), str(claim.get("name", ""))


def _mounts(pods: Iterable[Json]) -> dict[tuple[str, str], set[str]]:
    """The nodes of the running pods that mount a claim, by its namespace and name."""
    found: dict[tuple[str, str], set[str]] = {}
    for pod in pods:
        for volume in pod["spec"].get("volumes") or []:
            claim = (volume.get("persistentVolumeClaim") or {}).get("claimName")
            if claim and phase_of(pod) == "Running":
                found.setdefault((pod["metadata"]["namespace"], claim), set()).add(str(pod["spec"].get("nodeName")))
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
