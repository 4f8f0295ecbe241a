"""AC-007-04: whether the files that Flux deploys from have the design's layout, and apply in their order.

Source: the design's "FluxCD GitOps Structure", with the Schedule in a Kustomization of its own
(erratum E-10). Everything is judged from texts by path and from what kustomize makes of folders.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from velero_acceptance.core.errors import AcceptanceError
from velero_acceptance.drivers import kustomize
from velero_acceptance.drivers.kinds import HELM_RELEASE, KUSTOMIZATION, SCHEDULE, Json, name_of

APPS = "kubernetes/apps"
VELERO = f"{APPS}/velero"
KS = f"{VELERO}/ks.yaml"
LAYOUT = (
    KS,
    f"{VELERO}/app/kustomization.yaml",
    f"{VELERO}/app/helmrelease.yaml",
    f"{VELERO}/app/velero-s3-secret.sops.yaml",
    f"{VELERO}/schedule/kustomization.yaml",
    f"{VELERO}/schedule/schedule.yaml",
)
# For people, never applied.
NOT_APPLIED = re.compile(r"\.example\.ya?ml$|\.md$")
REMOTE = re.compile(r"://|[?&]ref=")

Files = Mapping[str, str]
Rendered = Mapping[str, Iterable[Json]]


def kustomizations(files: Files) -> list[Json]:
    """Flux's Kustomizations in ks.yaml, in their order."""
    return [item for item in _documents(files, KS) if item.get("kind") == KUSTOMIZATION.kind]


def folder_of(kustomization: Json) -> str:
    """The folder that a Kustomization of Flux applies, from the root of the repository."""
    return posixpath.normpath(kustomization["spec"].get("path") or ".")


def folders(files: Files) -> list[str]:
    """What Flux builds for Velero: the folder that names ks.yaml, if it has a kustomization, and those in ks.yaml."""
    above = [APPS] if _file_of(APPS) in files else []
    return above + [folder_of(item) for item in kustomizations(files)]


def paths_missing(files: Files) -> list[str]:
    """Files and folders that the layout, ks.yaml or a kustomization names and that are not there."""
    return sorted({path for path in LAYOUT if path not in files} | _reach(files)[1])


def orphan_files(files: Files) -> list[str]:
    """Files of Velero's folder that nothing refers to: they look deployed and are not."""
    used, _ = _reach(files)
    own = {path for path in files if path.startswith(f"{VELERO}/") and not NOT_APPLIED.search(path)}
    return sorted(own - used)


def schedules(rendered: Rendered) -> list[str]:
    """Every Schedule that would come of the folders: as an object, or as a value of a release."""
    found = []
    for folder, item in _items(rendered):
        if _is_schedule(item):
            found.append(f"{name_of(item)} in {folder}")
        if item["kind"] == HELM_RELEASE.kind:
            values = (item["spec"].get("values") or {}).get("schedules") or {}
            enabled = (name for name, value in values.items() if not (value or {}).get("disabled"))
            found += [f"{name_of(item)}-{name} in the values of HelmRelease {name_of(item)}" for name in enabled]
    return found


def order_faults(files: Files, rendered: Rendered) -> list[str]:
    """Why objects of Velero would be applied before their definitions, which come with the release."""
    items = kustomizations(files)
    names = {name_of(item) for item in items}
    bringing = {name_of(k) for k in items if any(i["kind"] == HELM_RELEASE.kind for i in rendered[folder_of(k)])}
    found: list[str] = []
    before: dict[str, set[str]] = {}
    for item in items:
        name, needed = name_of(item), {entry["name"] for entry in item["spec"].get("dependsOn") or []}
        found += [f"{name} depends on {late}, which does not come before it" for late in needed & names - set(before)]
        before[name] = needed.union(*(before.get(entry, set()) for entry in needed))
        if name in bringing and not (item["spec"].get("wait") or item["spec"].get("healthChecks")):
            found.append(f"{name} is ready before its release is: it has neither wait nor healthChecks")
        if not any(_is_velero(entry) for entry in rendered[folder_of(item)]):
            continue
        if name in bringing:
            found.append(f"{name} has an object of Velero beside the release that brings its definition")
        elif not before[name] & bringing:
            found.append(f"{name} does not wait for the release: dependsOn names none that brings it")
    return found


def _reach(files: Files) -> tuple[set[str], set[str]]:
    """Files that are referred to, starting from what Flux builds, and paths that are named and not there."""
    todo, seen = folders(files), set[str]()
    # Without a kustomization above it Flux makes one of all files there are.
    used, missing = set() if _file_of(APPS) in files else {KS}, set[str]()
    while todo:
        folder = todo.pop()
        if folder in seen:
            continue
        seen.add(folder)
        if _file_of(folder) not in files:
            missing.add(_file_of(folder))
            continue
        used.add(_file_of(folder))
        for name in _named(files, folder):
            path = posixpath.normpath(posixpath.join(folder, name))
            if path in files:
                used.add(path)
            elif any(file.startswith(f"{path}/") for file in files):
                todo.append(path)
            else:
                missing.add(path)
    return used, missing


def _named(files: Files, folder: str) -> Iterator[str]:
    """Files and folders that the kustomization of *folder* names."""
    for content in _documents(files, _file_of(folder)):
        names = [*(content.get("resources") or []), *(content.get("components") or [])]
        names += [patch["path"] for patch in content.get("patches") or [] if "path" in patch]
        for kind in ("configMapGenerator", "secretGenerator"):
            names += [f.partition("=")[2] or f for g in content.get(kind) or [] for f in g.get("files") or []]
        yield from (name for name in names if not REMOTE.search(name))


def _file_of(folder: str) -> str:
    return posixpath.normpath(f"{folder}/kustomization.yaml")


def _documents(files: Files, path: str) -> list[Any]:
    try:
        return [document for document in yaml.safe_load_all(files.get(path, "")) if document]
    except yaml.YAMLError as error:
        raise AcceptanceError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None


def _items(rendered: Rendered) -> Iterator[tuple[str, Json]]:
    return ((folder, item) for folder, items in rendered.items() for item in items)


def _is_velero(item: Json) -> bool:
    return str(item["apiVersion"]).startswith(f"{SCHEDULE.group}/")


def _is_schedule(item: Json) -> bool:
    return _is_velero(item) and item["kind"] == SCHEDULE.kind


def findings(tree: Path) -> dict[str, list[str]]:
    """Everything that is wrong with a tree, by threshold; under *schedules* every Schedule."""
    files = kustomize.texts(tree)
    built = {folder: kustomize.build(tree / folder) for folder in folders(files)}
    rendered = {folder: result.items for folder, result in built.items()}
    return {
        "paths_missing": paths_missing(files),
        "orphan_files": orphan_files(files),
        "builds_failed": [f"{folder}: {result.error}" for folder, result in built.items() if result.error],
        "schedules": schedules(rendered),
        "order_faults": order_faults(files, rendered),
    }
