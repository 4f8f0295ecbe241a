"""One cluster and one bucket for all tests, in memory: objects are stored, and what a test says happens to them.

:class:`FakeCluster` is the suite's driver with the API server replaced; ``tests/api_server.py`` serves the same
:class:`ObjectStore` by HTTP.
"""

from __future__ import annotations

import copy
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from fixtures.environment.cluster import TargetClients
from velero_acceptance.core.errors import AcceptanceError
from velero_acceptance.core.programs import ExecResult
from velero_acceptance.core.settings import Environment, S3Access, Target
from velero_acceptance.core.timeouts import Timeouts
from velero_acceptance.core.waiting import Deadline
from velero_acceptance.corpus.uploaders import UPLOADERS
from velero_acceptance.drivers.kinds import Json, Kind, labels_of, name_of
from velero_acceptance.drivers.kubernetes import ApiError, Kubernetes
from velero_acceptance.drivers.s3 import Bucket
from velero_acceptance.drivers.velero import Velero

# The path of one object; that of a collection ends earlier.
OBJECT = re.compile(r"/(api/[^/]+|apis/[^/]+/[^/]+)(/namespaces/[^/]+)?/[^/]+/[^/]+")
SELECTOR = re.compile(r"(?P<no>!?)(?P<key>[^ =!,]+)(?: in \((?P<values>[^)]*)\)|=(?P<value>[^,]*))?(?:,|$)")
NOWHERE = Path("/nowhere")
RUN_ID = "20261123-1200-abcd"
Hook = Callable[[str, str, Json], None]
Reaction = Callable[[Json], None]


class ObjectStore:
    """Objects by path. *before* is called ahead of every request with method, path and body."""

    def __init__(self) -> None:
        self.objects: dict[str, Json] = {}
        self.asked: list[tuple[str, str]] = []
        self.before: Hook = lambda *_: None
        self.version = 0
        self.kinds: dict[Kind, None] = {}

    def put(self, kind: Kind, item: Json, namespace: str | None = None) -> Json:
        """Store an object, as if somebody had created it."""
        self.kinds[kind] = None
        return self.keep(kind.path(namespace or item["metadata"].get("namespace"), name_of(item)), item)

    def keep(self, path: str, item: Json) -> Json:
        self.version += 1
        item["metadata"]["resourceVersion"] = str(self.version)
        if namespace := re.search(r"/namespaces/([^/]+)/[^/]+/[^/]+$", path):
            item["metadata"].setdefault("namespace", namespace[1])
        self.objects[path] = item
        return item

    def answer(self, method: str, path: str, query: Mapping[str, str], body: Json) -> tuple[int, Json]:
        """The status and the JSON of an answer."""
        if method == "POST":
            return self._create(path, body)
        if method == "PATCH":
            return self._patch(path, body)
        if path == "/version":
            return 200, {"gitVersion": "v1.36.4"}
        if found_kinds := self._discovery(path):
            return 200, found_kinds
        if OBJECT.fullmatch(path):
            found = self._delete(path) if method == "DELETE" else self.objects.get(path)
            return (200, found) if found is not None else (404, {"message": "not found"})
        items = self._below(path, query.get("labelSelector", ""), query.get("fieldSelector", ""))
        metadata = {"resourceVersion": str(self.version)}
        if "limit" in query:
            start, size = int(query.get("continue", 0)), int(query["limit"])
            rest = {"continue": str(start + size)} if len(items) > start + size else {}
            items, metadata = items[start : start + size], {**metadata, **rest}
        return 200, {"items": items, "metadata": metadata}

    def _discovery(self, path: str) -> Json | None:
        """The groups of the kinds that were put, or the resources of one."""
        if path == "/apis":
            groups = {kind.group: kind.version for kind in self.kinds if kind.group}
            return {"groups": [{"name": g, "preferredVersion": {"version": v}} for g, v in groups.items()]}
        here = [kind for kind in self.kinds if path == kind.path(None).rpartition("/")[0]]
        resources = [{"kind": k.kind, "name": k.plural, "namespaced": k.namespaced, "verbs": ["list"]} for k in here]
        return {"resources": resources} if here or path == "/api/v1" else None

    def _below(self, path: str, labels: str, fields: str) -> list[Json]:
        plural = path.rpartition("/")[2]
        everywhere = [item for place, item in self.objects.items() if place.split("/")[-2] == plural]
        below = [item for place, item in self.objects.items() if place.rpartition("/")[0] == path]
        name = fields.removeprefix("metadata.name=")
        found = below if "/namespaces/" in path else everywhere
        return [item for item in found if fits(item, labels) and name in ("", name_of(item))]

    def _create(self, path: str, body: Json) -> tuple[int, Json]:
        body = copy.deepcopy(body)
        body["metadata"].setdefault("name", f"{body['metadata'].get('generateName', '')}{self.version}")
        place = f"{path}/{name_of(body)}"
        if place in self.objects:
            return 409, {"message": "already exists"}
        body["metadata"].setdefault("uid", f"uid-{self.version}")
        body["metadata"].setdefault("creationTimestamp", f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}")
        return 201, self.keep(place, body)

    def _patch(self, path: str, body: Json) -> tuple[int, Json]:
        item = self.objects.get(path)
        if item is None:
            return 404, {"message": "not found"}
        version = (body.get("metadata") or {}).get("resourceVersion")
        if version not in (None, item["metadata"]["resourceVersion"]):
            return 409, {"message": "the object has been modified"}
        return 200, self.keep(path, merged(item, body))

    def _delete(self, path: str) -> Json | None:
        self.version += 1
        return self.objects.pop(path, None)


