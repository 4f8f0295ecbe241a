"""How much the volumes of some namespaces hold before they are backed up, and what finished backups cost in S3."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from velero_acceptance.core.errors import AcceptanceError
from velero_acceptance.core.naming import RUN_LABEL, unique
from velero_acceptance.core.settings import Environment
from velero_acceptance.core.timeouts import Timeouts
from velero_acceptance.drivers.kinds import (
    CLAIM,
    DAEMON_SET,
    NODE,
    POD,
    VOLUME,
    Json,
    labels_of,
    name_of,
    phase_of,
    time_of,
)
from velero_acceptance.drivers.kubernetes import Kubernetes
from velero_acceptance.drivers.s3 import Bucket
from velero_acceptance.drivers.velero import Velero

OPT_OUT_FLAG = "--default-volumes-to-fs-backup"
KUBELET, WALK, UNKNOWN = "the kubelet", "its files", "not known: the kubelet only knows the disk it is on"
PODS = "/host_pods"


@dataclass(frozen=True)
class Expected:
    """A volume that will be uploaded, its bytes if they are known, and who says so."""

    volume: PodVolume
    bytes: int | None
    source: str

    def line(self) -> str:
        shown = "?" if self.bytes is None else size(self.bytes)
        return f"{shown:>10}  {self.volume.label} on {self.volume.node}, by {self.source}"


@dataclass(frozen=True)
class Estimate:
    """The volumes that a backup of some namespaces uploads: the first one all of it, a later one what is new."""

    volumes: Sequence[Expected]

    @property
    def known(self) -> int:
        """Bytes in the volumes whose size is known."""
        return sum(expected.bytes or 0 for expected in self.volumes)

    @property
    def unknown(self) -> list[str]:
        return [expected.volume.label for expected in self.volumes if expected.bytes is None]

    def table(self) -> str:
        return "\n".join(expected.line() for expected in self.volumes) or "no volume would be uploaded"


class Sizes:
    """Asks the kubelets, or walks the volumes, and reads what is in S3."""

    def __init__(
        self, kubernetes: Kubernetes, velero: Velero, bucket: Bucket, environment: Environment, timeouts: Timeouts
    ) -> None:
        self._kubernetes, self._velero, self._bucket = kubernetes, velero, bucket
        self._environment, self._timeouts = environment, timeouts

    def estimate(self, namespaces: Iterable[str], *, walk: Mapping[str, str] | None = None) -> Estimate:
        """How much the volumes of *namespaces* hold, as far as the kubelets know.

        With *walk* (labels for a pod) what they do not know is summed up by a pod on the volume's node, which mounts
        the kubelet's folder of pods read-only, as node-agent does, and is removed at once.
        """
        volumes = [volume for namespace in namespaces for volume in self._uploaded(namespace)]
        summaries = {node: self._summary(node) for node in {volume.node for volume in volumes}}
        known = {volume.label: used_by_kubelet(summaries[volume.node], volume) for volume in volumes}
        walked: dict[str, int] = {}
        if walk is not None:
            rest = [volume for volume in volumes if known[volume.label] is None]
            nodes = sorted({volume.node for volume in rest})
            with ThreadPoolExecutor(len(nodes) or 1) as pool:
                for found in pool.map(lambda node: self._walk(node, rest, walk), nodes):
                    walked |= found
        return Estimate([_expected(volume, known[volume.label], walked.get(volume.label)) for volume in volumes])

    def report(self, backups: Iterable[Json]) -> list[Cost]:
        """What each of *backups* holds and added to S3."""
        prefix = f"{self._environment.prefix}/" if self._environment.prefix else ""
        objects = self._bucket.objects(prefix)
        return [cost(name_of(b), self._velero.volume_backups(name_of(b)), objects, prefix) for b in backups]

    def _uploaded(self, namespace: str) -> list[PodVolume]:
        pods, claims = (self._kubernetes.list_all(kind, namespace) for kind in (POD, CLAIM))
        arguments = [a for pod in self._velero.server_pods() for a in pod["spec"]["containers"][0].get("args", [])]
        return uploaded(pods, claims, self._kubernetes.list_all(VOLUME), opt_out=OPT_OUT_FLAG in arguments)

    def _summary(self, node: str) -> dict[str, Any]:
        return dict(json.loads(self._kubernetes.text(f"{NODE.path(None, node)}/proxy/stats/summary")))

    def _walk(self, node: str, volumes: Sequence[PodVolume], labels: Mapping[str, str]) -> dict[str, int]:
        """Bytes of those of *volumes* that are on *node*, by label; raises AcceptanceError with the walker's words."""
        ours = [volume for volume in volumes if volume.node == node]
        name, namespace = unique(labels[RUN_LABEL]), self._velero.namespace
        try:
            self._kubernetes.create(POD, self._walker(name, node, labels, ours), namespace)
            pod = self._kubernetes.wait(
                POD,
                name,
                namespace,
                until=lambda item: phase_of(item) in ("Succeeded", "Failed"),
                event=f"the volumes on {node} are summed up",
                timeout=self._timeouts["exec"],
            )
            said = self._kubernetes.logs(name, namespace, "size")
        finally:
            self._kubernetes.delete(POD, name, namespace, grace=0)
        if phase_of(pod) == "Failed":
            raise AcceptanceError(f"the volumes on {node} cannot be summed up: {said.strip()[-300:]}")
        sums = [json.loads(line) for line in said.splitlines()]
        return {volume.label: int(one["bytes"]) for volume, one in zip(ours, sums, strict=True)}

    def _walker(self, name: str, node: str, labels: Mapping[str, str], volumes: Sequence[PodVolume]) -> Json:
        container = {
            "name": "size",
            "image": self._environment.corpus_image,
            "imagePullPolicy": "IfNotPresent",
            "args": ["size", *(f"{PODS}/{volume.folder}" for volume in volumes)],
            "securityContext": {"runAsUser": 0},
            "volumeMounts": [{"name": "pods", "mountPath": PODS, "readOnly": True}],
        }
        spec = {
            "nodeName": node,
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "containers": [container],
            "volumes": [{"name": "pods", "hostPath": {"path": self._folder_of_pods()}}],
        }
        return {"metadata": {"name": name, "labels": dict(labels)}, "spec": spec}

    def _folder_of_pods(self) -> str:
        """Where the kubelets keep their pods, as node-agent mounts it."""
        spec = self._kubernetes.require(DAEMON_SET, "node-agent", self._velero.namespace)["spec"]["template"]["spec"]
        return str(next(v["hostPath"]["path"] for v in spec["volumes"] if v["name"] == "host-pods"))


