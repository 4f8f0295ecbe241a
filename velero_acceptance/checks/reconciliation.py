"""What Flux was told not to correct: it reports itself as Ready, and edits by hand stay.

Sources: https://fluxcd.io/flux/components/helm/helmreleases/#drift-detection,
https://fluxcd.io/flux/components/kustomize/kustomizations/#controlling-the-apply-behavior-of-resources.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from velero_acceptance.drivers.flux_inventory import AppliedObject
from velero_acceptance.drivers.kinds import HELM_RELEASE, Json, labels_of, name_of, namespace_of

# Labels or annotations of an object, with the values that exempt it: whether Flux heeds them also where only the
# object in the cluster has them (fluxcd/pkg, ssa/manager_apply.go and ssa/jsondiff/unstructured.go).
EXEMPTING: dict[str, dict[str, dict[str, bool]]] = {
    "HelmRelease": {"helm.toolkit.fluxcd.io/driftDetection": {"disabled": False}},
    "Kustomization": {
        "kustomize.toolkit.fluxcd.io/reconcile": {"disabled": True},
        "kustomize.toolkit.fluxcd.io/ssa": {"ifnotpresent": False, "ignore": True},
        "kustomize.toolkit.fluxcd.io/prune": {"disabled": True},
    },
}
# Flux's documentation advises to keep these out of the pruning: with them goes data.
KEPT = frozenset({"Namespace", "PersistentVolumeClaim", "CustomResourceDefinition"})
SELECTED = ("group", "version", "kind", "name", "namespace")


def exemptions(applier: Json, objects: Sequence[AppliedObject]) -> list[str]:
    """Everything that a HelmRelease or Kustomization (*applier*) does not correct in its *objects*, a line each."""
    kind = str(applier["kind"])
    what = f"{kind} {namespace_of(applier)}/{name_of(applier)}"
    own = _of_release(applier["spec"], objects) if kind == HELM_RELEASE.kind else _of_kustomization(applier["spec"])
    if applier["spec"].get("suspend"):
        own = [*own, "spec.suspend is true"]
    found = [f"{what}: {line}" for line in own]
    return found + [f"{item}: {line}" for item in objects for line in _marks(item, kind)]


def _of_release(spec: Json, objects: Sequence[AppliedObject]) -> list[str]:
    detection = spec.get("driftDetection") or {}
    mode = detection.get("mode") or "disabled"
    if mode != "enabled":
        return [f"spec.driftDetection.mode is {mode}: no edit of its {len(objects)} objects is corrected"]
    return [
        f"spec.driftDetection.ignore names {path or '/'} of {item}"
        for rule in detection.get("ignore") or []
        for item in objects
        if _targets(rule.get("target") or {}, item)
        for path in rule["paths"]
        if _holds(item.desired, path)
    ]


def _of_kustomization(spec: Json) -> list[str]:
    return [] if spec.get("prune") else ["spec.prune is false: what Git no longer has stays"]


def _marks(item: AppliedObject, applier: str) -> Iterator[str]:
    for key, exempting in EXEMPTING[applier].items():
        if key.endswith("/prune") and item.kind.kind in KEPT:
            continue
        values = {value for value in _metadata(item.desired, key) if value.lower() in exempting}
        values |= {value for value in _metadata(item.live or item.desired, key) if exempting.get(value.lower())}
        yield from (f"{key} is {value}" for value in sorted(values))


def _metadata(item: Json, key: str) -> list[str]:
    """The values of *key* among the labels and annotations."""
    sources = (labels_of(item), item["metadata"].get("annotations") or {})
    return [str(source[key]) for source in sources if key in source]


def _targets(target: Json, item: AppliedObject) -> bool:
    """Whether a rule is about an object: its fields are regular expressions, and what it leaves out matches all."""
    kind = item.kind
    actual = (kind.group, kind.version, kind.kind, item.name, item.namespace or "")
    if any(
        target.get(key) and not re.fullmatch(target[key], value) for key, value in zip(SELECTED, actual, strict=True)
    ):
        return False
    annotations = item.desired["metadata"].get("annotations") or {}
    return _selects(target.get("labelSelector"), labels_of(item.desired)) and _selects(
        target.get("annotationSelector"), annotations
    )


def _selects(selector: str | None, values: dict[str, str]) -> bool:
    """Whether each ``key=value`` holds; a selector by sets counts as one that holds."""
    terms = re.findall(r"([^\s,!=()]+)\s*(!=|==?)\s*([^\s,!=()]*)", selector or "")
    return all((values.get(key) == value) is (sign != "!=") for key, sign, value in terms)


def _holds(item: Json, pointer: str) -> bool:
    """Whether Git sets what a JSON pointer (RFC 6901) names; what it does not set, nobody can revert."""
    place: Any = item
    for step in pointer.split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        if isinstance(place, list):
            place = place[int(key)] if key.isdigit() and int(key) < len(place) else None
        else:
            place = place.get(key) if isinstance(place, dict) else None
        if place is None:
            return False
    return True
