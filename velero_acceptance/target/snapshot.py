"""Take the fingerprint of everything on a target that is not the suite's own: objects and keys, nothing is written."""

from __future__ import annotations

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
from velero_acceptance.drivers import kinds
from velero_acceptance.drivers.kinds import Json, Kind, labels_of, name_of, time_of
from velero_acceptance.drivers.kubernetes import FIELD_MANAGER, ApiError, Kubernetes
from velero_acceptance.drivers.s3 import Bucket
from velero_acceptance.drivers.velero import SCHEDULE_LABEL

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


def take_snapshot(kubernetes: Kubernetes, bucket: Bucket, environment: Environment) -> ClusterSnapshot:
    """The fingerprint now."""
    taken = kubernetes.server_time()
    unseen: dict[str, str] = {}
    kinds = [kind for kind in kubernetes.listable_kinds(unseen) if kind.kind not in RESTLESS]
    ours = {name_of(item) for item in kubernetes.list_all(kinds.NAMESPACE) if RUN_LABEL in labels_of(item)}
    objects: dict[ObjectKey, ForeignObject] = {}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for kind, items in zip(kinds, pool.map(lambda kind: _list(kubernetes, kind), kinds), strict=True):
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
    metadata = item["metadata"]
    claim = ((item.get("spec") or {}).get("claimRef") or {}).get("namespace", "")
    places = (metadata.get("namespace", ""), claim)
    values = (value for key, value in labels_of(item).items() if not key.startswith(NOISY_LABELS))
    names = (name_of(item), *places, *values)
    return (
        RUN_LABEL in labels_of(item) or any(place in namespaces for place in places) or any(map(is_suite_object, names))
    )


def _is_passing(item: Json) -> bool:
    """What comes and goes with an owner that is compared itself, with a release or with a maintenance."""
    owned = any(owner.get("controller") for owner in item["metadata"].get("ownerReferences") or [])
    return owned or item.get("type") == HELM_RELEASES or MAINTENANCE_LABEL in labels_of(item)


