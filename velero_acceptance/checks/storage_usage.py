"""How much the next backup of some namespaces uploads, and what finished backups contain and cost in S3."""

import json
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from velero_acceptance.core import units
from velero_acceptance.core.errors import AcceptanceError
from velero_acceptance.core.naming import RUN_LABEL, unique
from velero_acceptance.core.settings import Environment
from velero_acceptance.core.timeouts import Timeouts
from velero_acceptance.corpus.uploaders import UPLOADERS
from velero_acceptance.drivers import kinds
from velero_acceptance.drivers.kinds import Json, labels_of, name_of, phase_of, time_of
from velero_acceptance.drivers.kubernetes import Kubernetes
from velero_acceptance.drivers.s3 import Bucket
from velero_acceptance.drivers.velero import Velero
from velero_acceptance.drivers.velero_server import AGENT

size = units.size
OPT_OUT_FLAG = "--default-volumes-to-fs-backup"
OPT_OUT = "backup.velero.io/backup-volumes-excludes"
OPT_IN = "backup.velero.io/backup-volumes"
EXCLUDED = "velero.io/exclude-from-backup"
# Velero, pkg/util/podvolume/pod_volume.go: volumes of the cluster's state, or out of the agent's reach.
NEVER = ("hostPath", "secret", "configMap", "projected", "downwardAPI")
# Where a size comes from.
KUBELET, WALK, UNKNOWN = "the kubelet", "its files", "not known: the kubelet only knows the disk it is on"
PODS = "/host_pods"
# S3 and the API server stamp whole seconds, by different clocks.
ROUNDING = timedelta(seconds=2)


@dataclass(frozen=True)
class PodVolume:
    """A volume of a running pod that a file-system backup includes; without a *claim* *volume* is empty."""

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
        """Its folder below the kubelet's folder of pods, as a pattern that matches exactly one."""
        if self.claim:
            return f"{self.uid}/volumes/*/{self.volume}"
        return f"{self.uid}/volumes/kubernetes.io~empty-dir/{self.name}"


@dataclass(frozen=True)
class Expected:
    """A volume that will be uploaded, its bytes if they are known, and their source."""

    volume: PodVolume
    bytes: int | None
    source: str

    def line(self) -> str:
        shown = "?" if self.bytes is None else size(self.bytes)
        return f"{shown:>10}  {self.volume.label} on {self.volume.node}, by {self.source}"


@dataclass(frozen=True)
class Estimate:
    """The volumes that a backup uploads: the first backup all of them, a later one only what is new."""

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


@dataclass(frozen=True)
class Cost:
    """What one backup contains and what it added to S3, in bytes.

    *logical* is the content of its volumes, *added* what their upload added to the repositories, *metadata* the size
    of the backup's own folder.
    """

    backup: str
    logical: int
    added: int
    metadata: int

    @property
    def ratio(self) -> float | None:
        """Bytes of volumes for each byte added to S3; None when none was added."""
        return self.logical / self.added if self.added else None


