"""Everything on a target outside the suite, before and after a run: a snapshot of objects and keys, and what changed.

The rule, as in docs/safety.md: the run is responsible for whatever the suite or Velero wrote, unless Velero did it by
itself (a run of a schedule, an expired backup, the maintenance of a repository). What anybody else wrote meanwhile is
theirs. What was deleted has no writer any more, and the run is responsible for it. A snapshot writes nothing.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from velero_acceptance.core.naming import RUN_LABEL, is_suite_object
from velero_acceptance.core.settings import Environment
from velero_acceptance.corpus.uploaders import UPLOADERS
from velero_acceptance.drivers import kinds
from velero_acceptance.drivers.kinds import Json, Kind, labels_of, name_of, time_of
from velero_acceptance.drivers.kubernetes import FIELD_MANAGER, ApiError, Kubernetes
from velero_acceptance.drivers.s3 import Bucket

AT_ONCE = 4
# Kinds that change by themselves: heartbeats, events, addresses, measurements, and what Velero makes of a Backup,
# which is compared itself.
RESTLESS = frozenset(
    {"Event", "Lease", "Endpoints", "EndpointSlice", "IPAddress", "ComponentStatus", "NodeMetrics", "PodMetrics"}
    | {"CertificateSigningRequest", "DownloadRequest", "DeleteBackupRequest", "ServerStatusRequest"}
    | {"PodVolumeBackup", "PodVolumeRestore", "DataUpload", "DataDownload"}
)
# Kinds of Kubernetes that controllers make and remove without anybody asking.
TRANSIENT = frozenset({"VolumeAttachment", "CSIStorageCapacity", "ResourceSlice", "LeaseCandidate"})
# The groups of what the suite, Velero or Flux for them may write. Other definitions' objects (addresses, identities,
# reports, certificate requests) are their controllers' affair.
WRITABLE_GROUPS = ("", "apps", "batch", "autoscaling", "policy")
WRITABLE_DOMAINS = (".k8s.io", ".velero.io", ".fluxcd.io", ".coreos.com")
# What controllers write into objects in addition to their status.
NOISE = frozenset({"managedFields", "resourceVersion", "generation", "uid", "selfLink", "creationTimestamp"})
NOISY_ANNOTATIONS = (
    "control-plane.alpha.kubernetes.io/leader",
    "deployment.kubernetes.io/revision",
    "deprecated.daemonset.template.generation",
    "reconcile.fluxcd.io/requestedAt",
)
# Flux writes here which release a definition came from last.
NOISY_LABELS = ("helm.toolkit.fluxcd.io/", "kustomize.toolkit.fluxcd.io/")
# Kubernetes chooses these for a new object, and adds the taints by itself.
CHOSEN = {"Service": ("clusterIP", "clusterIPs"), "Node": ("taints",)}
OWN_TAINTS = "node.kubernetes.io/"
HELM_RELEASES = "helm.sh/release.v1"
# On a Job that maintains a repository.
MAINTENANCE_LABEL = "velero.io/repo-name"
# Keys that restic and kopia write and remove even when they only read.
PASSING_KEYS = ("locks", "_log")
# The kind of Velero's operations, by their folder in S3.
OPERATIONS = {"backups": "Backup", "restores": "Restore"}
# The field managers of Velero's server and node-agent.
VELERO_MANAGERS = ("velero", "node-agent")
REPOSITORY_FOLDERS = frozenset(uploader.folder for uploader in UPLOADERS.values())


@dataclass(frozen=True)
class ObjectKey:
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


@dataclass(frozen=True)
class ForeignObject:
    """An object outside the suite: the hash of each of its parts, and when each manager wrote it last."""

    uid: str
    parts: Mapping[str, str]
    writers: Mapping[str, datetime] = field(default_factory=dict)
    # It comes and goes without the suite, Velero or a person.
    transient: bool = False


@dataclass(frozen=True)
class VeleroState:
    """What explains changes that Velero makes by itself."""

    # When each backup expires, and the backup of each restore, by name.
    expirations: Mapping[str, datetime] = field(default_factory=dict)
    restores: Mapping[str, str] = field(default_factory=dict)
    # When the repository of each namespace was last maintained.
    maintained: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ClusterSnapshot:
    """Everything outside the suite at a moment of the API server's clock. *keys*: size and checksum of S3 objects."""

    taken: datetime
    objects: Mapping[ObjectKey, ForeignObject]
    keys: Mapping[str, tuple[int, str]]
    velero: VeleroState
    # Kinds that could not be listed, each with the reason.
    unseen: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ForeignChanges:
    """The differences that the run made, or may have made, and those that others made meanwhile."""

    by_run: list[str]
    by_others: list[str]


