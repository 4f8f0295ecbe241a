"""Edits by hand of objects that Flux applies: whether they are still there, and their removal, also after a killed run.

Each edited object carries its edits in an annotation, with the value before. A Secret or ConfigMap is edited by blanks
at the end of a value, which need no copy of it.
"""

import base64
import copy
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from velero_acceptance.core.naming import EDITED
from velero_acceptance.drivers.kinds import Json, Kind, labels_of, name_of
from velero_acceptance.drivers.kubernetes import ApiError, Kubernetes

BLANKS = "\n \n"
Path = tuple[str, ...]


@dataclass(frozen=True)
class Edit:
    """One edited field. A step ``[x]`` of *path* is the element of a list that is called x.

    Without *what* it only keeps the others from having an effect. None as *before* means that the field was absent;
    None as *after* that blanks were added to a text, which may be *encoded* by base64.
    """

    what: str
    path: Path
    after: Any = None
    before: Any = None
    encoded: bool = False

    def is_in(self, item: Json) -> bool:
        value = find(item, self.path)
        if self.after is None:
            return value is not None and self._text(value).endswith(BLANKS)
        return bool(value == self.after)

    def edited(self, item: Json) -> Any:
        """The value after the edit of *item*."""
        if self.after is not None:
            return self.after
        return self._value(self._text(find(item, self.path)) + BLANKS)

    def original(self, item: Json) -> Any:
        """The value before the edit, of an *item* that has it."""
        if self.after is not None:
            return self.before
        return self._value(self._text(find(item, self.path)).removesuffix(BLANKS))

    def _text(self, value: str) -> str:
        return base64.b64decode(value).decode("latin-1") if self.encoded else value

    def _value(self, text: str) -> str:
        return base64.b64encode(text.encode("latin-1")).decode() if self.encoded else text


def make(kubernetes: Kubernetes, kind: Kind, item: Json, edits: list[Edit], run: str) -> None:
    """Edit an object in one request, and mark it as edited by *run*."""
    values = {edit.path: edit.edited(item) for edit in edits}
    marks = {"labels": {EDITED: run}, "annotations": {EDITED: json.dumps([asdict(edit) for edit in edits])}}
    _patch(kubernetes, kind, item, values, marks)


def undo(kubernetes: Kubernetes, kind: Kind, name: str, namespace: str | None) -> bool:
    """Revert the edits that an object still has, and remove its mark; return whether it was marked."""
    item = kubernetes.get(kind, name, namespace)
    noted = ((item or {}).get("metadata", {}).get("annotations") or {}).get(EDITED)
    if item is None or noted is None:
        return False
    edits = [Edit(**{**entry, "path": tuple(entry["path"])}) for entry in json.loads(noted)]
    values = {edit.path: edit.original(item) for edit in edits if edit.is_in(item)}
    _patch(kubernetes, kind, item, values, {"labels": {EDITED: None}, "annotations": {EDITED: None}})
    return True


def undo_all(kubernetes: Kubernetes) -> Iterator[str]:
    """Revert every edit on the cluster; yield a line for each object that was edited."""
    for kind in kubernetes.listable_kinds({}):
        try:
            edited = kubernetes.list_all(kind, labels=EDITED)
        except ApiError as error:
            if error.status in (403, 404, 405, 503):
                continue
            raise
        for item in edited:
            undo(kubernetes, kind, name_of(item), item["metadata"].get("namespace"))
            yield f"the edits of {kind.kind} {name_of(item)} by {labels_of(item)[EDITED]}"


def find(item: Any, path: Iterable[str]) -> Any:
    """The value at *path*; None where there is none."""
    for step in path:
        if step.startswith("["):
            item = next((element for element in item or [] if element.get("name") == step[1:-1]), None)
        else:
            item = (item or {}).get(step)
    return item


def _patch(kubernetes: Kubernetes, kind: Kind, item: Json, values: dict[Path, Any], metadata: Json) -> None:
    """Set *values* by one merge patch (RFC 7386), in which lists are whole."""
    changed, change = copy.deepcopy(item), {"metadata": dict(metadata)}
    for path, value in values.items():
        listed = next((i for i, step in enumerate(path) if step.startswith("[")), len(path))
        if listed < len(path):
            find(changed, path[:-1])[path[-1]] = value
        place: Json = change
        for step in path[: listed - 1]:
            place = place.setdefault(step, {})
        place[path[listed - 1]] = find(changed, path[:listed]) if listed < len(path) else value
    kubernetes.patch(kind, name_of(item), item["metadata"].get("namespace"), change)
