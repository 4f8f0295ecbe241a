"""node-agent: where it runs, and what it sees of its node."""

from __future__ import annotations

from pytest_bdd import then, when

from acceptance.checks import agents
from acceptance.drivers.kinds import DAEMON_SET, NODE, VOLUME, Json, name_of
from acceptance.drivers.kubernetes import Kubernetes
from acceptance.drivers.velero import Velero
from acceptance.evidence.recorder import Evidence, Inconclusive
from acceptance.mending import untaint
from acceptance.settings import Environment
from fixtures.affinity import Affinity
from fixtures.agents import LostAgent, TaintedNode
from fixtures.scope import Scope
from fixtures.standard import Application
from fixtures.watchers import Vigil
from steps.faults import EXPECTED


@then("every node that carries a volume of the class has a ready node-agent")
def agents_everywhere(kubernetes: Kubernetes, velero: Velero, environment: Environment, evidence: Evidence) -> None:
    lacking = _without_agent(kubernetes, velero, environment)
    evidence.measure("nodes_without_agent", len(lacking), artefact=f"nodes without agent: {lacking}")


@then("every node-agent sees the pods of its node")
def agents_see_pods(kubernetes: Kubernetes, velero: Velero, evidence: Evidence) -> None:
    """By the mount, and by node-agent's own look at its start: the image has no shell to look again."""
    problems = [problem for agent in velero.agent_pods() if (problem := agents.mount_problem(agent))]
    for agent in velero.agent_pods():
        if agents.WRONG_FOLDER in kubernetes.logs(name_of(agent), velero.namespace, "node-agent"):
            problems.append(f"{name_of(agent)} says: {agents.WRONG_FOLDER}")
    evidence.measure("agents_blind", len(problems), artefact="\n".join(problems) or "all of them see their pods")


@then("the volume was backed up by the node-agent of its own node")
def backed_up_there(velero: Velero, application: Application, evidence: Evidence) -> None:
    volume_nodes = agents.nodes_of(application.workload.volume())
    used = {backup["spec"]["node"] for backup in velero.volume_backups(application.backup.name)}
    evidence.observe("node of volume and backup", ", ".join(sorted(used)))
    assert used and used <= volume_nodes, f"the volume is on {volume_nodes}, node-agent of {used} backed it up"


@when("the node of its volume is tainted and its node-agent ends", target_fixture="lost")
def agent_lost(application: Application, tainted: TaintedNode, vigil: Vigil) -> LostAgent:
    vigil.expect_restart()
    (node,) = agents.nodes_of(application.workload.volume())
    return tainted.lose_agent(node)


@when("the node of its volume keeps its node-agent", target_fixture="lost")
def agent_kept(application: Application) -> LostAgent:
    (node,) = agents.nodes_of(application.workload.volume())
    return LostAgent(node, "none")


@then("the DaemonSet calls itself complete")
def daemon_set_complete(kubernetes: Kubernetes, velero: Velero, evidence: Evidence) -> None:
    status = kubernetes.require(DAEMON_SET, "node-agent", velero.namespace)["status"]
    evidence.observe(
        "node-agents ready, of those that are wanted", f"{status['numberReady']}/{status['desiredNumberScheduled']}"
    )
    assert status["numberReady"] == status["desiredNumberScheduled"], status


@then("the node is seen to be without node-agent")
def agent_missed(
    kubernetes: Kubernetes, velero: Velero, environment: Environment, lost: LostAgent, evidence: Evidence
) -> None:
    lacking = _without_agent(kubernetes, velero, environment)
    evidence.refute("nodes_without_agent", len(lacking), artefact=f"nodes without agent: {lacking}")
    assert lost.node in lacking, lacking


@then("the node-agent is back once the taint is gone")
def agent_back(kubernetes: Kubernetes, tainted: TaintedNode, lost: LostAgent, evidence: Evidence) -> None:
    untaint(kubernetes, lost.node)
    evidence.observe("node-agent back", tainted.wait_agent(lost.node), "s")


@when("an affinity that keeps node-agent off the node of its volume is committed to Git", target_fixture="kept_off")
def affinity_committed(application: Application, affinity: Affinity, vigil: Vigil) -> str:
    """Its volume's node. The rollout replaces every node-agent."""
    vigil.expect_restart()
    (node,) = agents.nodes_of(application.workload.volume())
    affinity.keep_off(node)
    return node


@then("the node is named, with its volumes, as left out")
def left_out_named(
    kubernetes: Kubernetes,
    velero: Velero,
    environment: Environment,
    application: Application,
    kept_off: str,
    evidence: Evidence,
) -> None:
    lost = agents.left_out(_volumes(kubernetes, environment), kubernetes.list_all(NODE), velero.agent_pods())
    table = "\n".join(f"{node}: {', '.join(volumes)}" for node, volumes in lost.items())
    evidence.refute("nodes_without_agent", len(lost), artefact=table or "no node is left out")
    assert name_of(application.workload.volume()) in lost.get(kept_off, []), table


@then("a backup of the application fails for want of node-agent there")
def backup_without_agent(
    scope: Scope, velero: Velero, application: Application, kept_off: str, vigil: Vigil, evidence: Evidence
) -> None:
    vigil.allow_errors(f"not found in running state in node {kept_off}|{EXPECTED}")
    namespaces = [application.workload.namespace]
    backup = velero.backup(scope.backup_name("without"), labels=scope.labels, includedNamespaces=namespaces)
    lines = velero.log_lines(backup.name, kept_off)
    evidence.attach("log.txt", "\n".join(lines))
    evidence.observe("a backup of what is on that node", f"{backup.phase}, {backup.errors} errors")
    assert backup.phase == "PartiallyFailed" and lines, (backup.phase, lines)
    assert not velero.volume_backups(backup.name), "its volume was uploaded all the same"


def _without_agent(kubernetes: Kubernetes, velero: Velero, environment: Environment) -> dict[str, str]:
    volumes = _volumes(kubernetes, environment)
    return agents.without_agent(volumes, kubernetes.list_all(NODE), velero.agent_pods())


def _volumes(kubernetes: Kubernetes, environment: Environment) -> list[Json]:
    volumes = kubernetes.list_all(VOLUME)
    ours = [v for v in volumes if v["spec"].get("storageClassName") == environment.storage_class]
    if not ours:
        raise Inconclusive(f"there is no volume of the class {environment.storage_class} to look at")
    return ours
