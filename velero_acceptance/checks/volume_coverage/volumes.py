"""The volumes of a cluster that hold data: claims, and volumes of pods without a claim."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from velero_acceptance.checks.coverage import Mount, claims_of
from velero_acceptance.checks.storage_usage import OPT_IN
from velero_acceptance.core.errors import Refusal
from velero_acceptance.core.naming import RUN_LABEL
from velero_acceptance.drivers import kinds
from velero_acceptance.drivers.kinds import Json, Kind, labels_of, name_of, namespace_of, phase_of, time_of
from velero_acceptance.drivers.kubernetes import ApiError, Kubernetes

CLAIM, BLOCK, HOST_PATH, EMPTY_DIR = "claim", "block claim", "hostPath", "emptyDir"
# Volumes that pods have without a claim and that outlive the pod (k8s.io/api/core/v1, VolumeSource).
INLINE = (
    HOST_PATH, "nfs", "iscsi", "fc", "cephfs", "rbd", "glusterfs", "cinder", "awsElasticBlockStore", "azureDisk",
    "azureFile", "gcePersistentDisk", "vsphereVolume", "portworxVolume", "quobyte", "scaleIO", "storageos",
    "photonPersistentDisk", "flexVolume",
)  # fmt: skip
# What is below these is the kernel's or a program's, not data.
KERNEL = ("/proc", "/sys", "/dev", "/run", "/var/run")
NO_DATA = frozenset({"Socket", "CharDevice", "BlockDevice"})
# In its folder are the volumes of pods, which are listed themselves; node-agent and CSI drivers mount it.
KUBELET = "kubelet"


@dataclass(frozen=True)
class Volume:
    """A claim, or a volume of the pods of one workload: *name* is then ``workload:volume``.

    *created* is when a claim was made: an older backup holds the data of another one with its name.
    """

    namespace: str
    name: str
    kind: str
    created: datetime | None = None

    @property
    def label(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def is_claim(self) -> bool:
        return self.kind in (CLAIM, BLOCK)


@dataclass(frozen=True)
class ClusterState:
    """The objects of a cluster that say what it holds. Secrets and ConfigMaps are not among them."""

    namespaces: Sequence[Json]
    claims: Sequence[Json]
    pods: Sequence[Json]
    persistent_volumes: Sequence[Json]
    schedules: Sequence[Json]

    @classmethod
    def read(cls, kubernetes: Kubernetes, velero_namespace: str) -> ClusterState:
        """Raises Refusal when the account may not list them, or when there is no Velero."""
        return cls(
            namespaces=listed(kubernetes, kinds.NAMESPACE),
            claims=listed(kubernetes, kinds.CLAIM),
            pods=listed(kubernetes, kinds.POD),
            persistent_volumes=listed(kubernetes, kinds.VOLUME),
            schedules=listed(kubernetes, kinds.SCHEDULE, velero_namespace),
        )

    @cached_property
    def labels_of_namespaces(self) -> dict[str, dict[str, str]]:
        return {name_of(item): labels_of(item) for item in self.namespaces}

    @cached_property
    def claim_objects(self) -> dict[tuple[str, str], Json]:
        return {(namespace_of(item), name_of(item)): item for item in self.claims}

    @cached_property
    def on_host_path(self) -> set[str]:
        """The PersistentVolumes on a path of a node, which Velero cannot back up."""
        return {name_of(item) for item in self.persistent_volumes if "hostPath" in item["spec"]}

    @cached_property
    def _mounting(self) -> dict[tuple[str, str], list[Json]]:
        found: dict[tuple[str, str], list[Json]] = {}
        for pod in self.pods:
            if phase_of(pod) == "Running":
                for _, claim in claims_of(pod):
                    found.setdefault((namespace_of(pod), claim), []).append(pod)
        return found

    @cached_property
    def _workloads(self) -> dict[tuple[str, str], list[Json]]:
        found: dict[tuple[str, str], list[Json]] = {}
        for pod in self.pods:
            if phase_of(pod) == "Running":
                found.setdefault((namespace_of(pod), workload_of(pod)), []).append(pod)
        return found

    def pods_of(self, volume: Volume) -> list[Json]:
        """The running pods that mount a volume."""
        if volume.is_claim:
            return self._mounting.get((volume.namespace, volume.name), [])
        return self._workloads.get((volume.namespace, volume.name.partition(":")[0]), [])

    def volumes(self) -> list[Volume]:
        """Every volume with data, each once; not those of the suite's own scenarios."""
        own = {name for name, labels in self.labels_of_namespaces.items() if RUN_LABEL in labels}
        found = dict.fromkeys((*self._claimed(), *self._without_claim()))
        return sorted((one for one in found if one.namespace not in own), key=lambda one: one.label)

    def _claimed(self) -> Iterator[Volume]:
        for item in self.claims:
            if phase_of(item) == "Bound":
                kind = BLOCK if item["spec"].get("volumeMode") == "Block" else CLAIM
                made = time_of(item["metadata"]["creationTimestamp"])
                yield Volume(namespace_of(item), name_of(item), kind, made)

    def _without_claim(self) -> Iterator[Volume]:
        for pod in self.pods:
            if phase_of(pod) == "Running":
                for name, kind in _with_data(pod):
                    yield Volume(namespace_of(pod), f"{workload_of(pod)}:{name}", kind)


