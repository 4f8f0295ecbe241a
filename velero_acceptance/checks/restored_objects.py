"""AC-004-03, AC-004-05: whether a restored namespace has every object of its source, and the same claims."""

from collections.abc import Mapping, Sequence

from velero_acceptance.drivers.kinds import CLAIM, CRON_JOB, DEPLOYMENT, SERVICE, STATEFUL_SET, Json, labels_of, name_of

# Kubernetes gives these to every namespace.
GIVEN = frozenset({("ConfigMap", "kube-root-ca.crt"), ("ServiceAccount", "default")})
# What of a specification its owner decides, by kind; of a claim, see claim_differences.
KEPT = {
    SERVICE.kind: ("type", "clusterIP", "ports", "selector"),
    DEPLOYMENT.kind: ("replicas",),
    STATEFUL_SET.kind: ("replicas", "serviceName", "persistentVolumeClaimRetentionPolicy"),
    CRON_JOB.kind: ("schedule", "suspend"),
}
# Labels and annotations that Velero, or the binding of a claim to a volume, sets on the restored object.
SET_BY_OTHERS = ("velero.io/", "pv.kubernetes.io/", "volume.kubernetes.io/", "volume.beta.kubernetes.io/")


def missing(source: Mapping[str, Sequence[Json]], restored: Mapping[str, Sequence[Json]]) -> list[str]:
    """The objects of *source* that *restored* has not, as ``kind/name``.

    Both are objects by kind. What a controller makes does not count, nor does a Job that is complete: Velero does not
    restore it, so that it does not run again (E-36).
    """
    held = {(kind, name_of(item)) for kind, items in restored.items() for item in items}
    own = [
        (kind, name_of(item))
        for kind, items in source.items()
        for item in items
        if "ownerReferences" not in item["metadata"] and not is_complete(item)
    ]
    return [f"{kind}/{name}" for kind, name in sorted(set(own) - held - GIVEN)]


def is_complete(item: Json) -> bool:
    """Whether it is a Job that has succeeded."""
    return bool((item.get("status") or {}).get("completionTime"))


def altered(source: Mapping[str, Sequence[Json]], restored: Mapping[str, Sequence[Json]]) -> list[str]:
    """Restored claims, workloads and Services that are not as their source: a ConfigMap can have Velero rewrite them.

    Both are objects by kind. Source: https://velero.io/docs/main/restore-reference/#changing-pvpvc-storage-classes.
    """
    held = {(kind, name_of(item)): item for kind, items in restored.items() for item in items}
    pairs = [(kind, i, held.get((kind, name_of(i)))) for kind, items in source.items() for i in items]
    return [
        f"{kind}/{name_of(item)}: {line}"
        for kind, item, copy in pairs
        if copy is not None
        for line in (claim_differences(item, copy) if kind == CLAIM.kind else _differences(kind, item, copy))
    ]


def _differences(kind: str, source: Json, copy: Json) -> list[str]:
    """The parts of a specification that its owner decides, and the containers that run another image."""
    pairs = {key: [_part(item["spec"], key) for item in (source, copy)] for key in KEPT.get(kind, ())}
    wanted, found = _images(source), _images(copy)
    return [
        *(f"its {what} is {new}, not {old}" for what, (old, new) in pairs.items() if old != new),
        *(
            f"its {name} runs {found.get(name)}, not {image}"
            for name, image in wanted.items()
            if found.get(name) != image
        ),
    ]


def _part(spec: Json, key: str) -> object:
    """A part of a specification, without the numbers that the cluster gives: those of nodePort and clusterIP."""
    if key == "clusterIP":
        return "None" if spec.get(key) == "None" else "one of the cluster's"
    if key == "ports":
        return [{name: value for name, value in port.items() if name != "nodePort"} for port in spec.get(key) or []]
    return spec.get(key)


def _images(workload: Json) -> dict[str, str]:
    spec = workload.get("spec") or {}
    template = ((spec.get("jobTemplate") or {}).get("spec") or spec).get("template") or {}
    pod = template.get("spec") or {}
    containers = [*(pod.get("initContainers") or []), *(pod.get("containers") or [])]
    return {str(container["name"]): str(container["image"]) for container in containers}


def claim_differences(source: Json, copy: Json) -> list[str]:
    """In what a restored claim differs from its source: class, size, modes, labels, annotations."""
    pairs = {
        "class": [claim["spec"].get("storageClassName") for claim in (source, copy)],
        "size": [claim["spec"]["resources"]["requests"]["storage"] for claim in (source, copy)],
        "access modes": [claim["spec"].get("accessModes") for claim in (source, copy)],
        "volume mode": [claim["spec"].get("volumeMode") for claim in (source, copy)],
        "labels": [_own(labels_of(claim)) for claim in (source, copy)],
        "annotations": [_own(claim["metadata"].get("annotations") or {}) for claim in (source, copy)],
    }
    return [f"its {what} is {found}, not {wanted}" for what, (wanted, found) in pairs.items() if wanted != found]


def _own(marks: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in marks.items() if not name.startswith(SET_BY_OTHERS)}