def merged(item: Json, change: Json) -> Json:
    """*item* with *change* merged into it (RFC 7386)."""
    result: dict[str, Any] = dict(item)
    for key, value in change.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key) or {}, value) if isinstance(value, dict) else value
    return result


def fits(item: Json, selector: str) -> bool:
    """Whether the labels of *item* match a selector: ``a=b,c,!d,e in (f, g)``."""
    labels = labels_of(item)
    for term in SELECTOR.finditer(selector):
        allowed = [v.strip() for v in (term["values"] or "").split(",")] if term["values"] else [term["value"]]
        here = term["key"] in labels and (allowed == [None] or labels[term["key"]] in allowed)
        if here == bool(term["no"]):
            return False
    return True


class FakeCluster(Kubernetes):
    """The driver on an object store. What happens in the cluster is up to the test:

    :meth:`on` names what follows a write at once, *later* is what happens one by one while somebody watches. A watch
    for which nothing more happens ends as if its deadline had passed, so that no test waits.
    """

    def __init__(self, items: Mapping[Kind, Iterable[Json]] | None = None) -> None:
        self.kubeconfig, self.context = Path("/nowhere/kubeconfig"), None
        self.store = ObjectStore()
        self.later: deque[Callable[[], object]] = deque()
        self.log_texts: dict[str, str] = {}
        self.executed: list[tuple[str, ...]] = []
        self.outputs: Callable[[tuple[str, ...]], bytes] = lambda _: b""
        self.texts: dict[str, str] = {}
        self.unlistable: dict[Kind, ApiError] = {}
        self._reactions: list[tuple[str, Kind, Reaction]] = []
        for kind, found in (items or {}).items():
            self.store.kinds[kind] = None
            for item in found:
                self.put(kind, item)

    # -- what a test arranges -----------------------------------------------------------------

    def put(self, kind: Kind, item: Json, namespace: str | None = None) -> Json:
        return self.store.put(kind, item, namespace)

    def change(self, kind: Kind, name: str, namespace: str | None, change: Json) -> None:
        """Merge *change* into an object as a controller does, which nobody asked of the API server."""
        path = kind.path(namespace, name)
        self.store.keep(path, merged(self.store.objects[path], change))

    def drop(self, kind: Kind, name: str, namespace: str | None = None) -> None:
        """Remove an object as a controller does."""
        self.store.answer("DELETE", kind.path(namespace, name), {}, {})

    def on(self, method: str, kind: Kind, reaction: Reaction) -> None:
        """Call *reaction* with each object of *kind* that was created (POST), patched (PATCH) or deleted (DELETE)."""
        self._reactions.append((method, kind, reaction))

    def written(self, method: str = "") -> list[str]:
        """The writes so far, as ``POST pods/name``, or without the method when one is given."""
        writes = [(verb, "/".join(path.split("/")[-2:])) for verb, path in self.store.asked if verb != "GET"]
        return [path if method else f"{verb} {path}" for verb, path in writes if method in ("", verb)]

    # -- the driver ---------------------------------------------------------------------------

    def _json(  # type: ignore[override]  # not retried
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Json | None = None,
        content: str = "application/json",
        accept: str = "",
        part: str = "",
    ) -> Json:
        asked = f"{path}/{body['metadata'].get('name', '')}" if method == "POST" and body else path
        self.store.asked.append((method, asked))
        self.store.before(method, asked, body or {})
        for kind, error in self.unlistable.items():
            if path.rpartition("/")[2] == kind.plural:
                raise error
        status, answer = self.store.answer(method, path, query or {}, copy.deepcopy(body or {}))
        if status >= 400:
            raise ApiError(status, answer["message"])
        found = copy.deepcopy(answer)
        for verb, kind, reaction in self._reactions if method != "GET" else []:
            if verb == method and path.split("/")[-1 if method == "POST" else -2] == kind.plural:
                reaction(copy.deepcopy(answer))
        return found

    def watch(
        self, kind: Kind, namespace: str | None = None, *, labels: str = "", fields: str = "", deadline: Deadline
    ) -> Iterator[dict[str, Json]]:
        shown = -1
        while True:
            if self.store.version != shown:
                shown = self.store.version
                yield {name_of(item): item for item in self.list_all(kind, namespace, labels=labels, fields=fields)}
            elif self.later:
                self.later.popleft()()
            else:
                return

    def listable_kinds(self, away: dict[str, str] | None = None) -> list[Kind]:
        return list(self.store.kinds)

    def logs(self, pod: str, namespace: str, container: str) -> str:
        return self.log_texts.get(pod, "")

    def text(self, path: str) -> str:
        return self.texts[path]

    def token(self, account: str, namespace: str) -> SecretStr:
        return SecretStr(f"token of {account} in {namespace}")

    def server_time(self) -> datetime:
        return datetime.now(UTC).replace(microsecond=0)

    def execute(self, pod: str, namespace: str, container: str, *command: str, timeout: float) -> ExecResult:
        self.executed.append((pod, *command))
        return ExecResult(self.outputs(command), "", 0)


