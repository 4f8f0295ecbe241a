"""Take the fingerprint of everything on a target that is not the suite's own: objects and keys, nothing is written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import TYPE_CHECKING, Any

from acceptance.checks.fingerprint import Fingerprint, Foreign, Place, VeleroState
from acceptance.drivers.kinds import (
    BACKUP,
    BACKUP_REPOSITORY,
    NAMESPACE,
    RESTORE,
    SCHEDULE,
    Json,
    Kind,
    labels_of,
    name_of,
    time_of,
)
from acceptance.drivers.kubernetes import ApiError
from acceptance.drivers.velero import SCHEDULE_LABEL
from acceptance.naming import RUN_LABEL, is_own

if TYPE_CHECKING:
    from acceptance.drivers.kubernetes import Kubernetes
    from acceptance.drivers.s3 import Bucket
    from acceptance.settings import Environment

AT_ONCE = 4
# Kinds that change while nobody does anything: heartbeats, events, addresses, measurements, and what Velero makes
# of a Backup, which is compared itself.
RESTLESS = frozenset(
    {
        "Event",
        "Lease",
        "Endpoints",
        "EndpointSlice",
        "IPAddress",
        "ComponentStatus",
        "NodeMetrics",
        "PodMetrics",
        "CertificateSigningRequest",
        "DownloadRequest",
        "DeleteBackupRequest",
        "ServerStatusRequest",
        "PodVolumeBackup",
        "PodVolumeRestore",
        "DataUpload",
        "DataDownload",
    }
)
# What controllers write into objects beside their status.
NOISE = frozenset({"managedFields", "resourceVersion", "generation", "uid", "selfLink", "creationTimestamp"})
NOISY_ANNOTATIONS = (
    "control-plane.alpha.kubernetes.io/leader",
    "deployment.kubernetes.io/revision",
    "deprecated.daemonset.template.generation",
    "reconcile.fluxcd.io/requestedAt",
)
# Flux writes here which release a definition came from last.
NOISY_LABELS = ("helm.toolkit.fluxcd.io/", "kustomize.toolkit.fluxcd.io/")
# Kubernetes chooses these anew for an object that is made anew, and puts the taints on by itself.
CHOSEN = {"Service": ("clusterIP", "clusterIPs"), "Node": ("taints",)}
OWN_TAINTS = "node.kubernetes.io/"
HELM_RELEASES = "helm.sh/release.v1"
# Of a Job that maintains a repository.
MAINTENANCE_LABEL = "velero.io/repo-name"
# What restic and kopia leave and remove while they only look.
PASSING_KEYS = ("locks", "_log")


def take(kubernetes: Kubernetes, bucket: Bucket, environment: Environment) -> Fingerprint:
    """The fingerprint now."""
    taken = kubernetes.server_time()
    unseen: dict[str, str] = {}
    kinds = [kind for kind in kubernetes.listable_kinds(unseen) if kind.kind not in RESTLESS]
    ours = {name_of(item) for item in kubernetes.list_all(NAMESPACE) if RUN_LABEL in labels_of(item)}
    objects: dict[Place, Foreign] = {}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for kind, items in zip(kinds, pool.map(lambda kind: _list(kubernetes, kind), kinds), strict=True):
            if isinstance(items, str):
                unseen[kind.kind] = items
                continue
            objects.update(
                (Place(kind.kind, item["metadata"].get("namespace", ""), name_of(item)), _foreign(kind, item))
                for item in items
                if not _is_ours(item, ours) and not _is_passing(item)
            )
    return Fingerprint(taken, objects, _keys(bucket, environment), _velero(kubernetes, environment), unseen)


def _list(kubernetes: Kubernetes, kind: Kind) -> list[Json] | str:
    """All objects of a kind; the reason as text where they cannot be listed."""
    try:
        return kubernetes.list_all(kind)
    except ApiError as error:
        if error.status in (403, 404, 405, 503):
            return str(error)
        raise


def _is_ours(item: Json, namespaces: set[str]) -> bool:
    """Whether an object is a run's, this one's or another's."""
    metadata = item["metadata"]
    claim = ((item.get("spec") or {}).get("claimRef") or {}).get("namespace", "")
    places = (metadata.get("namespace", ""), claim)
    names = (name_of(item), *places, *labels_of(item).values())
    return RUN_LABEL in labels_of(item) or any(place in namespaces for place in places) or any(map(is_own, names))


