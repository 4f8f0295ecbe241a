"""Faults on fakes: what is denied, cut, tainted and killed, at which moment, and that all of it is reverted."""

from __future__ import annotations

import gzip
import json
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from fixtures.environment.cluster import TargetClients
from fixtures.environment.run_scope import Scope
from fixtures.faults import long_outage, node_agents, outages
from fixtures.faults.long_outage import LongOutage, Outage, SecondVelero, _moves
from fixtures.faults.node_agents import AgentAffinity, TaintedNode
from fixtures.faults.outages import METADATA, REPOSITORY, VOLUME, AccessDenial, BackupFaults
from fixtures.gitops.flux import HELM_FILE
from fixtures.storage.credentials import DeployedKeys, S3Keys
from tests.fake_cluster import FakeBucket, FakeCluster, make_target, ready
from tests.fake_systems import FakeCheckout, FakeLink, FakeUsers
from tests.fake_velero import NODE, agent_pod, named
from tests.fixture_functions import ScenarioFailed, fail, fixture, set_up
from velero_acceptance.core.errors import Blocked, Inconclusive
from velero_acceptance.core.redaction import Redactor
from velero_acceptance.corpus.manifest import Corpus
from velero_acceptance.drivers import kinds
from velero_acceptance.drivers.kinds import Json
from velero_acceptance.drivers.velero import REPOSITORY_SECRET, Operation, Velero

KEYS = DeployedKeys("cloud-credentials", S3Keys("velero", "very-secret"), frozenset())


@pytest.fixture
def users() -> FakeUsers:
    return FakeUsers()


# -- S3 ---------------------------------------------------------------------------------------


def test_writes_are_denied_below_the_prefix_and_lifted_when_the_scenario_fails(
    target: TargetClients, scope: Scope, users: FakeUsers
) -> None:
    values = {"target": target, "s3_administrator": users, "deployed_keys": KEYS, "scope": scope}
    with pytest.raises(ScenarioFailed), fixture(outages, "access_denial", **values) as denial:
        fail(denial.deny("data", "n"), denial.deny("metadata", "n"))
    name = target.environment.bucket
    denied = [f"{name}/velero/restic/n/data/*", f"{name}/velero/backups/*"]
    assert users.done[:2] == [f"deny {resource}" for resource in denied]
    assert not users.denied and len(users.done) == 4


def test_one_denial_is_lifted_while_others_stay(target: TargetClients, scope: Scope, users: FakeUsers) -> None:
    denial = AccessDenial(target, users, KEYS, scope)
    for schedule in ("a", "b", "a"):
        denial.deny_writes(f"backups/{schedule}-*")
    assert len(users.denied) == 2, "the same keys are denied by the same policy"
    denial.lift("backups/a-*")
    denial.lift("backups/none-*")
    (left,) = users.denied.values()
    assert left.startswith("velero s3:PutObject ") and left.endswith("/velero/backups/b-*")


