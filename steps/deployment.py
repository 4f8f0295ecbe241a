"""node-agent: where it runs, and what it sees of its node."""

from __future__ import annotations

from datetime import datetime

from pytest_bdd import given, parsers, then, when

from fixtures.applications.standard import Application
from fixtures.environment.run_scope import Scope
from fixtures.environment.velero_health import VeleroHealth
from fixtures.faults.node_agents import AgentAffinity, RemovedAgent, TaintedNode
from fixtures.faults.outages import EXPECTED_ERRORS
from fixtures.gitops.upgrade import Upgrade
from velero_acceptance.checks import node_agents
from velero_acceptance.core.errors import Inconclusive
from velero_acceptance.core.settings import Environment
from velero_acceptance.corpus.uploaders import KOPIA, RESTIC
from velero_acceptance.drivers.kinds import DAEMON_SET, NODE, VOLUME, Json, name_of, time_of
from velero_acceptance.drivers.kubernetes import Kubernetes
from velero_acceptance.drivers.s3 import Bucket
from velero_acceptance.drivers.velero import Operation, Velero
from velero_acceptance.evidence.recorder import Evidence
from velero_acceptance.target.fault_reverts import untaint


@then("every node that carries a volume of the class has a ready node-agent")
def agents_everywhere(kubernetes: Kubernetes, velero: Velero, environment: Environment, evidence: Evidence) -> None:
    lacking = _without_agent(kubernetes, velero, environment)
    evidence.measure("nodes_without_agent", len(lacking), artefact=f"nodes without agent: {lacking}")


@then("every node-agent sees the pods of its node")
def agents_see_pods(kubernetes: Kubernetes, velero: Velero, evidence: Evidence) -> None:
    """By the mount, and by node-agent's own look at its start: the image has no shell to look again."""
    problems = [problem for agent in velero.agent_pods() if (problem := node_agents.mount_problem(agent))]
    for agent in velero.agent_pods():
        if node_agents.WRONG_FOLDER in kubernetes.logs(name_of(agent), velero.namespace, "node-agent"):
            problems.append(f"{name_of(agent)} says: {node_agents.WRONG_FOLDER}")
    evidence.measure(
        "agents_without_pod_mounts", len(problems), artefact="\n".join(problems) or "all of them see their pods"
    )


@then("the volume was backed up by the node-agent of its own node")
def backed_up_there(velero: Velero, application: Application, evidence: Evidence) -> None:
    volume_nodes = node_agents.nodes_of(application.workload.volume())
    used = {backup["spec"]["node"] for backup in velero.volume_backups(application.backup.name)}
    evidence.observe("node of volume and backup", ", ".join(sorted(used)))
    assert used and used <= volume_nodes, f"the volume is on {volume_nodes}, node-agent of {used} backed it up"


@when("the node of its volume is tainted and its node-agent ends", target_fixture="lost")
def agent_lost(application: Application, tainted_node: TaintedNode, velero_health: VeleroHealth) -> RemovedAgent:
    velero_health.expect_restart()
    (node,) = node_agents.nodes_of(application.workload.volume())
    return tainted_node.lose_agent(node)


@when("the node of its volume keeps its node-agent", target_fixture="lost")
def agent_kept(application: Application) -> RemovedAgent:
    (node,) = node_agents.nodes_of(application.workload.volume())
    return RemovedAgent(node, "none")


@then("the DaemonSet calls itself complete")
def daemon_set_complete(kubernetes: Kubernetes, velero: Velero, evidence: Evidence) -> None:
    status = kubernetes.require(DAEMON_SET, "node-agent", velero.namespace)["status"]
    evidence.observe(
        "node-agents ready, of those that are wanted", f"{status['numberReady']}/{status['desiredNumberScheduled']}"
    )
    assert status["numberReady"] == status["desiredNumberScheduled"], status


@then("the node is seen to be without node-agent")
def agent_missed(
    kubernetes: Kubernetes, velero: Velero, environment: Environment, lost: RemovedAgent, evidence: Evidence
) -> None:
    lacking = _without_agent(kubernetes, velero, environment)
    evidence.expect_violation("nodes_without_agent", len(lacking), artefact=f"nodes without agent: {lacking}")
    assert lost.node in lacking, lacking


@then("the node-agent is back once the taint is gone")
def agent_back(kubernetes: Kubernetes, tainted_node: TaintedNode, lost: RemovedAgent, evidence: Evidence) -> None:
    untaint(kubernetes, lost.node)
    evidence.observe("node-agent back", tainted_node.wait_agent(lost.node), "s")


@when("an affinity that keeps node-agent off the node of its volume is committed to Git", target_fixture="kept_off")
def affinity_committed(application: Application, agent_affinity: AgentAffinity, velero_health: VeleroHealth) -> str:
    """Its volume's node. The rollout replaces every node-agent."""
    velero_health.expect_restart()
    (node,) = node_agents.nodes_of(application.workload.volume())
    agent_affinity.keep_off(node)
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
    lost = node_agents.unreachable_nodes(
        _volumes(kubernetes, environment), kubernetes.list_all(NODE), velero.agent_pods()
    )
    table = "\n".join(f"{node}: {', '.join(volumes)}" for node, volumes in lost.items())
    evidence.expect_violation("nodes_without_agent", len(lost), artefact=table or "no node is left out")
    assert name_of(application.workload.volume()) in lost.get(kept_off, []), table


