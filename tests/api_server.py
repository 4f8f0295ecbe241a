"""An API server that serves an object store by HTTP, for tests of what goes over the wire."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import yaml

from tests.fake_cluster import Hook, ObjectStore
from tests.serving import served
from velero_acceptance.drivers.kinds import Json, Kind
from velero_acceptance.drivers.kubernetes import Kubernetes


class ApiServer(ThreadingHTTPServer):
    """Serves *store*; while it is *away*, it ends every connection; *throttled*, it asks to come back in 2 s."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.store, self.away, self.throttled = ObjectStore(), False, False

    @property
    def objects(self) -> dict[str, Json]:
        return self.store.objects

    @property
    def asked(self) -> list[tuple[str, str]]:
        return self.store.asked

    @property
    def before(self) -> Hook:
        return self.store.before

    @before.setter
    def before(self, hook: Hook) -> None:
        self.store.before = hook

    def put(self, kind: Kind, item: Json, namespace: str | None = None) -> Json:
        return self.store.put(kind, item, namespace)

    def keep(self, path: str, item: Json) -> Json:
        return self.store.keep(path, item)


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
        if self.server.throttled:
            self.send_response(429)
            self.send_header("Retry-After", "2")
            self.end_headers()
            self.wfile.write(b'{"message": "too many requests"}')
            return
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        status, answer = self.server.store.answer(self.command, url.path, query, body)
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    do_GET = do_POST = do_PATCH = do_DELETE = handle_any  # noqa: N815  the names are http.server's

    def log_message(self, *_: object) -> None:
        pass


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