class Sizes:
    """Asks the kubelets, or sums up the files of volumes, and reads sizes in S3."""

    def __init__(
        self, kubernetes: Kubernetes, velero: Velero, bucket: Bucket, environment: Environment, timeouts: Timeouts
    ) -> None:
        self._kubernetes, self._velero, self._bucket = kubernetes, velero, bucket
        self._environment, self._timeouts = environment, timeouts

    def estimate(self, namespaces: Iterable[str], *, walk: Mapping[str, str] | None = None) -> Estimate:
        """The size of the volumes of *namespaces*, as far as the kubelets know it.

        With *walk* (labels for a pod) the others are summed up by a pod on the volume's node, which mounts the
        kubelet's folder of pods read-only, as node-agent does, and is removed at once.
        """
        volumes = [volume for namespace in namespaces for volume in self._uploaded(namespace)]
        paths = {volume.node: f"{kinds.NODE.path(None, volume.node)}/proxy/stats/summary" for volume in volumes}
        summaries = {node: json.loads(self._kubernetes.text(path)) for node, path in paths.items()}
        known = {volume: used_by_kubelet(summaries[volume.node], volume) for volume in volumes}
        walked: dict[PodVolume, int] = {}
        if walk is not None:
            rest = [volume for volume in volumes if known[volume] is None]
            nodes = sorted({volume.node for volume in rest})
            with ThreadPoolExecutor(len(nodes) or 1) as pool:
                for found in pool.map(lambda node: self._walk(node, rest, walk), nodes):
                    walked |= found
        expected = []
        for volume in volumes:
            source = KUBELET if known[volume] is not None else WALK if volume in walked else UNKNOWN
            expected.append(Expected(volume, walked.get(volume, known[volume]), source))
        return Estimate(expected)

    def report(self, backups: Iterable[Json]) -> list[Cost]:
        """What each of *backups* contains and added to S3."""
        prefix = self._environment.key("")
        objects = self._bucket.objects(prefix)
        volumes = self._velero.volume_backups
        return [cost(name_of(b), volumes(name_of(b)), objects, prefix, self._environment.uploader) for b in backups]

    def _uploaded(self, namespace: str) -> list[PodVolume]:
        pods, claims = (self._kubernetes.list_all(kind, namespace) for kind in (kinds.POD, kinds.CLAIM))
        # Without a value the flag is set, and the word after it is another argument.
        opt_out = self._velero.argument(OPT_OUT_FLAG, "false").lower() not in ("false", "f", "0")
        return uploaded(pods, claims, self._kubernetes.list_all(kinds.VOLUME), opt_out=opt_out)

    def _walk(self, node: str, volumes: Sequence[PodVolume], labels: Mapping[str, str]) -> dict[PodVolume, int]:
        """Bytes of those of *volumes* that are on *node*; raises AcceptanceError with the pod's log."""
        ours = [volume for volume in volumes if volume.node == node]
        name, namespace = unique(labels[RUN_LABEL]), self._velero.namespace
        try:
            self._kubernetes.create(kinds.POD, self._walker(name, node, labels, ours), namespace)
            pod = self._kubernetes.wait(
                kinds.POD,
                name,
                namespace,
                until=lambda item: phase_of(item) in ("Succeeded", "Failed"),
                event=f"the volumes on {node} are summed up",
                timeout=self._timeouts["exec"],
            )
            log = self._kubernetes.logs(name, namespace, "size")
        finally:
            self._kubernetes.delete(kinds.POD, name, namespace, grace=0)
        if phase_of(pod) == "Failed":
            raise AcceptanceError(f"the volumes on {node} cannot be summed up: {log.strip()[-300:]}")
        sums = [json.loads(line) for line in log.splitlines()]
        return {volume: int(one["bytes"]) for volume, one in zip(ours, sums, strict=True)}

    def _walker(self, name: str, node: str, labels: Mapping[str, str], volumes: Sequence[PodVolume]) -> Json:
        agent = self._kubernetes.require(kinds.DAEMON_SET, AGENT, self._velero.namespace)["spec"]["template"]
        folder = next(
            volume["hostPath"]["path"] for volume in agent["spec"]["volumes"] if volume["name"] == "host-pods"
        )
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
            "volumes": [{"name": "pods", "hostPath": {"path": str(folder)}}],
        }
        return {"metadata": {"name": name, "labels": dict(labels)}, "spec": spec}


def uploaded(
    pods: Iterable[Json], claims: Iterable[Json], volumes: Iterable[Json], *, opt_out: bool = True
) -> list[PodVolume]:
    """The volumes that Velero uploads (pkg/podvolume/backupper.go), each claim once; *opt_out*: all but excluded."""
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
        chosen = (volume["name"] in named) is not opt_out
        if chosen and volume["name"] in mounted and not any(kind in volume for kind in NEVER):
            yield volume["name"], (volume.get("persistentVolumeClaim") or {}).get("claimName", "")


def used_by_kubelet(summary: Mapping[str, Any], volume: PodVolume) -> int | None:
    """Bytes in a volume by the kubelet's ``stats/summary``; None where it only knows the disk that the volume is on.

    The kubelet asks the file system. For a local volume that is the disk with its folder, and everything else on it.
    """
    stats = {(pod["podRef"]["uid"], stat["name"]): stat for pod in summary["pods"] for stat in pod.get("volume", [])}
    own = stats.pop((volume.uid, volume.name), {})
    if "usedBytes" not in own:
        return None
    # The node's own disk and those of other claims: a volume of the same capacity shares a disk with them.
    disks = [summary["node"].get("fs") or {}, *(stat for stat in stats.values() if "pvcRef" in stat)]
    if volume.claim and _capacity(own) in map(_capacity, disks):
        return None
    return int(own["usedBytes"])


def _capacity(stat: Mapping[str, Any]) -> int:
    return int(stat.get("capacityBytes", 0))


def cost(
    backup: str, volumes: Iterable[Json], objects: Mapping[str, tuple[int, datetime]], prefix: str, uploader: str
) -> Cost:
    """The cost of *backup*, from its PodVolumeBackups and the *objects* of the bucket (size and date by key).

    *prefix* is the location's, with its slash, *uploader* that of volumes that name none. An object counts as added if
    S3 dates it between start and end of a volume's upload; this holds until a maintenance rewrites the repository.
    """
    done = [volume for volume in volumes if phase_of(volume) == "Completed"]
    logical = sum(int((v["status"].get("progress") or {}).get("totalBytes", 0)) for v in done)
    spans: dict[str, list[tuple[datetime, datetime]]] = {}
    for volume in done:
        status, repositories = volume["status"], UPLOADERS[volume["spec"].get("uploaderType") or uploader].folder
        folder = f"{prefix}{repositories}/{volume['spec']['pod']['namespace']}/"
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
