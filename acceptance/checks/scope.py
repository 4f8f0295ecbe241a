"""AC-005-03: which namespaces a backup really holds."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence


def namespaces_in(resource_list: Mapping[str, Sequence[str]]) -> set[str]:
    """The namespaces of the objects in a backup's resource list (``-resource-list.json.gz``)."""
    found = {name.partition("/")[0] for names in resource_list.values() for name in names if "/" in name}
    return found | set(resource_list.get("v1/Namespace", []))


def namespaces_archived(members: Iterable[str]) -> set[str]:
    """The namespaces of the objects in a backup's archive, by the names in it (``resources/*/namespaces/*/*``)."""
    parts = (name.removeprefix("./").split("/") for name in members)
    paths = [path for path in parts if path[0] == "resources" and path[-1].endswith(".json")]
    objects = {path[path.index("namespaces", 2) + 1] for path in paths if "namespaces" in path[2:-1]}
    return objects | {path[-1].removesuffix(".json") for path in paths if path[1] == "namespaces"}


def missing(wanted: Collection[str], held: Collection[str]) -> list[str]:
    """Namespaces that the backup was to hold and does not: absent, or left out by a label, without an error."""
    return sorted(set(wanted) - set(held))


def foreign(wanted: Collection[str], held: Collection[str]) -> list[str]:
    """Namespaces that the backup holds and was not to."""
    return sorted(set(held) - set(wanted))