@contextmanager
def refusals(what: str) -> Iterator[None]:
    """Around calls that read *what*: raises the API server's errors as Refusals of one sentence."""
    try:
        yield
    except ApiError as error:
        if error.status in (401, 403):
            raise Refusal(f"the account may not read {what}: give it the rights of deploy/rbac/observe.yaml") from None
        raise Refusal(str(error)) from None


def listed(kubernetes: Kubernetes, kind: Kind, namespace: str | None = None) -> list[Json]:
    """All objects of a kind; raises Refusal in one sentence when they cannot be listed."""
    with refusals(f"{kind.plural}{f' in {namespace}' if namespace else ''}"):
        try:
            return kubernetes.list_all(kind, namespace)
        except ApiError as error:
            if error.status == 404 and kind.group == "velero.io":
                raise Refusal("there is no Velero on this cluster: it does not know velero.io") from None
            raise


def workload_of(pod: Json) -> str:
    """What a pod belongs to, by a name that its successors have too: that of its Deployment, or its own."""
    owners = [owner for owner in pod["metadata"].get("ownerReferences") or [] if owner.get("controller")]
    kind, name = (owners[0]["kind"], str(owners[0]["name"])) if owners else ("", name_of(pod))
    if kind == "ReplicaSet":
        return name.removesuffix(f"-{labels_of(pod).get('pod-template-hash', '')}")
    if kind == "DaemonSet":  # a pod on each node, with its own data
        return f"{name} on {pod['spec'].get('nodeName', '?')}"
    return name_of(pod) if kind in ("", "StatefulSet", "Node") else name


def mounts_of(volume: Volume, pods: Iterable[Json]) -> list[Mount]:
    """The mounts of a volume without a claim in the *pods* of a backup."""
    workload, _, name = volume.name.partition(":")
    ours = (pod for pod in pods if namespace_of(pod) == volume.namespace and workload_of(pod) == workload)
    return [(volume.namespace, name_of(pod), name) for pod in ours]


def _with_data(pod: Json) -> Iterator[tuple[str, str]]:
    """The volumes of a pod without a claim that hold data, each with its kind; an emptyDir only when it is opted in."""
    named = set((pod["metadata"].get("annotations") or {}).get(OPT_IN, "").split(","))
    written = _written(pod)
    for volume in pod["spec"].get("volumes") or []:
        name = volume["name"]
        if EMPTY_DIR in volume and name in named:
            yield name, EMPTY_DIR
        kind = next((kind for kind in INLINE if kind in volume), None)
        if kind is None or name not in written or (kind == HOST_PATH and _is_no_data(volume[HOST_PATH])):
            continue
        yield name, kind


def _written(pod: Json) -> set[str]:
    """The volumes that some container of a pod may write."""
    containers = [*pod["spec"].get("containers", []), *(pod["spec"].get("initContainers") or [])]
    mounts = (mount for container in containers for mount in container.get("volumeMounts") or [])
    devices = (device["name"] for container in containers for device in container.get("volumeDevices") or [])
    return {*(mount["name"] for mount in mounts if not mount.get("readOnly")), *devices}


def _is_no_data(source: Json) -> bool:
    path = str(source.get("path", ""))
    below = KUBELET in path.split("/") or any(path == place or path.startswith(f"{place}/") for place in KERNEL)
    return below or source.get("type") in NO_DATA or path.endswith((".sock", ".lock"))
