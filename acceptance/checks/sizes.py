"""How much a backup is going to hold, and what a finished one cost in S3."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from acceptance.drivers.kinds import Json, labels_of, name_of, phase_of, time_of

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
