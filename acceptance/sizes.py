"""How much the volumes of some namespaces hold before they are backed up, and what finished backups cost in S3."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from acceptance.checks.sizes import Cost, PodVolume, cost, size, uploaded, used_by_kubelet
from acceptance.drivers.kinds import CLAIM, DAEMON_SET, NODE, POD, VOLUME, Json, name_of, phase_of
from acceptance.drivers.kubernetes import Kubernetes
from acceptance.drivers.s3 import Bucket
from acceptance.drivers.velero import Velero
from acceptance.errors import AcceptanceError
from acceptance.naming import RUN_LABEL, unique
from acceptance.settings import Environment
from acceptance.timeouts import Timeouts

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
