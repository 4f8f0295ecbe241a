"""A small API server that keeps objects: create, read, list by label, merge, delete, and refuse a stale version."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

from tests.serving import served
from velero_acceptance.drivers.kinds import Json, Kind
from velero_acceptance.drivers.kubernetes import Kubernetes

# The path of one object; that of a collection ends earlier.
OBJECT = re.compile(r"/(api/[^/]+|apis/[^/]+/[^/]+)(/namespaces/[^/]+)?/[^/]+/[^/]+")
Hook = Callable[[str, str, Json], None]


class ApiServer(ThreadingHTTPServer):
    """Objects by path. *asked* are methods and paths; *before* is called ahead of every request."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.objects: dict[str, Json] = {}
        self.asked: list[tuple[str, str]] = []
        self.away = False
        self.before: Hook = lambda *_: None
        self.version = 0

    def put(self, kind: Kind, item: Json, namespace: str | None = None) -> Json:
        """Keep an object, as if somebody had created it."""
        return self.keep(kind.path(namespace, item["metadata"]["name"]), item)

    def keep(self, path: str, item: Json) -> Json:
        self.version += 1
        item["metadata"]["resourceVersion"] = str(self.version)
        self.objects[path] = item
        return item


class Handler(BaseHTTPRequestHandler):
    server: ApiServer

    def handle_any(self) -> None:
        url = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        body: Json = json.loads(self.rfile.read(length)) if length else {}
        self.server.asked.append((self.command, url.path))
        self.server.before(self.command, url.path, body)
        if self.server.away:
            self.close_connection = True
            return
        status, answer = self._answer(url.path, {k: v[0] for k, v in parse_qs(url.query).items()}, body)
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    do_GET = do_POST = do_PATCH = do_DELETE = handle_any  # noqa: N815  the names are http.server's

    def _answer(self, path: str, query: dict[str, str], body: Json) -> tuple[int, Json]:
        objects = self.server.objects
        if self.command == "POST":
            return self._create(f"{path}/{body['metadata']['name']}", body)
        if self.command == "PATCH":
            return self._patch(path, body)
        if path == "/version":
            return 200, {"gitVersion": "v1.36.4"}
        if OBJECT.fullmatch(path):
            found = objects.pop(path, None) if self.command == "DELETE" else objects.get(path)
            return (200, found) if found is not None else (404, {"message": "not found"})
        wanted, plural = query.get("labelSelector", ""), path.rpartition("/")[2]
        everywhere = [item for place, item in objects.items() if place.split("/")[-2] == plural]
        below = [item for place, item in objects.items() if place.rpartition("/")[0] == path]
        items = [item for item in (below if "/namespaces/" in path else everywhere) if _fits(item, wanted)]
        return 200, {"items": items, "metadata": {"resourceVersion": str(self.server.version)}}

    def _create(self, path: str, body: Json) -> tuple[int, Json]:
        if path in self.server.objects:
            return 409, {"message": "already exists"}
        return 201, self.server.keep(path, body)

    def _patch(self, path: str, body: Json) -> tuple[int, Json]:
        item = self.server.objects.get(path)
        if item is None:
            return 404, {"message": "not found"}
        version = (body.get("metadata") or {}).get("resourceVersion")
        if version not in (None, item["metadata"]["resourceVersion"]):
            return 409, {"message": "the object has been modified"}
        return 200, self.server.keep(path, merged(item, body))

    def log_message(self, *_: object) -> None:
        pass


def merged(item: Json, change: Json) -> Json:
    """*item* with *change* merged into it (RFC 7386)."""
    result: dict[str, Any] = dict(item)
    for key, value in change.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key) or {}, value) if isinstance(value, dict) else value
    return result


def _fits(item: Json, selector: str) -> bool:
    labels = item["metadata"].get("labels") or {}
    for term in filter(None, selector.split(",")):
        key, equals, value = term.partition("=")
        if key not in labels or (equals and labels[key] != value):
            return False
    return True


@contextmanager
def serving() -> Iterator[ApiServer]:
    """An API server that runs while the body does."""
    server = ApiServer()
    with served(server):
        yield server


def client(server: ApiServer, folder: Path) -> Kubernetes:
    """The suite's driver for it."""
    path = folder / "kubeconfig"
    content = {
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
        "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    path.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Config", **content}))
    return Kubernetes(path, call_seconds=5)