def _expected(volume: PodVolume, known: int | None, walked: int | None) -> Expected:
    if known is not None:
        return Expected(volume, known, KUBELET)
    return Expected(volume, walked, UNKNOWN if walked is None else WALK)


# How much a backup is going to hold, and what a finished one cost in S3.


OPT_OUT = "backup.velero.io/backup-volumes-excludes"
OPT_IN = "backup.velero.io/backup-volumes"
EXCLUDED = "velero.io/exclude-from-backup"
# Velero, pkg/util/podvolume/pod_volume.go: what is part of the cluster's state, or out of the agent's reach.
NEVER = ("hostPath", "secret", "configMap", "projected", "downwardAPI")
# S3 and the API server stamp whole seconds, by clocks of their own.
ROUNDING = timedelta(seconds=2)


@dataclass(frozen=True)
class PodVolume:
    """A volume of a running pod that a file-system backup takes along; *volume* is empty for one that is no claim."""

    namespace: str
    pod: str
    uid: str
    name: str
    node: str
    claim: str = ""
    volume: str = ""

    @property
    def label(self) -> str:
        return f"{self.namespace}/{self.claim or f'{self.pod}:{self.name}'}"

    @property
    def folder(self) -> str:
        """Where the kubelet has it, below its folder of pods, as a pattern of exactly one folder."""
        if self.claim:
            return f"{self.uid}/volumes/*/{self.volume}"
        return f"{self.uid}/volumes/kubernetes.io~empty-dir/{self.name}"


def uploaded(
    pods: Iterable[Json], claims: Iterable[Json], volumes: Iterable[Json], *, opt_out: bool = True
) -> list[PodVolume]:
    """The volumes that Velero uploads of *pods*, each claim once; *opt_out*: all but those that are excluded.

    As Velero chooses (pkg/podvolume/backupper.go): running pods only, mounted by a container, no host paths.
    """
    bound = {(c["metadata"]["namespace"], name_of(c)): str(c["spec"].get("volumeName", "")) for c in claims}
    on_host = {name_of(volume) for volume in volumes if "hostPath" in volume["spec"]}
    found: dict[str, PodVolume] = {}
    for pod in pods:
        if phase_of(pod) != "Running" or labels_of(pod).get(EXCLUDED) == "true":
            continue
        for name, claim in _chosen(pod, opt_out=opt_out):
            namespace = pod["metadata"]["namespace"]
            volume = bound.get((namespace, claim), "") if claim else ""
            if claim and (not volume or volume in on_host):
                continue
            identity = (namespace, name_of(pod), pod["metadata"]["uid"], name, pod["spec"]["nodeName"])
            one = PodVolume(*identity, claim=claim, volume=volume)
            found.setdefault(one.label, one)
    return list(found.values())


