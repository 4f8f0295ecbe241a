"""Why no backup holds a volume. The files of the backups decide that none does; settings only explain it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase

from velero_acceptance.checks.coverage import Gap, VolumeData, VolumeRecords, claims_of
from velero_acceptance.checks.storage_usage import EXCLUDED, OPT_IN, OPT_OUT
from velero_acceptance.checks.volume_coverage.volumes import BLOCK, HOST_PATH, ClusterState, Volume
from velero_acceptance.drivers.kinds import Json, labels_of, name_of, namespace_of
from velero_acceptance.drivers.velero import Operation

EVERYTHING = "*"


class Reason(StrEnum):
    """Names of the reasons, as JSON and metrics have them; docs/coverage.md says what each means."""

    NO_SCHEDULE = "no-schedule"
    NO_BACKUP = "no-backup"
    YOUNGER = "younger"
    OPTED_OUT = "opted-out"
    NOT_OPTED_IN = "not-opted-in"
    LABEL = "label"
    SELECTOR = "selector"
    RESOURCE_POLICY = "resource-policy"
    RESOURCE_LIST = "resource-list"
    NOT_MOUNTED = "not-mounted"
    HOST_PATH = "host-path"
    BLOCK = "block-volume"
    UPLOADER = "other-uploader"
    PARTIALLY_FAILED = "partially-failed"
    FAILED = "failed"
    REPOSITORY_GONE = "repository-gone"
    REPOSITORY_NOT_READY = "repository-not-ready"
    UNREADABLE = "unreadable"


@dataclass(frozen=True)
class Finding:
    """Why a backup, or none at all, holds a volume."""

    reason: Reason
    text: str


def in_scope(spec: Json, namespace: str) -> bool:
    """Whether a backup or a template includes a namespace; both lists may hold wildcards (Velero 1.18)."""
    included = spec.get("includedNamespaces") or [EVERYTHING]
    excluded = spec.get("excludedNamespaces") or []
    return _among(namespace, included) and not _among(namespace, excluded)


def names_namespaces(spec: Json) -> list[str] | None:
    """The namespaces of a backup that names each of them; None for one with wildcards."""
    included = [str(name) for name in spec.get("includedNamespaces") or [EVERYTHING]]
    return None if any(EVERYTHING in name for name in included) else included


def left_out(item: Json, resource: str, spec: Json, namespace_labels: Mapping[str, str]) -> Finding | None:
    """Why a backup with this *spec* has no copy of a claim or a pod; None when nothing in it says so."""
    what = f"{resource.removesuffix('s')} {name_of(item)}" if resource == "pods" else "claim"
    for of, labels in (("namespace", namespace_labels), (what, labels_of(item))):
        if labels.get(EXCLUDED) == "true":
            return Finding(Reason.LABEL, f"the {of} is labelled {EXCLUDED}=true")
    if not _selected(labels_of(item), spec):
        return Finding(Reason.SELECTOR, f"the labels of the {what} do not match the backup's selector")
    for field, wanted in (
        ("includedResources", True),
        ("includedNamespaceScopedResources", True),
        ("excludedResources", False),
        ("excludedNamespaceScopedResources", False),
    ):
        if (given := spec.get(field)) and _lists(given, resource) is not wanted:
            verb = "does not name" if wanted else "names"
            return Finding(Reason.RESOURCE_LIST, f"{field} {verb} {resource}")
    return None


def not_archived(volume: Volume, backup: Operation, state: ClusterState) -> Finding:
    """Why a claim is not among the objects of a backup that includes its namespace."""
    labels = state.labels_of_namespaces.get(volume.namespace, {})
    item = state.claim_objects[volume.namespace, volume.name]
    if found := left_out(item, "persistentvolumeclaims", backup.item["spec"], labels):
        return found
    return _of_phase(backup, "the claim is not in the backup")


def not_held(
    volume: Volume, data: VolumeData, backup: Operation, records: VolumeRecords, state: ClusterState, storage: str
) -> Finding:
    """Why a backup that has a copy of the claim or pod has not its data; *storage* is the claim's PersistentVolume."""
    if data.gap in (Gap.FAILED, Gap.NOT_CONFIRMED):
        return _of_phase(backup, data.text)
    if volume.kind == HOST_PATH or storage in state.on_host_path:
        return Finding(Reason.HOST_PATH, "it is a path on a node, which Velero does not back up")
    if volume.kind == BLOCK:
        return Finding(Reason.BLOCK, "volumeMode Block has no files to back up, and there is no snapshot")
    if data.gap is Gap.NOT_MOUNTED:
        return _pods_left_out(volume, backup, state) or Finding(Reason.NOT_MOUNTED, data.text)
    return _not_chosen(volume, data, backup, records)


