"""What the controllers of a cluster do with objects: Deployments get pods and volumes, backups and restores phases."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

from tests.fake_cluster import FakeCluster, ready
from velero_acceptance.drivers import kinds
from velero_acceptance.drivers.kinds import Json, labels_of, name_of
from velero_acceptance.drivers.velero import BACKUP_LABEL, SCHEDULE_LABEL

NAMESPACE = "velero"
NODE = "node-1"
PATH_ON_NODE = {"local": {"path": "/var/volumes/1"}}


def velero_objects() -> dict[kinds.Kind, list[Json]]:
    """A server with its credentials, a location that is Available, and one node-agent."""
    volumes = [{"name": "cloud-credentials", "secret": {"secretName": "cloud-credentials"}}]
    server = {
        "metadata": {"labels": {"name": "velero"}},
        "spec": {"serviceAccountName": "velero", "volumes": volumes, "containers": [{"image": "velero:v1.18"}]},
    }
    agent = {"metadata": {"name": "node-agent", "namespace": NAMESPACE, "generation": 1}}
    numbers = dict.fromkeys(("desiredNumberScheduled", "numberReady", "updatedNumberScheduled"), 1)
    storage = {"objectStorage": {"bucket": "bucket", "prefix": "velero"}, "config": {"s3Url": "https://s3:9000"}}
    return {
        kinds.DEPLOYMENT: [{"metadata": named("velero"), "spec": {"template": server}}],
        kinds.DAEMON_SET: [
            {**agent, "spec": {"template": {"spec": {}}}, "status": {**numbers, "observedGeneration": 1}}
        ],
        kinds.POD: [
            ready({"metadata": {**named("velero-1"), "uid": "s", "labels": {"name": "velero"}}, "spec": {}}),
            ready(agent_pod("agent-1")),
        ],
        kinds.STORAGE_LOCATION: [
            {"metadata": named("default"), "spec": {**storage, "default": True}, "status": {"phase": "Available"}}
        ],
    }


def named(name: str) -> Json:
    return {"name": name, "namespace": NAMESPACE}


def agent_pod(name: str, node: str = NODE) -> Json:
    metadata = {**named(name), "uid": name, "labels": {"name": "node-agent"}}
    return {"metadata": metadata, "spec": {"nodeName": node}, "status": {"containerStatuses": []}}


def stamp() -> str:
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"


class FakeVelero:
    """Velero and the controllers of Kubernetes on a fake cluster.

    *ending* decides how a backup or restore ends; *volume* is what each claim is bound to; with a *refusal* no pod of a
    Deployment is admitted.
    """

    def __init__(self, cluster: FakeCluster) -> None:
        self.cluster, self.volume = cluster, dict(PATH_ON_NODE)
        self.ending: Callable[[Json], str] = lambda _: "Completed"
        self.refusal = ""
        cluster.on("POST", kinds.RESOURCE_QUOTA, self._count)
        cluster.on("POST", kinds.DEPLOYMENT, self._start)
        cluster.on("DELETE", kinds.DEPLOYMENT, self._stop)
        cluster.on("POST", kinds.BACKUP, self._back_up)
        cluster.on("POST", kinds.RESTORE, self._restore)
        cluster.on("POST", kinds.DELETE_BACKUP_REQUEST, self._delete)
        cluster.on("PATCH", kinds.SCHEDULE, self._check)
        cluster.on("POST", kinds.SCHEDULE, self._check)

    def _count(self, quota: Json) -> None:
        counted = {"status": {"hard": quota["spec"]["hard"]}}
        self.cluster.change(kinds.RESOURCE_QUOTA, name_of(quota), quota["metadata"]["namespace"], counted)

    def _start(self, deployment: Json) -> None:
        if deployment["spec"].get("replicas") != 0 and not self.refusal:
            self.start(name_of(deployment), deployment["metadata"]["namespace"])
        failure = {"type": "ReplicaFailure", "status": "True", "message": self.refusal}
        status = {"conditions": [failure]} if self.refusal else {"replicas": 1}
        namespace = deployment["metadata"]["namespace"]
        self.cluster.change(kinds.DEPLOYMENT, name_of(deployment), namespace, {"status": status})

    def start(self, app: str, namespace: str) -> None:
        """Run a pod of a Deployment, and bind the claims of its namespace."""
        pod = {
            "metadata": {"name": f"{app}-1", "namespace": namespace, "labels": {"app": app}},
            "spec": {"nodeName": NODE},
            "status": {"phase": "Running"},
        }
        self.cluster.put(kinds.POD, ready(pod))
        for claim in self.cluster.list_all(kinds.CLAIM, namespace):
            volume = f"pv-{namespace}-{name_of(claim)}"
            self.cluster.put(kinds.VOLUME, {"metadata": {"name": volume}, "spec": self.volume})
            self.cluster.change(kinds.CLAIM, name_of(claim), namespace, {"spec": {"volumeName": volume}})

    def _stop(self, deployment: Json) -> None:
        pod, namespace = f"{name_of(deployment)}-1", deployment["metadata"]["namespace"]
        self.cluster.later.append(partial(self.cluster.drop, kinds.POD, pod, namespace))

    def _back_up(self, backup: Json) -> None:
        name, ending = name_of(backup), self.ending(backup)
        if ending != "FailedValidation":
            self._later(kinds.BACKUP, name, {"phase": "InProgress", "startTimestamp": stamp()})
        for namespace in backup["spec"].get("includedNamespaces", []):
            self.cluster.later.append(partial(self._upload, name, namespace))
        self._later(kinds.BACKUP, name, {"phase": ending, "startTimestamp": stamp(), "completionTimestamp": stamp()})

    def _upload(self, backup: str, namespace: str) -> None:
        metadata = {**named(f"{backup}-{namespace}"), "labels": {BACKUP_LABEL: backup}}
        pod = {"namespace": namespace, "name": "corpus-1"}
        status = {"phase": "Completed", "snapshotID": f"snapshot of {backup}", "progress": {"bytesDone": 1}}
        spec = {"pod": pod, "node": NODE}
        self.cluster.put(kinds.POD_VOLUME_BACKUP, {"metadata": metadata, "spec": spec, "status": status})

    def _restore(self, restore: Json) -> None:
        self._later(kinds.RESTORE, name_of(restore), {"phase": "InProgress"})
        for target in restore["spec"].get("namespaceMapping", {}).values():
            self.cluster.later.append(partial(self.start, "corpus", target))
        self._later(kinds.RESTORE, name_of(restore), {"phase": self.ending(restore)})

    def _delete(self, request: Json) -> None:
        self.cluster.later.append(lambda: self.cluster.drop(kinds.BACKUP, request["spec"]["backupName"], NAMESPACE))

    def _check(self, schedule: Json) -> None:
        """Velero checks a new or changed schedule immediately: one whose last run is a minute old or more is due."""
        last = datetime.fromisoformat(schedule["status"]["lastBackup"])
        if not schedule["spec"].get("paused") and (datetime.now(UTC) - last).total_seconds() >= 60:
            self.cluster.later.append(lambda: self.run(schedule))

    def run(self, schedule: Json) -> str:
        """Make a run of a schedule; return its name."""
        name = f"{name_of(schedule)}-{self.cluster.store.version}"
        labels = {**labels_of(schedule), SCHEDULE_LABEL: name_of(schedule)}
        metadata = {**named(name), "labels": labels, "creationTimestamp": stamp(), "uid": name}
        self.cluster.put(kinds.BACKUP, {"metadata": metadata, "spec": schedule["spec"].get("template", {})})
        self.cluster.change(kinds.SCHEDULE, name_of(schedule), NAMESPACE, {"status": {"lastBackup": stamp()}})
        self._back_up(self.cluster.require(kinds.BACKUP, name, NAMESPACE))
        return name

    def _later(self, kind: kinds.Kind, name: str, status: Json) -> None:
        def change() -> None:
            if self.cluster.get(kind, name, NAMESPACE):
                self.cluster.change(kind, name, NAMESPACE, {"status": status})

        self.cluster.later.append(change)