def _chosen(pod: Json, *, opt_out: bool) -> Iterable[tuple[str, str]]:
    """Names of the volumes that a pod's annotations choose and a container mounts, each with its claim."""
    annotations = pod["metadata"].get("annotations") or {}
    named = set(annotations.get(OPT_OUT if opt_out else OPT_IN, "").split(","))
    mounted = {m["name"] for container in pod["spec"]["containers"] for m in container.get("volumeMounts", [])}
    for volume in pod["spec"].get("volumes", []):
        wanted = volume["name"] not in named if opt_out else volume["name"] in named
        if wanted and volume["name"] in mounted and not any(kind in volume for kind in NEVER):
            yield volume["name"], (volume.get("persistentVolumeClaim") or {}).get("claimName", "")


def used_by_kubelet(summary: Mapping[str, Any], volume: PodVolume) -> int | None:
    """Bytes in a volume by the kubelet's ``stats/summary``; None where it only knows the disk around it.

    The kubelet asks the file system. For a local volume that is the disk it is a folder of, with all there is on it.
    """
    stats = [
        stat
        for pod in summary["pods"]
        if pod["podRef"]["uid"] == volume.uid
        for stat in pod.get("volume", [])
        if stat["name"] == volume.name
    ]
    if not stats or "usedBytes" not in stats[0]:
        return None
    if volume.claim and _capacity(stats[0]) in _shared(summary, volume):
        return None
    return int(stats[0]["usedBytes"])


def _capacity(stat: Mapping[str, Any]) -> int:
    return int(stat.get("capacityBytes", 0))


def _shared(summary: Mapping[str, Any], volume: PodVolume) -> set[int]:
    """Capacities of the node's own disk and of every other claim: whoever has the same one shares a disk with it."""
    others = {
        _capacity(stat)
        for pod in summary["pods"]
        for stat in pod.get("volume", [])
        if "pvcRef" in stat and (pod["podRef"]["uid"], stat["name"]) != (volume.uid, volume.name)
    }
    return others | {_capacity(summary["node"].get("fs") or {})}


@dataclass(frozen=True)
class Cost:
    """What one backup holds and what it added to S3, in bytes.

    *logical* is what its volumes held, *added* what came into their repositories while they were uploaded,
    *metadata* its own folder.
    """

    backup: str
    logical: int
    added: int
    metadata: int

    @property
    def ratio(self) -> float | None:
        """How many bytes of volumes each byte added to S3 stands for; None when none was added."""
        return self.logical / self.added if self.added else None


def cost(backup: str, volumes: Iterable[Json], objects: Mapping[str, tuple[int, datetime]], prefix: str) -> Cost:
    """The cost of *backup*, from its PodVolumeBackups and the *objects* of the bucket (size and date by key).

    *prefix* is that of the location, with its slash. Counted as added is what S3 dates between start and end of a
    volume's upload, so it is right until a later maintenance writes the repository anew.
    """
    done = [volume for volume in volumes if phase_of(volume) == "Completed"]
    logical = sum(int((v["status"].get("progress") or {}).get("totalBytes", 0)) for v in done)
    spans: dict[str, list[tuple[datetime, datetime]]] = {}
    for volume in done:
        status, folder = volume["status"], f"{prefix}restic/{volume['spec']['pod']['namespace']}/"
        times = (time_of(status["startTimestamp"]) - ROUNDING, time_of(status["completionTimestamp"]) + ROUNDING)
        spans.setdefault(folder, []).append(times)
    added = sum(
        size
        for folder, times in spans.items()
        for key, (size, date) in objects.items()
        if key.startswith(folder) and any(start <= date <= end for start, end in times)
    )
    own = f"{prefix}backups/{backup}/"
    return Cost(backup, logical, added, sum(size for key, (size, _) in objects.items() if key.startswith(own)))


def size(count: float) -> str:
    """Bytes for a reader: MB is 10^6."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count:.0f} B"