def _is_passing(item: Json) -> bool:
    """What comes and goes with an owner that is compared itself, with a release or with a maintenance."""
    owned = any(owner.get("controller") for owner in item["metadata"].get("ownerReferences") or [])
    return owned or item.get("type") == HELM_RELEASES or MAINTENANCE_LABEL in labels_of(item)


def _foreign(kind: Kind, item: Json) -> Foreign:
    return Foreign(
        uid=str(item["metadata"].get("uid", "")),
        parts={name: _hash(part) for name, part in _parts(kind, item)},
        writers=dict(_writers(item)),
    )


def _parts(kind: Kind, item: Json) -> Iterator[tuple[str, Any]]:
    """An object without its status and without what changes by itself, part by part."""
    metadata: Json = {key: value for key, value in item["metadata"].items() if key not in NOISE}
    labels, annotations = metadata.pop("labels", None) or {}, metadata.pop("annotations", None) or {}
    yield "metadata", metadata
    yield "labels", {key: value for key, value in labels.items() if not key.startswith(NOISY_LABELS)}
    if kind.kind != "Node":  # the kubelet and every driver of storage write there
        yield "annotations", {key: value for key, value in annotations.items() if key not in NOISY_ANNOTATIONS}
    for name, part in item.items():
        if name in ("metadata", "status", "apiVersion", "kind"):
            continue
        yield name, _settled(kind, part) if name == "spec" else part


def _settled(kind: Kind, spec: Any) -> Any:
    """A spec without what Kubernetes itself chooses."""
    chosen = CHOSEN.get(kind.kind, ())
    rest = {key: value for key, value in spec.items() if key not in chosen} if chosen else spec
    if kind.kind == "Node":
        rest["taints"] = [t for t in spec.get("taints") or [] if not t["key"].startswith(OWN_TAINTS)]
    return rest


def _writers(item: Json) -> Iterator[tuple[str, datetime]]:
    """Who has written an object, but for its status, and when last."""
    entries = [entry for entry in item["metadata"].get("managedFields") or [] if "time" in entry]
    for entry in sorted(entries, key=lambda entry: str(entry["time"])):
        if entry.get("subresource") != "status":
            yield str(entry.get("manager")), time_of(entry["time"])


def _keys(bucket: Bucket, environment: Environment) -> dict[str, tuple[int, str]]:
    """Foreign keys below the location's prefix, without it."""
    prefix = environment.key("")
    listed = ((key.removeprefix(prefix), entry) for key, entry in bucket.listing(prefix).items())
    return {key: entry for key, entry in listed if not any(map(is_own, key.split("/"))) and not _passes(key)}


def _passes(key: str) -> bool:
    return len(parts := key.split("/")) > 2 and parts[2].startswith(PASSING_KEYS)


def _velero(kubernetes: Kubernetes, environment: Environment) -> VeleroState:
    place = environment.velero_namespace
    backups = kubernetes.list_all(BACKUP, place)
    schedules = {name_of(item) for item in kubernetes.list_all(SCHEDULE, place) if RUN_LABEL not in labels_of(item)}
    statuses = {name_of(item): item.get("status") or {} for item in backups}
    repositories = kubernetes.list_all(BACKUP_REPOSITORY, place)
    return VeleroState(
        scheduled=frozenset(name_of(item) for item in backups if labels_of(item).get(SCHEDULE_LABEL) in schedules),
        expirations={name: time_of(s["expiration"]) for name, s in statuses.items() if s.get("expiration")},
        restores={name_of(item): str(item["spec"].get("backupName")) for item in kubernetes.list_all(RESTORE, place)},
        maintained={
            str(item["spec"].get("volumeNamespace")): str((item.get("status") or {}).get("lastMaintenanceTime"))
            for item in repositories
        },
    )


def _hash(part: Any) -> str:
    return hashlib.sha256(json.dumps(part, sort_keys=True).encode()).hexdigest()