def take_snapshot(kubernetes: Kubernetes, bucket: Bucket, environment: Environment) -> ClusterSnapshot:
    taken = kubernetes.server_time()
    unseen: dict[str, str] = {}
    listable = [kind for kind in kubernetes.listable_kinds(unseen) if kind.kind not in RESTLESS]
    ours = {name_of(item) for item in kubernetes.list_all(kinds.NAMESPACE) if RUN_LABEL in labels_of(item)}
    objects: dict[ObjectKey, ForeignObject] = {}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for kind, items in zip(listable, pool.map(lambda kind: _list(kubernetes, kind), listable), strict=True):
            if isinstance(items, str):
                unseen[kind.kind] = items
                continue
            objects.update(
                (ObjectKey(kind.kind, item["metadata"].get("namespace", ""), name_of(item)), _foreign(kind, item))
                for item in items
                if not _is_ours(item, ours) and not _is_passing(item)
            )
    return ClusterSnapshot(taken, objects, _keys(bucket, environment), _velero(kubernetes, environment), unseen)


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
    claim = ((item.get("spec") or {}).get("claimRef") or {}).get("namespace", "")
    places = {item["metadata"].get("namespace", ""), claim}
    values = (value for key, value in labels_of(item).items() if not key.startswith(NOISY_LABELS))
    names = (name_of(item), *places, *values)
    return RUN_LABEL in labels_of(item) or bool(places & namespaces) or any(map(is_suite_object, names))


def _is_passing(item: Json) -> bool:
    """Whether an object comes and goes with an owner that is compared itself, with a release or with a maintenance."""
    owned = any(owner.get("controller") for owner in item["metadata"].get("ownerReferences") or [])
    return owned or item.get("type") == HELM_RELEASES or MAINTENANCE_LABEL in labels_of(item)


def _foreign(kind: Kind, item: Json) -> ForeignObject:
    entries = [
        e for e in item["metadata"].get("managedFields") or [] if "time" in e and e.get("subresource") != "status"
    ]
    return ForeignObject(
        uid=str(item["metadata"].get("uid", "")),
        parts={
            name: hashlib.sha256(json.dumps(part, sort_keys=True).encode()).hexdigest()
            for name, part in _parts(kind, item)
        },
        writers={str(e.get("manager")): time_of(e["time"]) for e in sorted(entries, key=lambda e: str(e["time"]))},
        transient=_is_transient(kind, item),
    )


def _is_transient(kind: Kind, item: Json) -> bool:
    """Whether an object comes and goes by itself: by its kind, or as a Job that is removed when it has finished."""
    if kind.kind == kinds.JOB.kind:
        return (item.get("spec") or {}).get("ttlSecondsAfterFinished") is not None
    known = kind.group in WRITABLE_GROUPS or f".{kind.group}".endswith(WRITABLE_DOMAINS)
    return kind.kind in TRANSIENT or not known


def _parts(kind: Kind, item: Json) -> Iterator[tuple[str, Any]]:
    """An object without its status and without what changes by itself, part by part."""
    metadata: Json = {key: value for key, value in item["metadata"].items() if key not in NOISE}
    labels, annotations = metadata.pop("labels", None) or {}, metadata.pop("annotations", None) or {}
    yield "metadata", metadata
    yield "labels", {key: value for key, value in labels.items() if not key.startswith(NOISY_LABELS)}
    if kind.kind != "Node":  # the kubelet and every storage driver write there
        yield "annotations", {key: value for key, value in annotations.items() if key not in NOISY_ANNOTATIONS}
    for name, part in item.items():
        if name not in ("metadata", "status", "apiVersion", "kind"):
            yield name, _settled(kind, part) if name == "spec" else part


def _settled(kind: Kind, spec: Any) -> Any:
    """A spec without what Kubernetes itself chooses."""
    chosen = CHOSEN.get(kind.kind, ())
    rest = {key: value for key, value in spec.items() if key not in chosen} if chosen else spec
    if kind.kind == "Node":
        rest["taints"] = [t for t in spec.get("taints") or [] if not t["key"].startswith(OWN_TAINTS)]
    return rest


def _keys(bucket: Bucket, environment: Environment) -> dict[str, tuple[int, str]]:
    """Foreign keys below the location's prefix, without it."""
    prefix = environment.key("")
    found = {}
    for key, entry in bucket.listing(prefix).items():
        parts = key.removeprefix(prefix).split("/")
        passing = len(parts) > 2 and parts[2].startswith(PASSING_KEYS)
        if not passing and not any(map(is_suite_object, parts)):
            found["/".join(parts)] = entry
    return found


def _velero(kubernetes: Kubernetes, environment: Environment) -> VeleroState:
    backups, restores, repositories = (
        kubernetes.list_all(kind, environment.velero_namespace)
        for kind in (kinds.BACKUP, kinds.RESTORE, kinds.BACKUP_REPOSITORY)
    )
    statuses = {name_of(item): item.get("status") or {} for item in backups}
    return VeleroState(
        expirations={name: time_of(s["expiration"]) for name, s in statuses.items() if s.get("expiration")},
        restores={name_of(item): str(item["spec"].get("backupName")) for item in restores},
        maintained={
            str(item["spec"].get("volumeNamespace")): str((item.get("status") or {}).get("lastMaintenanceTime"))
            for item in repositories
        },
    )


