"""Agents by volumes, validity by periods, and what Flux calls settled."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from fixtures.faults.node_agents import affinity_away_from, with_affinity
from fixtures.gitops.flux import HELM_FILE
from velero_acceptance.checks import node_agents
from velero_acceptance.checks.bucket import Validation, judge
from velero_acceptance.core.errors import Blocked
from velero_acceptance.core.timeouts import Timeouts
from velero_acceptance.drivers.flux import Flux, settled
from velero_acceptance.drivers.kubernetes import Kubernetes

ROOT = Path(__file__).parents[1] / "gitops"
START = datetime(2026, 1, 1, tzinfo=UTC)
FREQUENCY = timedelta(seconds=10)


def volume(name: str, *hosts: str) -> dict[str, Any]:
    rule = {"key": "kubernetes.io/hostname", "operator": "In", "values": list(hosts)}
    terms = [{"matchExpressions": [rule]}]
    return {"metadata": {"name": name}, "spec": {"nodeAffinity": {"required": {"nodeSelectorTerms": terms}}}}


def node(name: str, host: str | None = None) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": {"kubernetes.io/hostname": host or name}}}


def agent(where: str, *, ready: bool = True, **spec: Any) -> dict[str, Any]:
    condition = {"type": "Ready", "status": str(ready)}
    return {
        "metadata": {"name": f"agent-{where}"},
        "spec": {"nodeName": where, **spec},
        "status": {"conditions": [condition]},
    }


NODES = [node("n1"), node("n2"), node("n3", "other-name")]


def test_only_nodes_with_volumes_need_an_agent() -> None:
    assert node_agents.without_agent([volume("v", "n1")], NODES, [agent("n1")]) == {}


@pytest.mark.parametrize("there", [[], [agent("n2")], [agent("n1", ready=False)]])
def test_a_node_without_ready_agent_is_red(there: list[dict[str, Any]]) -> None:
    assert node_agents.without_agent([volume("v", "n1"), volume("w", "n2")][:1], NODES, there) == {"n1": "v"}


def test_a_volume_names_its_node_by_label() -> None:
    assert node_agents.without_agent([volume("v", "other-name")], NODES, [agent("n3")]) == {}
    assert node_agents.without_agent([volume("v", "other-name")], NODES, [agent("n1")]) == {"n3": "v"}


def test_what_a_missing_agent_costs_is_every_volume_of_its_node() -> None:
    volumes = [volume("v", "n1"), volume("w", "n2"), volume("x", "other-name"), volume("a", "other-name")]
    assert node_agents.unreachable_nodes(volumes, NODES, [agent("n1"), agent("n2")]) == {"n3": ["a", "x"]}
    assert node_agents.unreachable_nodes(volumes, NODES, [agent("n1"), agent("n2"), agent("n3")]) == {}


ZONE = "topology.kubernetes.io/zone"


def bound(name: str, *terms: list[dict[str, Any]], phase: str = "Bound", **fields: Any) -> dict[str, Any]:
    """A volume whose affinity is any of *terms*, each a list of rules that all must hold."""
    selector = [{"matchExpressions": rules} for rules in terms]
    affinity = {"required": {"nodeSelectorTerms": [*selector, *([fields] if fields else [])]}}
    claim = {"namespace": "database", "name": "data"}
    return {
        "metadata": {"name": name},
        "spec": {"nodeAffinity": affinity, "claimRef": claim},
        "status": {"phase": phase},
    }


def rule(key: str, operator: str, *values: str) -> dict[str, Any]:
    return {"key": key, "operator": operator, "values": list(values)}


def labelled(name: str, **labels: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, **labels}}}


def user(node: str) -> dict[str, Any]:
    volume = {"name": "d", "persistentVolumeClaim": {"claimName": "data"}}
    metadata = {"namespace": "database", "name": "db"}
    return {"metadata": metadata, "spec": {"nodeName": node, "volumes": [volume]}, "status": {"phase": "Running"}}


ZONES = [labelled("a1", **{ZONE: "a", "rank": "1"}), labelled("a2", **{ZONE: "a", "rank": "2"}), labelled("b1")]


@pytest.mark.parametrize(
    ("volume", "allowed"),
    [
        (bound("v", [rule("openebs.io/nodename", "In", "n2")]), set()),
        (bound("v", [rule(ZONE, "In", "a")]), {"a1", "a2"}),
        (bound("v", [rule(ZONE, "In", "a"), rule("rank", "In", "2")]), {"a2"}),
        (bound("v", [rule("rank", "In", "1")], [rule("kubernetes.io/hostname", "In", "b1")]), {"a1", "b1"}),
        (bound("v", [rule(ZONE, "NotIn", "a")]), {"b1"}),
        (bound("v", [rule(ZONE, "DoesNotExist")]), {"b1"}),
        (bound("v", [rule(ZONE, "Exists"), rule("rank", "Gt", "1")]), {"a2"}),
        (bound("v", [rule("rank", "Lt", "2")]), {"a1"}),
        (bound("v", matchFields=[rule("metadata.name", "In", "b1")]), {"b1"}),
        (bound("v", []), set()),
        ({"metadata": {"name": "v"}, "spec": {}}, set()),
    ],
)
def test_the_whole_node_affinity_of_a_volume_counts(volume: dict[str, Any], allowed: set[str]) -> None:
    assert node_agents.nodes_of(volume, ZONES) == allowed


def test_a_node_that_a_volume_names_by_another_label_needs_an_agent() -> None:
    nodes = [labelled("n1"), labelled("n2", **{"openebs.io/nodename": "second"})]
    volume = bound("v", [rule("openebs.io/nodename", "In", "second")])
    assert node_agents.without_agent([volume], nodes, [agent("n1")]) == {"n2": "v"}
    assert node_agents.without_agent([volume], nodes, [agent("n2")]) == {}


@pytest.mark.parametrize(("phase", "red"), [("Released", False), ("Available", False), ("Bound", True)])
def test_a_volume_whose_node_is_gone_counts_while_it_is_bound(phase: str, red: bool) -> None:
    gone = bound("v", [rule("kubernetes.io/hostname", "In", "n9")], phase=phase)
    assert node_agents.without_agent([gone], NODES, []) == ({node_agents.NO_NODE: "v"} if red else {})


def test_a_volume_of_several_nodes_is_where_it_is_mounted() -> None:
    volume = bound("v", [rule(ZONE, "In", "a")])
    assert node_agents.without_agent([volume], ZONES, [agent("a1")], [user("a2")]) == {"a2": "v"}
    assert node_agents.without_agent([volume], ZONES, [agent("a1")], [user("a1")]) == {}
    assert node_agents.without_agent([volume], ZONES, [agent("a1")]) == {}, "nobody mounts it"
    assert node_agents.without_agent([volume], ZONES, [agent("b1")]) == {"a1": "v", "a2": "v"}


def test_an_affinity_goes_into_the_release_beside_the_agents_other_values() -> None:
    text = (ROOT / HELM_FILE).read_text()
    changed = with_affinity(text, "n1")
    values, before = (yaml.safe_load(one)["spec"]["values"]["nodeAgent"] for one in (changed, text))
    assert values.pop("affinity") == affinity_away_from("n1")
    assert values == before
    (rule,) = affinity_away_from("n1")["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][
        "nodeSelectorTerms"
    ][0]["matchExpressions"]
    assert (rule["operator"], rule["values"]) == ("NotIn", ["n1"])


@pytest.mark.parametrize("text", ["values: {}\n", "  nodeAgent:\n  nodeAgent:\n"])
def test_a_release_without_one_place_for_it_is_blocked(text: str) -> None:
    with pytest.raises(Blocked, match=r"sets nodeAgent \d times, not once"):
        with_affinity(text, "n1")


@pytest.mark.parametrize(
    ("mount", "source", "says"),
    [
        ({"mountPath": "/host_pods", "mountPropagation": "HostToContainer"}, {"hostPath": {"path": "/x"}}, ""),
        ({"mountPath": "/elsewhere"}, {"hostPath": {"path": "/x"}}, "does not mount /host_pods"),
        ({"mountPath": "/host_pods"}, {"hostPath": {"path": "/x"}}, "without HostToContainer"),
        ({"mountPath": "/host_pods", "mountPropagation": "HostToContainer"}, {"emptyDir": {}}, "something other"),
    ],
)
def test_a_wrong_mount_of_the_pods_is_red(mount: dict[str, str], source: dict[str, Any], says: str) -> None:
    spec: dict[str, Any] = {
        "containers": [{"name": "node-agent", "volumeMounts": [{"name": "h", **mount}]}],
        "volumes": [{"name": "h", **source}],
    }
    found = node_agents.mount_problem(agent("n1", **spec))
    assert says in found and bool(found) == bool(says)


def validations(*seconds: float, phase: str = "Available") -> list[Validation]:
    return [Validation(START + timedelta(seconds=s), phase) for s in seconds]


def test_validations_in_every_period() -> None:
    seen = judge(validations(0, 10, 21, 42, 50), FREQUENCY)
    assert (seen.periods, seen.missed, seen.longest) == (4, 0, timedelta(seconds=21))


def test_a_late_validation_is_red() -> None:
    assert judge(validations(0, 10, 33), FREQUENCY).missed == 1
    assert judge(validations(0, 100), FREQUENCY).missed == 4


def test_an_unavailable_location_is_red_however_punctual() -> None:
    assert judge([*validations(0, 10), *validations(20, phase="Unavailable")], FREQUENCY).missed == 1


def test_nothing_seen_is_no_period() -> None:
    assert judge([], FREQUENCY).periods == 0


@pytest.mark.parametrize(
    ("ready", "generation", "observed", "is_settled"),
    [("True", 2, 2, True), ("True", 2, 1, False), ("False", 2, 2, False), ("Unknown", 2, 2, False)],
)
def test_ready_counts_for_the_present_generation_only(
    ready: str, generation: int, observed: int, is_settled: bool
) -> None:
    condition = {"type": "Ready", "status": ready, "observedGeneration": observed}
    item = {"metadata": {"generation": generation}, "status": {"conditions": [condition]}}
    assert settled(item) is is_settled


@pytest.mark.parametrize(
    ("status", "problem"),
    [
        ({"conditions": [{"type": "Ready", "status": "True", "message": "stored artifact"}]}, ""),
        ({"conditions": [{"type": "Ready", "status": "False", "message": "connection refused"}]}, "connection refused"),
        ({}, "it has not fetched it yet"),
    ],
)
def test_a_source_that_cannot_be_fetched_says_why(status: dict[str, Any], problem: str) -> None:
    class Cluster:
        def require(self, *_: object) -> dict[str, Any]:
            return {"status": status}

    assert Flux(cast(Kubernetes, Cluster()), Timeouts(), "flux-system", "home").source_problem() == problem


def test_what_does_not_exist_is_not_settled() -> None:
    assert not settled(None) and not settled({"metadata": {"generation": 1}})
