"""Applications on a fake cluster: which pod is read, what is created, restored and captured, and what is BLOCKED."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from fixtures.applications import live_writes, repository_oracle, standard, workload
from fixtures.applications.excluded_volumes import ORDINARY, SKIPPED, deploy_claims, pod_spec
from fixtures.applications.live_writes import LiveApplication
from fixtures.applications.packet_capture import PacketCaptures
from fixtures.applications.repository_oracle import Oracle
from fixtures.applications.second_backup import FIRST, SECOND, ChangedApplication
from fixtures.applications.standard import Application, Applications, Restores, Standard
from fixtures.applications.workload import APP, Workload, Workloads
from fixtures.environment.cluster import TargetClients
from fixtures.environment.run_scope import Scope
from tests.fake_cluster import RUN_ID, FakeBucket, FakeCluster, make_target
from tests.fake_velero import FakeVelero
from tests.fixture_functions import set_up
from velero_acceptance.checks import transport
from velero_acceptance.core.errors import AcceptanceError, Blocked
from velero_acceptance.core.settings import Target
from velero_acceptance.corpus.manifest import Corpus
from velero_acceptance.drivers import kinds
from velero_acceptance.drivers.kinds import Json
from velero_acceptance.drivers.minio_trace import S3Trace, TracedRequest
from velero_acceptance.drivers.velero import REPOSITORY_SECRET, Operation
from velero_acceptance.preconditions.probes import TargetProbe

EMPTY_MANIFEST = json.dumps({"root": {"path": ".", "type": "directory", "mode": 493, "uid": 0, "gid": 0, "mtime": 0}})


def pod(name: str, phase: str = "Running", **metadata: object) -> Json:
    labels = {"labels": {"app": APP}}
    return {"metadata": {"name": name, "namespace": "n", **labels, **metadata}, "status": {"phase": phase}}


# -- workloads --------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "secrets"), [(Target.CURRENT, []), (Target.LAB, ["secrets/settings"])])
def test_a_workload_brings_claim_settings_service_and_deployment(
    target: TargetClients, cluster: FakeCluster, kind: Target, secrets: list[str]
) -> None:
    target = target.with_settings(environment=target.environment.model_copy(update={"target": kind}))
    Workload("n", target, storage="3Gi", labels={"run": "r"}).deploy()
    assert cluster.written("POST") == [
        "persistentvolumeclaims/data",
        "configmaps/settings",
        "services/corpus",
        *secrets,
        "deployments/corpus",
    ]
    claim, app = (cluster.require(kind, name, "n") for kind, name in ((kinds.CLAIM, "data"), (kinds.DEPLOYMENT, APP)))
    assert claim["spec"]["storageClassName"] == "local" and claim["metadata"]["labels"] == {"run": "r"}
    assert claim["spec"]["resources"] == {"requests": {"storage": "3Gi"}}
    assert app["metadata"]["labels"] == {"app": APP, "run": "r"}
    (container,) = app["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "image" and container["volumeMounts"] == [{"name": "data", "mountPath": "/data"}]


def test_a_bare_workload_is_a_deployment_and_its_claim(target: TargetClients, cluster: FakeCluster) -> None:
    Workload("n", target, name="guest", claim="guest", bare=True).deploy()
    assert cluster.written("POST") == ["persistentvolumeclaims/guest", "deployments/guest"]
    (container,) = cluster.require(kinds.DEPLOYMENT, "guest", "n")["spec"]["template"]["spec"]["containers"]
    assert container["name"] == "guest", "commands run in the container of the workload's name"


def test_a_volume_that_is_not_local_blocks(target: TargetClients, velero: FakeVelero) -> None:
    velero.volume = {"hostPath": {"path": "/tmp"}}
    with pytest.raises(Blocked, match="makes volumes of hostPath"):
        Workload("n", target).deploy()


def test_a_command_runs_in_a_pod_that_runs_and_stays(target: TargetClients, cluster: FakeCluster) -> None:
    cluster.put(kinds.POD, pod("old", deletionTimestamp="2026-01-01T00:00:00Z"))
    cluster.put(kinds.POD, pod("pending", "Pending"))
    with pytest.raises(AcceptanceError, match="no pod of the workload runs in n"):
        Workload("n", target).run("read", "/data")
    cluster.put(kinds.POD, pod("new"))
    Workload("n", target).write_file("late")
    assert cluster.executed == [("new", "/corpus", "touch", "/data/late")]


def test_annotations_go_to_the_pods_not_to_the_template(target: TargetClients, cluster: FakeCluster) -> None:
    cluster.put(kinds.POD, pod("a"))
    Workload("n", target).annotate({"hook": "x"})
    assert cluster.written() == ["PATCH pods/a"]
    assert cluster.require(kinds.POD, "a", "n")["metadata"]["annotations"] == {"hook": "x"}


def test_pods_go_and_the_claim_stays(target: TargetClients, cluster: FakeCluster) -> None:
    deployed = Workload("n", target).deploy()
    deployed.remove_pods()
    assert deployed.pods() == [] and cluster.get(kinds.CLAIM, "data", "n")


def test_a_claim_without_a_volume_is_an_error(target: TargetClients, cluster: FakeCluster) -> None:
    cluster.put(kinds.CLAIM, {"metadata": {"name": "data", "namespace": "n"}, "spec": {}})
    with pytest.raises(AcceptanceError, match="the claim data in n has no volume"):
        Workload("n", target).volume()


def test_the_corpus_is_of_this_run_and_the_torture_corpus_has_more(target: TargetClients) -> None:
    run = SimpleNamespace(settings=SimpleNamespace(run_id=RUN_ID, sparse_bytes=4096))
    values = {"corpus_program": Path("/corpus"), "uploader": target.uploader, "run": run}
    corpus, torture = (set_up(workload, name, **values) for name in ("corpus", "torture"))
    assert (
        corpus.seed == torture.seed == RUN_ID and "-sparse=4096" in torture.recipe and "-torture" not in corpus.recipe
    )


# -- claims that Velero excludes --------------------------------------------------------------


def test_only_the_init_container_mounts_the_unmounted_claim() -> None:
    spec = pod_spec(["on-host-path", "unmounted", "opted-out"], "image")
    (container,), inits = spec["containers"], spec["initContainers"]
    assert [mount["name"] for mount in container["volumeMounts"]] == ["on-host-path", "opted-out"]
    assert [init["volumeMounts"][0]["name"] for init in inits] == ["unmounted"]
    assert [mount["readOnly"] for mount in container["volumeMounts"]] == [True, False]
    assert len(spec["volumes"]) == 3


def test_claims_and_pod_are_created_and_the_volume_is_removed_with_the_scope(
    target: TargetClients, scope: Scope, cluster: FakeCluster
) -> None:
    claims = deploy_claims(target, scope, "n", SKIPPED)
    classes = {claim["metadata"]["name"]: claim["spec"]["storageClassName"] for claim in claims}
    assert classes == {name: "" if name == "on-host-path" else "local" for name in SKIPPED}
    labels = cluster.require(kinds.DEPLOYMENT, "pod-excluded", "n")["spec"]["template"]["metadata"]["labels"]
    assert labels == {"app": "pod-excluded", "velero.io/exclude-from-backup": "true"}
    assert cluster.require(kinds.DEPLOYMENT, "scaled-down", "n")["spec"]["replicas"] == 0
    (name,) = scope.created.volumes
    assert cluster.require(kinds.VOLUME, name)["spec"]["claimRef"] == {"namespace": "n", "name": "on-host-path"}
    template = cluster.require(kinds.DEPLOYMENT, "excluded-volumes", "n")["spec"]["template"]
    assert template["metadata"]["annotations"] == {"backup.velero.io/backup-volumes-excludes": "opted-out"}


def test_an_ordinary_claim_is_not_empty(target: TargetClients, scope: Scope) -> None:
    deploy_claims(target, scope, "n", [ORDINARY])
    assert [init["args"] for init in pod_spec([ORDINARY], "image")["initContainers"]] == [["touch", "/ordinary/file"]]
    assert not scope.created.volumes


# -- the standard application -----------------------------------------------------------------


@pytest.fixture
def applications(target: TargetClients, cluster: FakeCluster) -> Applications:
    cluster.outputs = lambda _: b"{}"
    return Applications(Workloads(target), Corpus(Path("/corpus"), RUN_ID))


@pytest.fixture
def probe(target: TargetClients) -> TargetProbe:
    parts = (target.environment, target.kubernetes, target.velero, target.timeouts, cast(Any, None))
    return TargetProbe(*parts)


class Trace:
    """A trace of S3 that has seen one request."""

    at = TracedRequest(datetime.now(UTC), "GET", "/b.tar.gz", 200, "key")

    def __init__(self, *_: object) -> None:
        pass

    def __enter__(self) -> Trace:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def wait_for(self, method: str, suffix: str, *, timeout: float) -> TracedRequest:
        assert (method, suffix[-7:]) == ("GET", ".tar.gz") and timeout > 0
        return self.at


@pytest.mark.parametrize("readable", [True, False])
def test_the_standard_application_is_restored_with_s3_traced_where_that_is_possible(
    readable: bool,
    applications: Applications,
    probe: TargetProbe,
    target: TargetClients,
    scope: Scope,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(S3Trace, "readable", lambda _: readable)
    monkeypatch.setattr(standard, "S3Trace", Trace)
    recorded: list[str] = []

    class Packets:
        @contextmanager
        def record(self, name: str) -> Iterator[None]:
            recorded.append(name)
            yield

    shared = Standard(scope, applications, Restores(Workloads(target), probe), cast(PacketCaptures, Packets()))
    copy, again = shared.copy, shared.copy
    assert copy is again and recorded == ["backup", "restore"]
    assert copy.fetched == (Trace.at if readable else None)
    assert copy.restore.item["spec"]["namespaceMapping"] == {shared.workload.namespace: copy.workload.namespace}
    assert len(shared.application.claims) == 1
    assert shared.application.backup.item["spec"]["ttl"] == "720h0m0s"


def test_the_second_backup_is_of_the_changed_application_and_each_is_restored(
    applications: Applications, probe: TargetProbe, target: TargetClients, scope: Scope, cluster: FakeCluster
) -> None:
    workloads, corpus = Workloads(target), Corpus(Path("/corpus"), RUN_ID)
    changed = ChangedApplication(scope, applications, Restores(workloads, probe), corpus)
    for which in (FIRST, SECOND):
        copy = changed.restore(scope, which, f"copy of {which}")
        restored = cluster.list_all(kinds.RESTORE, target.namespace)[-1]
        assert restored["spec"]["backupName"] == changed.backups[which].backup.name
        assert list(restored["spec"]["namespaceMapping"].values()) == [copy.namespace]
    commands = [command[2] for command in cluster.executed]
    assert commands == ["write", "change"], "changed once, for both"
    assert len(cluster.list_all(kinds.BACKUP, target.namespace)) == 2


def test_a_backup_that_fails_makes_no_application(applications: Applications, velero: FakeVelero, scope: Scope) -> None:
    deployed = applications.deploy(scope, "source")
    velero.ending = lambda _: "PartiallyFailed"
    with pytest.raises(AcceptanceError, match="ended PartiallyFailed, not Completed"):
        applications.back_up(scope, deployed, "source")


def test_the_layout_leaves_out_what_a_second_velero_stores(applications: Applications, scope: Scope) -> None:
    application = applications.back_up(scope, applications.deploy(scope, "s"), "s")
    other = f"acc-{RUN_ID}-0123abcd"
    bucket = FakeBucket({f"{other}/backups/x": b"", "velero/unknown": b""})
    target = make_target(bucket=bucket, prefix="velero")
    shared = SimpleNamespace(application=application, copy=SimpleNamespace(restore=SimpleNamespace(name="r")))
    found = set_up(standard, "layout_findings", standard=shared, target=target)
    assert found.unexpected == ("velero/unknown",) and found.missing


# -- files that change ------------------------------------------------------------------------


def test_the_live_application_stops_its_writers_once_it_is_backed_up(
    applications: Applications, target: TargetClients, probe: TargetProbe, scope: Scope, cluster: FakeCluster
) -> None:
    counts = dict.fromkeys(("first", "gaps", "wrong", "torn"), 0)
    outputs = {
        "journal": {"records": 1, "last": 1, "last_ns": 1, **counts},
        "ledger": {"blocks": 4, "generations": {"1": 4}, "damaged": 0},
        "read": dict.fromkeys(("integrity", "records", "last", "wrong", "balance", "stale"), 0),
    }
    cluster.outputs = lambda command: json.dumps(outputs.get(command[1], {})).encode()
    restores = Restores(Workloads(target), probe)
    live = set_up(
        live_writes,
        "live_application",
        session_scope=scope,
        applications=applications,
        restores=restores,
        workloads=Workloads(target),
        corpus=Corpus(Path("/corpus"), RUN_ID),
    )
    assert isinstance(live, LiveApplication)
    assert live.backed_up.ledger_blocks == 4 and live.backed_up.before.last == 1
    started = [command[3:5] for command in cluster.executed if command[2] == "start"]
    assert [words[0] for words in started] == ["append", "rewrite", "/database", "rewrite", "/database"]
    source = scope.name("live")
    assert cluster.get(kinds.DEPLOYMENT, APP, source) is None, "its writers would slow down later scenarios"
    assert live.copy.namespace == scope.name("live copy")
    assert live.ledger(live.copy, live_writes.QUIESCED).problems(4) == []
    assert live.database(live.copy, live_writes.QUIESCED).problems() != []


# -- the oracle -------------------------------------------------------------------------------


@pytest.fixture
def oracle(cluster: FakeCluster) -> Oracle:
    password = base64.b64encode(b"hidden").decode()
    secret = {"metadata": {"name": REPOSITORY_SECRET, "namespace": "velero"}, "data": {"repository-password": password}}
    cluster.put(kinds.SECRET, secret)
    folder = "velero/restic/n/data/"
    bucket = FakeBucket({f"{folder}aa/1": b"x", f"{folder}bb/2": b"xxx", "velero/restic/n/index/3": b"xxxx"})
    target = make_target(cluster, bucket, uploader="restic", prefix="velero")
    found: Oracle = set_up(repository_oracle, "oracle", oracle_program=Path("/restic"), target=target)
    return found


@pytest.fixture
def application(target: TargetClients) -> Application:
    return Application(Workload("n", target), Operation({"metadata": {"name": "b"}}), [])


def test_the_oracle_opens_the_repository_of_the_namespace(oracle: Oracle) -> None:
    shown = vars(oracle.repository("n"))
    assert "velero/restic/n/" in map(str, shown.values()) or "velero/restic/n/" in str(shown)


def test_the_largest_pack_is_a_pack(oracle: Oracle, application: Application) -> None:
    assert oracle.largest_pack(application, oracle._target.bucket) == "velero/restic/n/data/bb/2"


def test_the_oracle_restores_one_volume_to_a_folder_that_does_not_stay(
    oracle: Oracle, application: Application, cluster: FakeCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = cast(Corpus, SimpleNamespace(read=lambda folder: sorted(path.name for path in folder.iterdir())))
    with pytest.raises(AcceptanceError, match="the backup b has 0 volumes, not one"):
        oracle.manifest(application, corpus, tmp_path)
    metadata = {"name": "v", "namespace": "velero", "labels": {"velero.io/backup-name": "b"}}
    cluster.put(kinds.POD_VOLUME_BACKUP, {"metadata": metadata, "status": {"snapshotID": "s1"}})
    repository = SimpleNamespace(restore=lambda snapshot, folder: (folder / snapshot).touch())
    monkeypatch.setattr(Oracle, "repository", lambda *_: repository)
    assert oracle.manifest(application, corpus, tmp_path) == cast(Any, ["s1"]) and not list(tmp_path.iterdir())


# -- packets ----------------------------------------------------------------------------------


class Capture:
    """A capture that starts and ends as a test says."""

    def __init__(self, folder: Path, name: str, *, starts: bool = True, ends: bool = True) -> None:
        self.file, self.starts, self.ends = folder / name, starts, ends

    def __enter__(self) -> Capture:
        if not self.starts:
            raise AcceptanceError("tcpdump may not capture")
        return self

    def __exit__(self, *_: object) -> None:
        if not self.ends:
            raise AcceptanceError("tcpdump lost packets")


@pytest.fixture
def captures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PacketCaptures:
    monkeypatch.setattr(transport, "read", list)
    monkeypatch.setattr(transport, "judge", lambda packets, ports: (packets, ports))
    return PacketCaptures(make_target(capture=["tcpdump"]).environment, tmp_path)


def test_packets_are_those_of_every_capture(
    captures: PacketCaptures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Blocked, match="no packets were captured"):
        captures.transport()
    monkeypatch.setattr(PacketCaptures, "capture", lambda _, name: Capture(tmp_path, name))
    for name in ("backup", "restore"):
        with captures.record(name):
            pass
    files, _ = cast(Any, captures.transport())
    assert files == [tmp_path / "backup", tmp_path / "restore"]


@pytest.mark.parametrize(
    ("broken", "says"), [({"starts": False}, "tcpdump may not capture"), ({"ends": False}, "tcpdump lost packets")]
)
def test_a_capture_that_fails_stops_nothing_and_blocks_who_asks_for_packets(
    captures: PacketCaptures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: dict[str, bool], says: str
) -> None:
    monkeypatch.setattr(PacketCaptures, "capture", lambda _, name: Capture(tmp_path, name, **broken))
    done: list[str] = []
    for name in ("backup", "restore"):
        with captures.record(name):
            done.append(name)
    assert done == ["backup", "restore"]
    with pytest.raises(Blocked, match=says):
        captures.transport()
    assert captures.transport(tmp_path / "other"), "a capture of the caller's own is judged all the same"


def test_an_error_of_the_body_is_not_hidden_by_the_capture(
    captures: PacketCaptures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PacketCaptures, "capture", lambda _, name: Capture(tmp_path, name))
    with pytest.raises(ValueError, match="the backup failed"), captures.record("backup"):
        raise ValueError("the backup failed")


def test_without_a_command_nothing_is_captured(tmp_path: Path) -> None:
    captures = PacketCaptures(make_target(capture=[]).environment, tmp_path)
    with captures.record("backup"), pytest.raises(Blocked, match="no capture is configured"):
        captures.transport()
