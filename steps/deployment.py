"""node-agent on its nodes, restarts of the server, and an upgrade of Velero."""

from datetime import datetime

from pytest_bdd import given, then, when

from fixtures.applications.standard import Application
from fixtures.applications.workload import Workload
from fixtures.environment.cluster import TargetClients
from fixtures.environment.phrases import Recorder, holds, violated
from fixtures.environment.run_scope import Scope
from fixtures.environment.velero_health import VeleroHealth
from fixtures.faults.node_agents import AgentAffinity, TaintedNode
from fixtures.faults.outages import EXPECTED_ERRORS
from fixtures.gitops.flux import Upgrade
from velero_acceptance.checks import node_agents
from velero_acceptance.core.errors import Inconclusive
from velero_acceptance.corpus.uploaders import KOPIA, RESTIC
from velero_acceptance.drivers.kinds import DAEMON_SET, NODE, POD, VOLUME, Json, name_of, time_of
from velero_acceptance.drivers.kubernetes import Kubernetes
from velero_acceptance.drivers.velero import Operation, Velero
from velero_acceptance.evidence.recorder import Evidence
from velero_acceptance.target.fault_reverts import untaint


@then("every node with a volume of the storage class has a ready node-agent")
def agents_everywhere(target: TargetClients, evidence: Evidence) -> None:
    lacking = node_agents.without_agent(*_volumes_and_nodes(target))
    evidence.measure("nodes_without_agent", len(lacking), artefact=f"nodes without agent: {lacking}")


@then("every node-agent sees the pods of its node")
def agents_see_pods(kubernetes: Kubernetes, velero: Velero, evidence: Evidence) -> None:
    """Judged by the mount and by what node-agent logs when it starts: its image has no shell to look with."""
    problems = [problem for agent in velero.agent_pods() if (problem := node_agents.mount_problem(agent))]
    for agent in velero.agent_pods():
        if node_agents.WRONG_FOLDER in kubernetes.logs(name_of(agent), velero.namespace, "node-agent"):
            problems.append(f"{name_of(agent)} says: {node_agents.WRONG_FOLDER}")
    evidence.measure(
        "agents_without_pod_mounts", len(problems), artefact="\n".join(problems) or "every node-agent sees its pods"
    )


@then("the node-agent on the node of the volume backed it up")
def backed_up_by_local_agent(
    kubernetes: Kubernetes, velero: Velero, application: Application, evidence: Evidence
) -> None:
    volume_nodes = node_agents.nodes_of(application.workload.volume(), kubernetes.list_all(NODE))
    used = {backup["spec"]["node"] for backup in velero.volume_backups(application.backup.name)}
    evidence.observe("node of volume and backup", ", ".join(sorted(used)))
    assert used and used <= volume_nodes, f"the volume is on {volume_nodes}, node-agent of {used} backed it up"


@when("the node of its volume is tainted and loses its node-agent", target_fixture="lost_node")
def taint_node(
    kubernetes: Kubernetes, workload: Workload, tainted_node: TaintedNode, velero_health: VeleroHealth
) -> str:
    velero_health.expect_restart()
    (node,) = node_agents.nodes_of(workload.volume(), kubernetes.list_all(NODE))
    tainted_node.lose_agent(node)
    return node


@when("the node of its volume keeps its node-agent", target_fixture="lost_node")
def leave_node(kubernetes: Kubernetes, workload: Workload) -> str:
    (node,) = node_agents.nodes_of(workload.volume(), kubernetes.list_all(NODE))
    return node


@when("an affinity that keeps node-agent off the node of its volume is committed to Git", target_fixture="lost_node")
def commit_affinity(
    kubernetes: Kubernetes, workload: Workload, agent_affinity: AgentAffinity, velero_health: VeleroHealth
) -> str:
    """The rollout replaces every node-agent."""
    velero_health.expect_restart()
    (node,) = node_agents.nodes_of(workload.volume(), kubernetes.list_all(NODE))
    agent_affinity.keep_off(node)
    return node


@then("the DaemonSet reports all desired pods as ready")
def daemon_set_complete(kubernetes: Kubernetes, velero: Velero, evidence: Evidence) -> None:
    status = kubernetes.require(DAEMON_SET, "node-agent", velero.namespace)["status"]
    evidence.observe("ready and desired node-agents", f"{status['numberReady']}/{status['desiredNumberScheduled']}")
    assert status["numberReady"] == status["desiredNumberScheduled"], status


@then("the suite reports that node and its volumes as lacking a node-agent")
def lost_node_reported(target: TargetClients, workload: Workload, lost_node: str, evidence: Evidence) -> None:
    lost = node_agents.unreachable_nodes(*_volumes_and_nodes(target))
    table = "\n".join(f"{node}: {', '.join(volumes)}" for node, volumes in lost.items())
    evidence.expect_violation("nodes_without_agent", len(lost), artefact=table or "every node has its node-agent")
    assert name_of(workload.volume()) in lost.get(lost_node, []), table


