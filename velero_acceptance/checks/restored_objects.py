"""AC-004-03, AC-004-05: whether a restored namespace has every object of its source, and the same claims."""

from collections.abc import Mapping, Sequence

from velero_acceptance.drivers.kinds import CLAIM, Json, labels_of, name_of

# Kubernetes gives these to every namespace.
GIVEN = frozenset({("ConfigMap", "kube-root-ca.crt"), ("ServiceAccount", "default")})
# Labels and annotations that Velero, or the binding of a claim to a volume, sets on the restored object.
SET_BY_OTHERS = ("velero.io/", "pv.kubernetes.io/", "volume.kubernetes.io/", "volume.beta.kubernetes.io/")


def missing(source: Mapping[str, Sequence[Json]], restored: Mapping[str, Sequence[Json]]) -> list[str]:
    """The objects of *source* that *restored* has not, as ``kind/name``; what a controller makes does not count.

    Both are objects by kind.
    """
    held = {(kind, name_of(item)) for kind, items in restored.items() for item in items}
    own = [
        (kind, name_of(i)) for kind, items in source.items() for i in items if "ownerReferences" not in i["metadata"]
    ]
    return [f"{kind}/{name}" for kind, name in sorted(set(own) - held - GIVEN)]


def altered(source: Mapping[str, Sequence[Json]], restored: Mapping[str, Sequence[Json]]) -> list[str]:
    """Restored claims and workloads that are not as their source: Velero rewrites them where a ConfigMap says so.

    Both are objects by kind. Source: https://velero.io/docs/main/restore-reference/#changing-pvpvc-storage-classes.
    """
    held = {(kind, name_of(item)): item for kind, items in restored.items() for item in items}
    pairs = [(kind, i, held.get((kind, name_of(i)))) for kind, items in source.items() for i in items]
    return [
        f"{kind}/{name_of(item)}: {line}"
        for kind, item, copy in pairs
        if copy is not None
        for line in (claim_differences(item, copy) if kind == CLAIM.kind else _image_differences(item, copy))
    ]


def _image_differences(source: Json, copy: Json) -> list[str]:
    """The containers of a workload's pods that run another image than those of its source."""
    wanted, found = _images(source), _images(copy)
    return [
        f"its {name} runs {found.get(name)}, not {image}" for name, image in wanted.items() if found.get(name) != image
    ]


def _images(workload: Json) -> dict[str, str]:
    pod = ((workload.get("spec") or {}).get("template") or {}).get("spec") or {}
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