@dataclass(frozen=True)
class Comparison:
    """Two snapshots, and the namespaces that the profile lets the run change and restore."""

    before: ClusterSnapshot
    after: ClusterSnapshot
    disrupted: Set[str] = frozenset()
    disrupts: bool = False

    def changes(self) -> ForeignChanges:
        """Every difference in objects and keys, in order."""
        found = [*self._objects(), *self._keys()]
        return ForeignChanges([text for ours, text in found if ours], [text for ours, text in found if not ours])

    def _objects(self) -> Iterator[tuple[bool, str]]:
        before, after = self.before.objects, self.after.objects
        hidden = self.before.unseen.keys() | self.after.unseen.keys()
        for place in sorted(before.keys() | after.keys(), key=str):
            if place.kind in hidden:
                continue
            old, new = before.get(place), after.get(place)
            if new is None:
                by_itself = self._went_by_itself(place) or (old is not None and old.transient)
                yield not by_itself, f"{place} is gone"
                continue
            writers = self._writers(new)
            by = f", by {', '.join(writers)}" if writers else ""
            suspect = (
                (not writers and not new.transient)
                or FIELD_MANAGER in writers
                or any(name.startswith(VELERO_MANAGERS) for name in writers)
            )
            made = suspect and (FIELD_MANAGER in writers or not self._made_by_others(place))
            if old is None:
                yield made, f"{place} is new{by}"
            elif old.uid != new.uid and not self._may_be_recreated(place):
                yield made, f"{place} was recreated{by}"
            elif parts := sorted(
                name for name in {*old.parts, *new.parts} if old.parts.get(name) != new.parts.get(name)
            ):
                yield suspect, f"{place} has another {', '.join(parts)}{by}"
            elif FIELD_MANAGER in writers and not self._may_be_recreated(place):
                yield True, f"{place} was written by this run"

    def _writers(self, item: ForeignObject) -> list[str]:
        """Who has written an object since the first snapshot, to the second."""
        return sorted(name for name, at in item.writers.items() if at >= self.before.taken)

    def _may_be_recreated(self, place: ObjectKey) -> bool:
        """A profile that disrupts deletes and edits these, and has them restored."""
        return self.disrupts and (place.namespace in self.disrupted or not place.namespace)

    def _made_by_others(self, place: ObjectKey) -> bool:
        """Velero writes as who asked it: a backup without the run's name and label is a schedule's or a person's."""
        return place.kind in OPERATIONS.values() or (
            place.kind == "BackupRepository" and bool(self._new_operations() or self.disrupts)
        )

    def _new_operations(self) -> set[ObjectKey]:
        """Backups and restores of others since the first snapshot."""
        return {
            place
            for place in self.after.objects.keys() - self.before.objects.keys()
            if place.kind in OPERATIONS.values()
        }

    def _went_by_itself(self, place: ObjectKey) -> bool:
        backup = self.before.velero.restores.get(place.name, "") if place.kind == "Restore" else place.name
        return place.kind in ("Backup", "Restore") and self._expired(backup)

    def _expired(self, backup: str) -> bool:
        at = self.before.velero.expirations.get(backup)
        return at is not None and at <= self.after.taken

    def _keys(self) -> Iterator[tuple[bool, str]]:
        before, after = self.before.keys, self.after.keys
        folders: dict[tuple[str, ...], Counter[str]] = {}
        for key in before.keys() | after.keys():
            if before.get(key) != after.get(key):
                how = "new" if key not in before else "gone" if key not in after else "changed"
                folders.setdefault(tuple(key.split("/")[:2]), Counter())[how] += 1
        for folder, counts in sorted(folders.items()):
            shown = ", ".join(f"{count} {how}" for how, count in sorted(counts.items()))
            yield not self._moved_by_itself(folder, counts), f"S3 keys below {'/'.join(folder)}: {shown}"

    def _moved_by_itself(self, folder: tuple[str, ...], counts: Counter[str]) -> bool:
        kind, name = (*folder, "")[:2]
        if kind in REPOSITORY_FOLDERS:
            return self._repository_at_work(name)
        if kind in OPERATIONS and set(counts) == {"new"}:
            return any((place.kind, place.name) == (OPERATIONS[kind], name) for place in self.after.objects)
        backup = self.before.velero.restores.get(name, "") if kind == "restores" else name
        return set(counts) == {"gone"} and self._expired(backup)

    def _repository_at_work(self, namespace: str) -> bool:
        """Whether Velero itself had a reason to write to the repository of *namespace*."""
        before, after = self.before.velero, self.after.velero
        return (
            self.disrupts
            or any(place.kind == "Backup" for place in self._new_operations())
            or any(map(self._expired, before.expirations))
            or before.maintained.get(namespace) != after.maintained.get(namespace)
        )