class FakeBucket(Bucket):
    """A bucket whose objects are *contents* by key; *uploads* are the keys of incomplete uploads."""

    def __init__(self, contents: Mapping[str, bytes] | None = None) -> None:
        self.name = "bucket"
        self.contents, self.uploads = dict(contents or {}), list[str]()

    def _list(self, prefix: str) -> list[Any]:
        now = datetime.now(UTC)
        found = sorted((key, len(content)) for key, content in self.contents.items() if key.startswith(prefix))
        return [{"Key": key, "Size": size, "ETag": str(size), "LastModified": now} for key, size in found]

    def folders(self, prefix: str) -> set[str]:
        below = (key.removeprefix(prefix) for key in self.contents if key.startswith(prefix))
        return {key.partition("/")[0] for key in below if "/" in key}

    def get(self, key: str) -> bytes:
        if key not in self.contents:
            raise AcceptanceError(f"s3://{self.name}/{key} does not exist")
        return self.contents[key]

    def incomplete_uploads(self) -> list[str]:
        return self.uploads

    def put(self, key: str, content: bytes) -> None:
        self.contents[key] = content

    def delete(self, *keys: str) -> None:
        for key in keys:
            self.contents.pop(key, None)


def ready(item: Json, *, is_so: bool = True) -> Json:
    """*item* with the condition Ready."""
    return merged(item, {"status": {"conditions": [{"type": "Ready", "status": str(is_so)}]}})


def environment(**changes: Any) -> Environment:
    """Settings of a target that does not exist."""
    access = S3Access(endpoint="https://127.0.0.1:9000", access_key=SecretStr("a"), secret_key=SecretStr("b"))
    paths = dict.fromkeys(("kubeconfig", "corpus", "ledger", "soak"), NOWHERE)
    return Environment(**{"target": Target.CURRENT, "s3": access, "corpus_image": "image", **paths, **changes})


def make_target(
    cluster: FakeCluster | None = None,
    bucket: FakeBucket | None = None,
    timeouts: Timeouts | None = None,
    **settings: Any,
) -> TargetClients:
    """The clients of a target in memory."""
    place, kubernetes, table = environment(**settings), cluster or FakeCluster(), timeouts or Timeouts()
    velero = Velero(kubernetes, place.velero_namespace, place.location, table)
    return TargetClients(place, kubernetes, velero, bucket or FakeBucket(), UPLOADERS[place.uploader], table)