def not_scheduled(volume: Volume, state: ClusterState) -> Finding:
    """Why no backup includes the namespace of a volume, or is young enough."""
    ours = [one for one in state.schedules if in_scope(one["spec"].get("template") or {}, volume.namespace)]
    if volume.kind == HOST_PATH:
        return Finding(Reason.HOST_PATH, "it is a path on a node, which Velero does not back up")
    if not ours:
        return Finding(Reason.NO_SCHEDULE, "no schedule includes its namespace")
    labels = state.labels_of_namespaces.get(volume.namespace, {})
    item = state.claim_objects.get((volume.namespace, volume.name))
    for schedule in ours if item else []:
        if found := left_out(item or {}, "persistentvolumeclaims", schedule["spec"].get("template") or {}, labels):
            return Finding(found.reason, f"{found.text} (schedule {name_of(schedule)})")
    paused = all(one["spec"].get("paused") for one in ours)
    names = ", ".join(map(name_of, ours))
    return Finding(Reason.NO_BACKUP, f"no finished backup yet of {names}{', which is paused' if paused else ''}")


def _of_phase(backup: Operation, text: str) -> Finding:
    if backup.phase == "PartiallyFailed":
        return Finding(Reason.PARTIALLY_FAILED, f"{text}; the backup is PartiallyFailed")
    return Finding(Reason.FAILED, text)


def _pods_left_out(volume: Volume, backup: Operation, state: ClusterState) -> Finding | None:
    labels = state.labels_of_namespaces.get(volume.namespace, {})
    found = (left_out(pod, "pods", backup.item["spec"], labels) for pod in state.pods_of(volume))
    return next((finding for finding in found if finding), None)


def _not_chosen(volume: Volume, data: VolumeData, backup: Operation, records: VolumeRecords) -> Finding:
    """Why a mounted volume was not uploaded: an annotation, a policy."""
    skipped = records.skipped(volume.namespace, volume.name) if volume.is_claim else ""
    # Velero gives a reason for each way to back a volume up; "not satisfy …" only means that no snapshot is due.
    if any("polic" in part.lower() and "satisfy" not in part for part in skipped.split(";")):
        return Finding(Reason.RESOURCE_POLICY, f"its resource policy skips it ({skipped.strip('; ')})")
    by_default = bool(backup.item["spec"].get("defaultVolumesToFsBackup"))
    annotation = OPT_OUT if by_default else OPT_IN
    for pod, name in _mounting(volume, records.pods):
        named = (pod["metadata"].get("annotations") or {}).get(annotation, "").split(",")
        if by_default and name in named:
            return Finding(Reason.OPTED_OUT, f"the pod {name_of(pod)} opts {name} out ({OPT_OUT})")
        if not by_default and name not in named:
            text = f"volumes are opted in here, and the pod {name_of(pod)} does not name {name} ({OPT_IN})"
            return Finding(Reason.NOT_OPTED_IN, text)
    if policy := (backup.item["spec"].get("resourcePolicy") or {}).get("name"):
        return Finding(Reason.RESOURCE_POLICY, f"{data.text}; the backup has the resource policy {policy}")
    return _of_phase(backup, data.text)


def _mounting(volume: Volume, pods: Iterable[Json]) -> Iterable[tuple[Json, str]]:
    for pod in pods:
        if namespace_of(pod) != volume.namespace:
            continue
        if volume.is_claim:
            yield from ((pod, name) for name, claim in claims_of(pod) if claim == volume.name)
        else:
            name = volume.name.partition(":")[2]
            yield from ((pod, name) for one in pod["spec"].get("volumes") or [] if one["name"] == name)


def _among(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _lists(resources: Iterable[str], resource: str) -> bool:
    """Whether a list of a backup names a resource of the core group, by any name that Velero resolves."""
    short = {"persistentvolumeclaims": "pvc", "pods": "po"}[resource]
    names = {EVERYTHING, resource, resource.removesuffix("s"), short}
    return any(given.lower() in names for given in resources)


def _selected(labels: Mapping[str, str], spec: Json) -> bool:
    one, several = spec.get("labelSelector"), spec.get("orLabelSelectors")
    selectors = [one] if one else several or []
    return not selectors or any(_matches(labels, selector) for selector in selectors)


def _matches(labels: Mapping[str, str], selector: Json) -> bool:
    """As the API server does (metav1.LabelSelector)."""
    exact = (selector.get("matchLabels") or {}).items()
    return all(labels.get(key) == value for key, value in exact) and all(
        _satisfies(labels.get(term["key"]), term["operator"], term.get("values") or [])
        for term in selector.get("matchExpressions") or []
    )


def _satisfies(value: str | None, operator: str, values: Sequence[str]) -> bool:
    match operator:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case _:
            return value is None