@when("the taint is removed")
def remove_taint(kubernetes: Kubernetes, lost_node: str) -> None:
    untaint(kubernetes, lost_node)


@then("the node-agent of that node is ready again")
def agent_ready_again(tainted_node: TaintedNode, lost_node: str, evidence: Evidence) -> None:
    evidence.observe("node-agent back", tainted_node.wait_agent(lost_node), "s")


@when("the application is backed up while its node has no node-agent", target_fixture="backup")
def back_up_without_agent(
    scope: Scope, velero: Velero, workload: Workload, lost_node: str, velero_health: VeleroHealth
) -> Operation:
    velero_health.allow_errors(f"not found in running state in node {lost_node}|{EXPECTED_ERRORS}")
    name = scope.backup_name("without node-agent")
    return velero.backup(name, labels=scope.labels, includedNamespaces=[workload.namespace])


@then("the backup fails because no node-agent runs on that node")
def failed_without_agent(velero: Velero, backup: Operation, lost_node: str, evidence: Evidence) -> None:
    lines = velero.log_lines(backup.name, lost_node)
    evidence.attach("log.txt", "\n".join(lines))
    evidence.observe("backup of a volume on that node", f"{backup.phase}, {backup.errors} errors")
    assert backup.phase == "PartiallyFailed" and lines, (backup.phase, lines)
    assert not velero.volume_backups(backup.name), "its volume was uploaded nevertheless"


def _volumes_and_nodes(target: TargetClients) -> tuple[list[Json], list[Json], list[Json], list[Json]]:
    """The volumes of the storage class, the nodes, the pods of node-agent, and all pods."""
    volumes, nodes, pods = (target.kubernetes.list_all(kind) for kind in (VOLUME, NODE, POD))
    ours = [v for v in volumes if v["spec"].get("storageClassName") == target.environment.storage_class]
    if not ours:
        raise Inconclusive(f"there is no volume of the class {target.environment.storage_class} to look at")
    return ours, nodes, target.velero.agent_pods(), pods


@when("Velero is restarted", target_fixture="server_started")
def restart_velero(velero: Velero, velero_health: VeleroHealth) -> datetime:
    """Return when the new server container started, by the node's clock."""
    velero_health.expect_restart()
    # A server that starts does not know yet that the location is available.
    velero_health.allow_errors(r"available/unavailable/unknown: 0/0/1|is in unavailable state")
    pod = velero.restart()
    return time_of(pod["status"]["containerStatuses"][0]["state"]["running"]["startedAt"])


@then("Velero validates the location in time")
def location_validated(velero: Velero, server_started: datetime, evidence: Evidence) -> None:
    location = velero.wait_location("Available", validated_after=server_started)
    validated = time_of(location["status"]["lastValidationTime"])
    seconds = (validated - server_started).total_seconds()
    evidence.measure("s3_initialised", seconds, artefact=f"container started {server_started}, validated {validated}")


@then("the suite reports that Velero has not validated the location as Available")
def location_not_validated(velero: Velero, server_started: datetime, evidence: Evidence) -> None:
    """The old phase stays until the first validation, which must find the location Unavailable."""
    location = velero.wait_location("Unavailable", validated_after=server_started)
    evidence.expect_violation("s3_initialised", None, artefact=str(location["status"]))


@then(holds("the backup is stored in S3"))
@then(violated("the suite reports that the backup is not stored in S3"))
def backup_stored(record: Recorder, backup: Operation, target: TargetClients, evidence: Evidence) -> None:
    """It is Completed, and its tarball is in S3."""
    stored = backup.phase == "Completed" and bool(target.bucket.keys(target.backup_key(backup.name, ".tar.gz")))
    record(evidence, "write_probes_completed", int(stored), artefact=f"{backup.phase} {backup.reason()}")


@given("a Velero that backs up with restic, and a release that backs up with kopia")
def both_releases(upgrade: Upgrade) -> None:
    """Asked for first, so that a scenario that cannot run creates nothing."""


@when("Velero is upgraded through Git to the release that backs up with kopia")
def upgrade_velero(
    upgrade: Upgrade, application: Application, velero: Velero, velero_health: VeleroHealth, evidence: Evidence
) -> None:
    evidence.observe("backed up by", velero.image())
    assert _uploaders(velero, application.backup.name) == [RESTIC.name]
    velero_health.expect_restart()
    upgrade.commit()
    evidence.observe("restored by", velero.image())


@then("the next backup is Completed and was made with kopia")
def next_by_kopia(velero: Velero, next_backup: Operation, evidence: Evidence) -> None:
    backup = next_backup.require()
    assert _uploaders(velero, backup.name) == [KOPIA.name]
    evidence.measure("errors_reported", backup.errors, artefact=str(backup.status))


def _uploaders(velero: Velero, backup: str) -> list[str]:
    return [str(volume["spec"]["uploaderType"]) for volume in velero.volume_backups(backup)]
