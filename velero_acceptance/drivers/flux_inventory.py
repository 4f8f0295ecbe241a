"""The objects that Flux applies: of a HelmRelease by Helm's own record, of a Kustomization by its inventory.

Sources: https://fluxcd.io/flux/components/helm/helmreleases/#history,
https://fluxcd.io/flux/components/kustomize/kustomizations/#inventory.
"""

import base64
import gzip
import json
from dataclasses import dataclass
from typing import Any

import yaml

from velero_acceptance.core.errors import AcceptanceError
from velero_acceptance.drivers.kinds import SECRET, Json, Kind, labels_of, name_of, namespace_of
from velero_acceptance.drivers.kubernetes import ApiError, Kubernetes

# The field manager of a Kustomization's objects.
KUSTOMIZE_CONTROLLER = "kustomize-controller"
KUSTOMIZE_LABELS = "kustomize.toolkit.fluxcd.io/"


@dataclass(frozen=True)
class AppliedObject:
    """An object that Flux applies.

    *desired* is what Flux sets of it. *live* is None when it was deleted, or when the account may not read it.
    """

    kind: Kind
    name: str
    namespace: str | None
    desired: Json
    live: Json | None

    def __str__(self) -> str:
        return f"{self.kind.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind.kind} {self.name}"


class FluxInventory:
    """What Flux applies on one cluster. Raises AcceptanceError where Helm or Flux has recorded nothing."""

    def __init__(self, kubernetes: Kubernetes) -> None:
        self._kubernetes = kubernetes
        self._kinds = {(kind.group, kind.kind): kind for kind in kubernetes.listable_kinds({})}

    def of_release(self, release: Json) -> list[AppliedObject]:
        """The objects of a HelmRelease, as Helm rendered them last; definitions of a chart's crds/ are none of them."""
        record = self._helm_record(release)
        objects = []
        for item in filter(None, yaml.safe_load_all(record["manifest"])):
            namespace = item["metadata"].get("namespace") or record["namespace"]
            group = str(item["apiVersion"]).rpartition("/")[0]
            objects += self._applied(group, str(item["kind"]), name_of(item), namespace, item)
        return objects

    def of_kustomization(self, kustomization: Json) -> list[AppliedObject]:
        """The objects of a Kustomization, with the fields that Flux manages."""
        entries = ((kustomization.get("status") or {}).get("inventory") or {}).get("entries") or []
        if not entries:
            raise AcceptanceError(f"the Kustomization {name_of(kustomization)} has no inventory: Flux applied nothing")
        return [found for entry in entries for found in self._applied(*_identity(entry["id"]), None)]

    def _helm_record(self, release: Json) -> Json:
        """Helm's record of the release that is deployed: its Secret holds gzipped JSON, encoded twice."""
        status = release.get("status") or {}
        namespace = str(status.get("storageNamespace") or namespace_of(release))
        name = next((entry["name"] for entry in status.get("history") or []), name_of(release))
        secrets = self._kubernetes.list_all(SECRET, namespace, labels=f"owner=helm,name={name},status=deployed")
        if not secrets:
            raise AcceptanceError(f"Helm has no record of a deployed release {namespace}/{name}")
        newest = max(secrets, key=lambda secret: int(labels_of(secret)["version"]))
        content = base64.b64decode(base64.b64decode(newest["data"]["release"]))
        return dict(json.loads(gzip.decompress(content)))

    def _applied(
        self, group: str, kind_name: str, name: str, namespace: str, desired: Json | None
    ) -> list[AppliedObject]:
        """The object; none of a kind that the cluster does not list."""
        kind = self._kinds.get((group, kind_name))
        if kind is None:
            return []
        place = namespace if kind.namespaced else None
        live = self._live(kind, name, place)
        if desired is None:
            desired = managed_fields(live or {"metadata": {"name": name}}, KUSTOMIZE_CONTROLLER)
        return [AppliedObject(kind, name, place, desired, live)]

    def _live(self, kind: Kind, name: str, namespace: str | None) -> Json | None:
        try:
            return self._kubernetes.get(kind, name, namespace)
        except ApiError as error:
            if error.status == 403:
                return None
            raise


def appliers(*items: Json) -> list[tuple[str, str]]:
    """Name and namespace of the Kustomizations that apply *items*, by the labels that Flux sets, without repetition."""
    labels = [labels_of(item) for item in items]
    found = ((of.get(f"{KUSTOMIZE_LABELS}name"), of.get(f"{KUSTOMIZE_LABELS}namespace")) for of in labels)
    return list(dict.fromkeys((name, namespace) for name, namespace in found if name and namespace))


def _identity(text: str) -> tuple[str, str, str, str]:
    """Group, kind, name and namespace of ``<namespace>_<name>_<group>_<kind>``; a colon of a name is written ``__``."""
    namespace, _, rest = text.partition("_")
    rest, _, kind = rest.rpartition("_")
    name, _, group = rest.rpartition("_")
    return group, kind, name.replace("__", ":"), namespace


def managed_fields(item: Json, manager: str) -> Json:
    """The part of *item* whose fields *manager* has applied."""
    entries = [entry for entry in item["metadata"].get("managedFields") or [] if entry.get("manager") == manager]
    found: Json = {"metadata": {"name": name_of(item)}}
    for entry in entries:
        part = _restricted(item, entry["fieldsV1"])
        metadata = {**found["metadata"], **part.pop("metadata", {})}
        found = {**found, **part, "metadata": metadata}
    return found


def _restricted(value: Any, fields: Json) -> Any:
    """The fields of a mapping that are managed; a list, whose elements are managed one by one, is kept whole."""
    keys = {key.removeprefix("f:"): below for key, below in fields.items() if key.startswith("f:")}
    if not isinstance(value, dict) or not keys:
        return value
    return {key: _restricted(value[key], below) for key, below in keys.items() if key in value}
