"""What is left of a run anywhere on the cluster: every kind that the account may list, in every namespace."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from velero_acceptance.core.naming import RUN_LABEL, SCENARIO_LABEL, belongs_to_run
from velero_acceptance.drivers.kinds import NAMESPACE, Json, Kind
from velero_acceptance.drivers.kubernetes import ApiError, Kubernetes

AT_ONCE = 4
# Events outlive what they are about. Helm's labels on a definition say which release wrote it last.
NOT_SEARCHED = frozenset({"Event", "PodMetrics", "CustomResourceDefinition"})
# By these labels Velero and Flux say whose an object is.
OWNER_LABELS = ("velero.io/", "helm.toolkit.fluxcd.io/", "kustomize.toolkit.fluxcd.io/")
UNLISTABLE = (403, 404, 405, 503)


@dataclass(frozen=True)
class Leftover:
    """An object of a run; *finalizers* keep it when it is being deleted."""

    kind: Kind
    name: str
    namespace: str
    owner: str
    deleting: bool
    finalizers: tuple[str, ...]

    def __str__(self) -> str:
        place = f"{self.namespace}/" if self.namespace else ""
        held = f", held by {', '.join(self.finalizers)}" if self.finalizers else ""
        waits = f", being deleted{held}" if self.deleting else ""
        return f"{self.kind.kind} {place}{self.name} of {self.owner}{waits}"


class LeftoverSearch:
    """The search for what *run* left. The first look is at every kind, the next at those that had any."""

    def __init__(self, kubernetes: Kubernetes, run: str) -> None:
        self._kubernetes, self._run = kubernetes, run
        self._kinds = [kind for kind in kubernetes.listable_kinds({}) if kind.kind not in NOT_SEARCHED]
        self._suspects: list[Kind] = []

    def look(self) -> list[Leftover]:
        """What is there now; of a namespace that is there only the namespace, and what holds it."""
        found = self._look(self._suspects) if self._suspects else []
        found = found or self._look(self._kinds)
        self._suspects = list(dict.fromkeys(item.kind for item in found))
        places = {item.name for item in found if item.kind == NAMESPACE}
        return [item for item in found if item.namespace not in places or (item.deleting and item.finalizers)]

    def _look(self, searched: list[Kind]) -> list[Leftover]:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            lists = pool.map(self._metadata, searched)
            return [item for kind, found in zip(searched, lists, strict=True) for item in self._of_run(kind, found)]

    def _metadata(self, kind: Kind) -> list[Json]:
        try:
            return self._kubernetes.list_metadata(kind)
        except ApiError as error:
            if error.status in UNLISTABLE:
                return []
            raise

    def _of_run(self, kind: Kind, found: list[Json]) -> Iterator[Leftover]:
        for metadata in found:
            if owner := self._owner(metadata):
                deleting = "deletionTimestamp" in metadata
                finalizers = tuple(metadata.get("finalizers") or ()) if deleting else ()
                namespace = str(metadata.get("namespace") or "")
                yield Leftover(kind, str(metadata["name"]), namespace, owner, deleting, finalizers)

    def _owner(self, metadata: Json) -> str:
        """The scenario or the name of the run that an object belongs to; empty when it is another's."""
        labels = metadata.get("labels") or {}
        if labels.get(RUN_LABEL) == self._run:
            return str(labels.get(SCENARIO_LABEL, "?"))
        named = [value for key, value in labels.items() if key.startswith(OWNER_LABELS)]
        names = [*named, metadata["name"], metadata.get("namespace") or ""]
        return next((name for name in names if belongs_to_run(name, self._run)), "")