def _foreign(kind: Kind, item: Json) -> ForeignObject:
    return ForeignObject(
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
    return {key: entry for key, entry in listed if not any(map(is_suite_object, key.split("/"))) and not _passes(key)}


def _passes(key: str) -> bool:
    return len(parts := key.split("/")) > 2 and parts[2].startswith(PASSING_KEYS)


def _velero(kubernetes: Kubernetes, environment: Environment) -> VeleroState:
    place = environment.velero_namespace
    backups = kubernetes.list_all(kinds.BACKUP, place)
    schedules = {
        name_of(item) for item in kubernetes.list_all(kinds.SCHEDULE, place) if RUN_LABEL not in labels_of(item)
    }
    statuses = {name_of(item): item.get("status") or {} for item in backups}
    repositories = kubernetes.list_all(kinds.BACKUP_REPOSITORY, place)
    return VeleroState(
        scheduled=frozenset(name_of(item) for item in backups if labels_of(item).get(SCHEDULE_LABEL) in schedules),
        expirations={name: time_of(s["expiration"]) for name, s in statuses.items() if s.get("expiration")},
        restores={
            name_of(item): str(item["spec"].get("backupName")) for item in kubernetes.list_all(kinds.RESTORE, place)
        },
        maintained={
            str(item["spec"].get("volumeNamespace")): str((item.get("status") or {}).get("lastMaintenanceTime"))
            for item in repositories
        },
    )


def _hash(part: Any) -> str:
    return hashlib.sha256(json.dumps(part, sort_keys=True).encode()).hexdigest()


# What changed that is not the suite's own, and whether the run can have done it.
#
# The rule, as docs/safety.md tells it: whatever the suite or Velero wrote is the run's doing, unless Velero did it
# of its own accord (a run of a schedule, an expired backup, the maintenance of a repository). What anybody else
# wrote meanwhile is theirs. What is gone has no writer any more, and counts as the run's doing.


# How Velero's server and node-agent call themselves when they write.
VELERO_MANAGERS = ("velero", "node-agent")
REPOSITORY_FOLDERS = frozenset({"restic", "kopia"})


@dataclass(frozen=True)
class ObjectKey:
    """Which object it is."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


@dataclass(frozen=True)
class ForeignObject:
    """An object that is not the suite's: which one, the hash of each of its parts, and who wrote it last when."""

    uid: str
    parts: Mapping[str, str]
    writers: Mapping[str, datetime] = field(default_factory=dict)


@dataclass(frozen=True)
class VeleroState:
    """What explains changes that Velero makes of its own accord."""

    # Backups that a deployed schedule made, when each backup expires, and the backup of each restore, by name.
    scheduled: Set[str] = frozenset()
    expirations: Mapping[str, datetime] = field(default_factory=dict)
    restores: Mapping[str, str] = field(default_factory=dict)
    # When the repository of each namespace was last maintained.
    maintained: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ClusterSnapshot:
    """Everything foreign at one moment, by the API server's clock. *keys*: size and checksum of objects in S3."""

    taken: datetime
    objects: Mapping[ObjectKey, ForeignObject]
    keys: Mapping[str, tuple[int, str]]
    velero: VeleroState
    # Kinds that could not be listed, each with the reason.
    unseen: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Changes:
    """What differs: what the run did, or may have done, and what others did meanwhile."""

    by_run: list[str]
    by_others: list[str]


@dataclass(frozen=True)
class Comparison:
    """Two fingerprints, and the namespaces that the profile lets the run change and change back."""

    before: ClusterSnapshot
    after: ClusterSnapshot
    disrupted: Set[str] = frozenset()
    disrupts: bool = False

    def changes(self) -> Changes:
        """Every difference in objects and keys, in order."""
        found = [*self._objects(), *self._keys()]
        return Changes([text for ours, text in found if ours], [text for ours, text in found if not ours])

    # -- objects -----------------------------------------------------------------------------

    def _objects(self) -> Iterator[tuple[bool, str]]:
        before, after = self.before.objects, self.after.objects
        hidden = self.before.unseen.keys() | self.after.unseen.keys()
        for place in sorted(before.keys() | after.keys(), key=str):
            if place.kind in hidden:
                continue
            old, new = before.get(place), after.get(place)
            if new is None:
                yield not self._went_by_itself(place), f"{place} is gone"
            elif old is None:
                yield self._ours(place, new, created=True), f"{place} is new{_by(new, self.before.taken)}"
            elif old.uid != new.uid and not self._may_be_remade(place):
                yield self._ours(place, new, created=True), f"{place} was made anew{_by(new, self.before.taken)}"
            elif parts := sorted(
                part for part in {*old.parts, *new.parts} if old.parts.get(part) != new.parts.get(part)
            ):
                yield self._ours(place, new), f"{place} has another {', '.join(parts)}{_by(new, self.before.taken)}"
            elif FIELD_MANAGER in _writers_since(new, self.before.taken) and not self._may_be_remade(place):
                yield True, f"{place} was written by this run"

    def _ours(self, place: ObjectKey, new: ForeignObject, *, created: bool = False) -> bool:
        """Whether the run did it, or may have: nobody else is known to have written since."""
        writers = _writers_since(new, self.before.taken)
        if created and self._came_by_itself(place):
            return False
        return not writers or FIELD_MANAGER in writers or any(map(_is_velero, writers))

    def _may_be_remade(self, place: ObjectKey) -> bool:
        """A profile that disrupts deletes and edits these, and lets them come back."""
        return self.disrupts and (place.namespace in self.disrupted or not place.namespace)

    def _came_by_itself(self, place: ObjectKey) -> bool:
        runs = self.after.velero.scheduled - self.before.velero.scheduled
        return (place.kind == "Backup" and place.name in runs) or (
            place.kind == "BackupRepository" and bool(runs or self.disrupts)
        )

    def _went_by_itself(self, place: ObjectKey) -> bool:
        backup = self.before.velero.restores.get(place.name, "") if place.kind == "Restore" else place.name
        return place.kind in ("Backup", "Restore") and self._expired(backup)

    def _expired(self, backup: str) -> bool:
        at = self.before.velero.expirations.get(backup)
        return at is not None and at <= self.after.taken

    # -- keys --------------------------------------------------------------------------------

    def _keys(self) -> Iterator[tuple[bool, str]]:
        before, after = self.before.keys, self.after.keys
        differing = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
        folders: dict[tuple[str, ...], Counter[str]] = {}
        for key in differing:
            how = "new" if key not in before else "gone" if key not in after else "changed"
            folders.setdefault(tuple(key.split("/")[:2]), Counter())[how] += 1
        for folder, counts in sorted(folders.items()):
            shown = ", ".join(f"{count} {how}" for how, count in sorted(counts.items()))
            yield not self._moved_by_itself(folder, counts), f"S3 keys below {'/'.join(folder)}: {shown}"

    def _moved_by_itself(self, folder: tuple[str, ...], counts: Counter[str]) -> bool:
        kind, name = (*folder, "")[:2]
        if kind in REPOSITORY_FOLDERS:
            return self._repository_at_work(name)
        if kind == "backups" and set(counts) == {"new"}:
            return name in self.after.velero.scheduled
        backup = self.before.velero.restores.get(name, "") if kind == "restores" else name
        return set(counts) == {"gone"} and self._expired(backup)

    def _repository_at_work(self, namespace: str) -> bool:
        """Whether Velero had a reason of its own to write to the repository of *namespace*."""
        before, after = self.before.velero, self.after.velero
        return (
            self.disrupts
            or bool(after.scheduled - before.scheduled)
            or any(map(self._expired, before.expirations))
            or before.maintained.get(namespace) != after.maintained.get(namespace)
        )


def _writers_since(item: ForeignObject, since: datetime) -> list[str]:
    """Who has written an object since *since*, to the second."""
    return sorted(name for name, at in item.writers.items() if at >= since)


def _by(item: ForeignObject, since: datetime) -> str:
    writers = _writers_since(item, since)
    return f", by {', '.join(writers)}" if writers else ""


def _is_velero(manager: str) -> bool:
    return manager.startswith(VELERO_MANAGERS)