@then("a backup of the application fails for want of node-agent there")
def backup_without_agent(
    scope: Scope,
    velero: Velero,
    application: Application,
    kept_off: str,
    velero_health: VeleroHealth,
    evidence: Evidence,
) -> None:
    velero_health.allow_errors(f"not found in running state in node {kept_off}|{EXPECTED_ERRORS}")
    namespaces = [application.workload.namespace]
    backup = velero.backup(scope.backup_name("without"), labels=scope.labels, includedNamespaces=namespaces)
    lines = velero.log_lines(backup.name, kept_off)
    evidence.attach("log.txt", "\n".join(lines))
    evidence.observe("a backup of what is on that node", f"{backup.phase}, {backup.errors} errors")
    assert backup.phase == "PartiallyFailed" and lines, (backup.phase, lines)
    assert not velero.volume_backups(backup.name), "its volume was uploaded all the same"


def _without_agent(kubernetes: Kubernetes, velero: Velero, environment: Environment) -> dict[str, str]:
    volumes = _volumes(kubernetes, environment)
    return node_agents.without_agent(volumes, kubernetes.list_all(NODE), velero.agent_pods())


def _volumes(kubernetes: Kubernetes, environment: Environment) -> list[Json]:
    volumes = kubernetes.list_all(VOLUME)
    ours = [v for v in volumes if v["spec"].get("storageClassName") == environment.storage_class]
    if not ours:
        raise Inconclusive(f"there is no volume of the class {environment.storage_class} to look at")
    return ours


# Velero's own pods: restarts, and what they prove of S3.


@when("Velero is restarted", target_fixture="server_started")
def velero_restarted(velero: Velero, velero_health: VeleroHealth) -> datetime:
    """Returns the moment the new server container started, by the node's clock."""
    velero_health.expect_restart()
    # At its start the server has no location it knows to be available.
    velero_health.allow_errors(r"available/unavailable/unknown: 0/0/1|is in unavailable state")
    return container_started(velero.restart())


@then("the location was validated anew in time")
def validated_anew(velero: Velero, server_started: datetime, evidence: Evidence) -> None:
    location = velero.wait_location("Available", validated_after=server_started)
    validated = time_of(location["status"]["lastValidationTime"])
    seconds = (validated - server_started).total_seconds()
    evidence.measure("s3_initialised", seconds, artefact=f"container started {server_started}, validated {validated}")


@then("a small backup arrives in S3")
def small_backup_arrives(
    scope: Scope, velero: Velero, bucket: Bucket, environment: Environment, evidence: Evidence
) -> None:
    backup, arrived = _probe(scope, velero, bucket, environment)
    evidence.measure("write_probes_completed", int(arrived), artefact=f"{backup.phase} {backup.reason()}")


@then("no new validation calls the location available")
def not_available(velero: Velero, server_started: datetime, evidence: Evidence) -> None:
    """The stale phase stays until the first validation, which must be Unavailable."""
    location = velero.wait_location("Unavailable", validated_after=server_started)
    evidence.expect_violation("s3_initialised", None, artefact=str(location["status"]))


@then("a small backup does not arrive in S3")
def small_backup_lost(
    scope: Scope, velero: Velero, bucket: Bucket, environment: Environment, evidence: Evidence
) -> None:
    backup, arrived = _probe(scope, velero, bucket, environment)
    evidence.expect_violation("write_probes_completed", int(arrived), artefact=f"{backup.phase} {backup.reason()}")


def _probe(scope: Scope, velero: Velero, bucket: Bucket, environment: Environment) -> tuple[Operation, bool]:
    """A backup of an empty namespace, and whether it is Completed and its tarball in S3."""
    namespace = scope.namespace("probe")
    backup = velero.backup(scope.backup_name("probe"), labels=scope.labels, includedNamespaces=[namespace])
    keys = bucket.keys(environment.key("backups", backup.name, ""))
    return backup, backup.phase == "Completed" and any(key.endswith(".tar.gz") for key in keys)


def container_started(pod: Json) -> datetime:
    """When the first container of a running pod started."""
    return time_of(pod["status"]["containerStatuses"][0]["state"]["running"]["startedAt"])


# Velero of another release, and what an older one has left to it.


@given("a Velero that backs up with restic, and one with kopia at hand")
def both_at_hand(upgrade: Upgrade) -> None:
    """Asked for first, so that a scenario that cannot be run makes nothing."""


@given("Velero is upgraded through Git, to the release that backs up with kopia")
def upgraded(
    upgrade: Upgrade, application: Application, velero: Velero, velero_health: VeleroHealth, evidence: Evidence
) -> None:
    evidence.observe("backed up by", velero.image())
    assert _uploaders(velero, application.backup.name) == [RESTIC.name]
    velero_health.expect_restart()
    upgrade.commit()
    evidence.observe("restored by", velero.image())


@then(parsers.parse('the next backup of "{alias}" is Completed, and kopia\'s'))
def next_by_kopia(scope: Scope, velero: Velero, evidence: Evidence, alias: str) -> None:
    name = scope.backup_name("next")
    backup = velero.backup(name, labels=scope.labels, includedNamespaces=[scope.name(alias)]).require()
    assert _uploaders(velero, name) == [KOPIA.name]
    evidence.measure("errors_reported", backup.errors, artefact=str(backup.status))


def _uploaders(velero: Velero, backup: str) -> list[str]:
    return [str(volume["spec"]["uploaderType"]) for volume in velero.volume_backups(backup)]