@pytest.mark.parametrize("broken", [True, False])
def test_only_a_link_that_the_scenario_broke_is_healed(broken: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    link = FakeLink()
    monkeypatch.setattr(outages, "Toxiproxy", lambda *_: link)
    probe = SimpleNamespace(environment=make_target(toxiproxy="http://toxiproxy").environment)
    with pytest.raises(ScenarioFailed), fixture(outages, "toxiproxy", probe=probe) as proxy:
        fail(proxy.cut() if broken else None)
    assert link.done == (["cut", "heal"] if broken else [])


# -- backups to which something happens -------------------------------------------------------


def put_volume(cluster: FakeCluster, phase: str) -> None:
    metadata = {**named("v"), "labels": {"velero.io/backup-name": "b"}}
    cluster.put(kinds.POD_VOLUME_BACKUP, {"metadata": metadata, "spec": {"node": NODE}, "status": {"phase": phase}})


def put_repository(cluster: FakeCluster) -> None:
    metadata = {**named("repo"), "labels": {"velero.io/volume-namespace": "n"}}
    cluster.put(kinds.BACKUP_REPOSITORY, {"metadata": metadata})


def names(cluster: FakeCluster) -> Scope:
    """A scope in which the backup of "source" is b and its namespace is n."""
    return Scope("run", "scenario", cluster, _names={"backups source": "b", "source": "n"})


def end(cluster: FakeCluster, phase: str = "PartiallyFailed") -> None:
    cluster.change(kinds.BACKUP, "b", "velero", {"status": {"phase": phase}})


@pytest.mark.parametrize(
    ("moment", "kind"), [(REPOSITORY, "BackupRepository"), (VOLUME, "InProgress"), (METADATA, "Completed")]
)
def test_something_happens_at_its_moment(moment: str, kind: str, cluster: FakeCluster) -> None:
    if moment == REPOSITORY:
        cluster.later.append(partial(put_repository, cluster))
    for phase in ("InProgress", "Completed") if moment == METADATA else ("InProgress",):
        cluster.later.append(partial(put_volume, cluster, phase))
    cluster.later.append(partial(end, cluster))
    happened: list[Json] = []
    found = BackupFaults(make_target(cluster)).backup(names(cluster), "source", happened.append, moment)
    assert found.phase == "PartiallyFailed" and len(happened) == 1
    assert kind in (happened[0].get("status", {}).get("phase"), "BackupRepository")


@pytest.mark.parametrize(("moment", "ended"), [(VOLUME, partial(put_volume, phase="Completed")), (METADATA, None)])
def test_a_backup_that_was_faster_than_the_fault_is_inconclusive(moment: str, ended: Any, cluster: FakeCluster) -> None:
    cluster.later.append(partial(put_volume, cluster, "InProgress" if moment == VOLUME else "Completed"))

    def too_late(_: Json) -> None:
        (ended or partial(end, phase="Completed"))(cluster)

    with pytest.raises(Inconclusive, match=f"the {moment} of b was over before anything happened to it"):
        BackupFaults(make_target(cluster)).backup(names(cluster), "source", too_late, moment)


def test_only_the_node_agent_of_the_volume_s_node_is_killed(cluster: FakeCluster) -> None:
    cluster.put(kinds.POD, agent_pod("agent-2", "node-2"))
    BackupFaults(make_target(cluster)).end_agent({"spec": {"node": "node-2"}})
    assert cluster.written() == ["DELETE pods/agent-2"]


def test_messages_are_velero_s_own_from_objects_and_bucket(cluster: FakeCluster) -> None:
    put_volume(cluster, "Failed")
    cluster.change(kinds.POD_VOLUME_BACKUP, "v", "velero", {"status": {"message": "connection refused"}})
    key = "backups/b/b-results.gz"
    bucket = FakeBucket()
    faults = BackupFaults(make_target(cluster, bucket))
    backup = Operation({"metadata": {"name": "b"}, "status": {"failureReason": "it failed"}})
    assert faults.messages(backup) == ["it failed", "connection refused"]
    bucket.put(faults._target.key(key), gzip.compress(b'{"errors": 1}'))
    assert faults.messages(backup)[-1] == "{'errors': 1}"


def test_only_a_repository_that_is_not_ready_is_retried(cluster: FakeCluster) -> None:
    put_repository(cluster)
    status = {"phase": "Ready", "lastMaintenanceTime": "2026-11-23T12:00:00Z"}
    cluster.later.append(lambda: cluster.change(kinds.BACKUP_REPOSITORY, "repo", "velero", {"status": status}))
    faults = BackupFaults(make_target(cluster))
    faults.retry_repository("n")
    faults.retry_repository("n")
    assert cluster.written() == ["PATCH backuprepositories/repo"]


# -- node-agents ------------------------------------------------------------------------------


def replace_agent(cluster: FakeCluster, pod: Json) -> None:
    """The DaemonSet makes a new pod, unless the node is tainted."""
    node = pod["spec"]["nodeName"]
    if not cluster.require(kinds.NODE, node)["spec"].get("taints"):
        cluster.later.append(partial(cluster.put, kinds.POD, ready(agent_pod(f"new on {node}", node))))


def test_a_tainted_node_gets_its_agent_back_when_the_scenario_fails(
    target: TargetClients, scope: Scope, cluster: FakeCluster
) -> None:
    foreign = {"key": "dedicated", "effect": "NoSchedule"}
    for node in (NODE, "node-2"):
        cluster.put(kinds.NODE, {"metadata": {"name": node}, "spec": {"taints": [foreign]} if node != NODE else {}})

    def untainted(node: Json) -> None:
        if not node["spec"].get("taints"):
            replace_agent(cluster, agent_pod("x", node["metadata"]["name"]))

    cluster.on("PATCH", kinds.NODE, untainted)
    with pytest.raises(ScenarioFailed), fixture(node_agents, "tainted_node", target=target, scope=scope) as node:
        fail(node.lose_agent(NODE))
    assert cluster.written()[:2] == [f"PATCH nodes/{NODE}", "DELETE pods/agent-1"]
    assert "taints" not in cluster.require(kinds.NODE, NODE)["spec"]
    assert [pod["metadata"]["name"] for pod in target.velero.agent_pods()] == [f"new on {NODE}"]
    assert cluster.require(kinds.NODE, "node-2")["spec"]["taints"] == [foreign]


def test_an_affinity_is_committed_and_the_node_is_awaited_after_the_revert(
    target: TargetClients, cluster: FakeCluster, scope: Scope
) -> None:
    done: list[str] = []
    checkout = FakeCheckout({HELM_FILE: "spec:\n  values:\n    nodeAgent:\n      podVolumePath: /x\n"}, done)
    affinity: Json = {"spec": {"template": {"spec": {"affinity": {}}}}}
    cluster.later.append(lambda: cluster.change(kinds.DAEMON_SET, "node-agent", "velero", affinity))
    cluster.later.append(lambda: cluster.drop(kinds.POD, "agent-1", "velero"))
    node = TaintedNode(target, scope)
    values = {"tainted_node": node, "changes": checkout, "target": target}
    set_up(node_agents, "agent_affinity", **values).keep_off(NODE)
    assert "NotIn" in checkout.texts[HELM_FILE] and done == [f"commit node-agent keeps off {NODE}"]
    cluster.later.append(lambda: cluster.put(kinds.POD, ready(agent_pod("agent-3"))))
    node.undo()
    assert len(target.velero.agent_pods()) == 1 and not cluster.later


def test_a_release_without_node_agent_blocks(target: TargetClients, scope: Scope) -> None:
    checkout = FakeCheckout({HELM_FILE: "spec: {}\n"}, [])
    with pytest.raises(Blocked, match="sets nodeAgent 0 times, not once"):
        AgentAffinity(target, checkout, TaintedNode(target, scope)).keep_off(NODE)


# -- a second Velero and its outage -----------------------------------------------------------


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is done to the link and the users of S3."""
    found: list[str] = []
    monkeypatch.setattr(long_outage, "Toxiproxy", lambda *_: FakeLink(found))
    monkeypatch.setattr(long_outage, "Users", lambda *_: FakeUsers(found))
    return found


@pytest.fixture
def deployed(target: TargetClients) -> TargetClients:
    place = target.environment.model_copy(update={"toxiproxy": "http://toxiproxy", "proxy": "main"})
    return target.with_settings(environment=place)


def follow_deployment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Velero in any namespace becomes healthy, and validates its location."""
    monkeypatch.setattr(Velero, "wait_healthy", lambda _: None)
    monkeypatch.setattr(Velero, "wait_location", lambda self, *_, **__: self.location())


def test_a_second_velero_has_its_own_user_prefix_and_link(
    deployed: TargetClients, scope: Scope, cluster: FakeCluster, done: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    follow_deployment(monkeypatch)
    redactor = Redactor()
    second = SecondVelero(deployed, KEYS, scope, redactor)
    second.deploy()
    namespace = second.target.namespace
    location = second.target.velero.location()
    assert location["spec"]["objectStorage"]["prefix"] == namespace == second.target.environment.prefix
    assert location["spec"]["config"]["s3Url"] == "https://s3:9443"
    assert location["spec"]["validationFrequency"] == "24h", "whose validations would be counted as the deployed ones"
    assert deployed.velero.location()["spec"]["objectStorage"]["prefix"] == "velero", "the deployed one is untouched"
    cloud = cluster.require(kinds.SECRET, KEYS.secret, namespace)["stringData"]["cloud"]
    keys = S3Keys.parse(cloud)
    assert keys.secret_key not in redactor.text(cloud) and keys.access_key in done[0]
    assert cluster.require(kinds.SECRET, REPOSITORY_SECRET, namespace)["stringData"].keys() == {"repository-password"}
    (binding,) = scope.created.cluster_role_bindings
    subject = cluster.require(kinds.CLUSTER_ROLE_BINDING, binding)["subjects"][0]
    assert (subject["name"], subject["namespace"]) == ("velero", namespace) and namespace in scope.created.namespaces
    second.resume_validation()
    assert "validationFrequency" not in second.target.velero.location()["spec"]
    second.close()
    assert done[-2:] == ["remove", f"remove user {keys.access_key}"]


def test_the_outage_hits_one_backup_and_the_next_one_follows(
    deployed: TargetClients,
    scope: Scope,
    cluster: FakeCluster,
    done: list[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    follow_deployment(monkeypatch)
    cluster.outputs = lambda _: json.dumps({}).encode()
    oracle = SimpleNamespace(manifest=lambda *_: "restored", repository=lambda _: SimpleNamespace(check=lambda: ""))
    monkeypatch.setattr(long_outage, "Oracle", lambda *_: oracle)
    corpus = cast(Corpus, SimpleNamespace(recipe=(), manifest=lambda: SimpleNamespace(compare=lambda other: other)))
    values = {
        "target": deployed,
        "deployed_keys": KEYS,
        "toxiproxy": None,
        "s3_administrator": None,
        "oracle_program": Path("/restic"),
        "corpus": corpus,
        "scope": scope,
        "run": SimpleNamespace(redactor=Redactor()),
        "tmp_path": tmp_path,
    }
    with fixture(long_outage, "long_outage", **values) as found:
        assert isinstance(found, LongOutage)
        simulate(cluster, scope, found._target.namespace)
        outage = found.run()
    assert isinstance(outage, Outage)
    assert outage.backup.phase == "PartiallyFailed" and outage.following.phase == "Completed"
    assert "S3 was away" in outage.messages and outage.volumes_following == ["Completed"]
    assert outage.kept == cast(Any, "restored") and outage.damage == ""
    link = [entry for entry in done if "user" not in entry]
    assert link == [f"add {scope.name('link to S3')}", "throttle 400", "cut", "heal", "remove"]


def simulate(cluster: FakeCluster, scope: Scope, namespace: str) -> None:
    """A Velero in *namespace* whose second backup is hit."""
    volumes = {"status": {"phase": "InProgress", "progress": {"bytesDone": 1}}, "spec": {"node": NODE}}

    def back_up(backup: Json) -> None:
        name = backup["metadata"]["name"]
        hit = name == scope.name("backup of the long outage")
        labels = {"labels": {"velero.io/backup-name": name}}
        volume = {"metadata": {"name": f"v-{name}", "namespace": namespace, **labels}, **volumes}
        ended = {**volume, "status": {"phase": "Failed", "message": "S3 was away"} if hit else {"phase": "Completed"}}
        phase = {"status": {"phase": "PartiallyFailed" if hit else "Completed"}}
        cluster.later.append(partial(cluster.put, kinds.POD_VOLUME_BACKUP, volume))
        cluster.later.append(partial(cluster.put, kinds.POD_VOLUME_BACKUP, ended))
        cluster.later.append(partial(cluster.change, kinds.BACKUP, name, namespace, phase))

    cluster._reactions = [r for r in cluster._reactions if r[1] != kinds.BACKUP]
    cluster.on("POST", kinds.BACKUP, back_up)


@pytest.mark.parametrize(
    ("status", "moves"),
    [
        (None, False),
        ({"phase": "InProgress"}, False),
        ({"phase": "InProgress", "progress": {"bytesDone": 1}}, True),
        ({"phase": "Completed", "progress": {"bytesDone": 1}}, False),
    ],
)
def test_a_volume_moves_once_bytes_have_crossed_the_link(status: Json | None, moves: bool) -> None:
    assert _moves({"status": status}) is moves
