"""The driver against a small HTTP server that answers as an API server does, errors included."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from tests.serving import served
from velero_acceptance.core.errors import AcceptanceError, Refusal
from velero_acceptance.core.timeouts import Timeouts
from velero_acceptance.core.waiting import Deadline, WaitEnded, WaitTimedOut
from velero_acceptance.drivers.kinds import BACKUP, POD
from velero_acceptance.drivers.kubernetes import ApiError, Kubernetes
from velero_acceptance.drivers.velero import Velero

Answer = tuple[int, list[dict[str, Any]]]


def pod(name: str, version: int, phase: str = "") -> dict[str, Any]:
    return {"metadata": {"name": name, "resourceVersion": str(version)}, "status": {"phase": phase}}


def listing(version: int, *items: dict[str, Any]) -> Answer:
    return 200, [{"items": list(items), "metadata": {"resourceVersion": str(version)}}]


def events(*pairs: tuple[str, dict[str, Any]]) -> Answer:
    return 200, [{"type": kind, "object": item} for kind, item in pairs]


class Server(ThreadingHTTPServer):
    """Gives the scripted answers in order and remembers what was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script: list[Answer] = []
        self.asked: list[str] = []


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server = self.server
        assert isinstance(server, Server)
        server.asked.append(self.path)
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, lines = server.script.pop(0) if server.script else (200, [])
        self.send_response(status)
        self.end_headers()
        self.wfile.write("\n".join(json.dumps(line) for line in lines).encode() + b"\n")

    do_POST = do_PATCH = do_DELETE = do_GET  # noqa: N815  the names are http.server's

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    with served(found):
        yield found


def kubeconfig(path: Path, port: int) -> Path:
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture
def cluster(server: Server, tmp_path: Path) -> Kubernetes:
    return Kubernetes(kubeconfig(tmp_path / "kubeconfig", server.server_port), call_seconds=5)


def running(item: dict[str, Any] | None) -> bool:
    return item is not None and item["status"]["phase"] == "Running"


def test_a_collection_without_any_object_may_have_null_in_place_of_a_list(server: Server, cluster: Kubernetes) -> None:
    """As the API server answers when only metadata is asked for."""
    server.script = [(200, [{"items": None, "metadata": {"resourceVersion": "1"}}])]
    assert cluster.list_metadata(POD) == []


def test_a_missing_object_is_none_and_any_other_refusal_an_error(cluster: Kubernetes, server: Server) -> None:
    server.script += [(404, [{"message": "gone"}]), (403, [{"message": "pods is forbidden"}])]
    assert cluster.get(POD, "p", "n") is None
    with pytest.raises(ApiError, match="pods is forbidden"):
        cluster.get(POD, "p", "n")


def test_a_refused_creation_is_never_taken_for_done(cluster: Kubernetes, server: Server) -> None:
    server.script += [(409, [{"message": 'namespaces "n" already exists'}])]
    with pytest.raises(ApiError, match="already exists"):
        cluster.create(POD, {"metadata": {"name": "p", "namespace": "n"}})


def test_transient_errors_are_retried_and_others_not(cluster: Kubernetes, server: Server) -> None:
    server.script += [(503, [{"message": "busy"}]), (200, [pod("p", 1)]), (400, [{"message": "bad"}])]
    assert cluster.get(POD, "p", "n") is not None
    with pytest.raises(ApiError, match="bad"):
        cluster.get(POD, "p", "n")
    assert len(server.asked) == 3


def test_an_unreachable_server_is_named(tmp_path: Path, server: Server) -> None:
    path = kubeconfig(tmp_path / "k", server.server_port)
    server.shutdown()
    server.server_close()
    with pytest.raises(Refusal, match=r"the API server http://127\.0\.0\.1:\d+ cannot be reached"):
        Kubernetes(path, call_seconds=1).version()


def test_an_unusable_kubeconfig_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="does not exist"):
        Kubernetes(tmp_path / "none")
    (tmp_path / "broken").write_text("kind: Config\n")
    with pytest.raises(Refusal, match="has no current context"):
        Kubernetes(tmp_path / "broken")
    with pytest.raises(Refusal, match="has no context no-such-context"):
        Kubernetes(kubeconfig(tmp_path / "k", 1), "no-such-context")


def test_a_change_between_list_and_watch_is_seen(cluster: Kubernetes, server: Server) -> None:
    server.script += [listing(5, pod("p", 4)), events(("MODIFIED", pod("p", 6, "Running")))]
    found = cluster.wait(POD, "p", "n", until=running, event="it runs", timeout=5)
    assert found is not None and found["metadata"]["resourceVersion"] == "6"
    assert parse_qs(urlsplit(server.asked[1]).query)["resourceVersion"] == ["5"]


def test_a_watch_that_ends_goes_on_from_where_it_was(cluster: Kubernetes, server: Server) -> None:
    server.script += [
        listing(5, pod("p", 4)),
        events(("MODIFIED", pod("p", 6, "Pending")), ("BOOKMARK", pod("", 9))),
        events(("MODIFIED", pod("p", 10, "Running"))),
    ]
    cluster.wait(POD, "p", "n", until=running, event="it runs", timeout=5)
    assert parse_qs(urlsplit(server.asked[2]).query)["resourceVersion"] == ["9"]


@pytest.mark.parametrize(
    "expired", [events(("ERROR", {"code": 410, "message": "too old"})), (410, [{"message": "too old"}])]
)
def test_an_expired_watch_lists_again(cluster: Kubernetes, server: Server, expired: Answer) -> None:
    server.script += [listing(5, pod("p", 4)), expired, listing(20, pod("p", 20, "Running"))]
    assert cluster.wait(POD, "p", "n", until=running, event="it runs", timeout=5)


def test_another_error_of_a_watch_is_an_error(cluster: Kubernetes, server: Server) -> None:
    server.script += [listing(5), events(("ERROR", {"code": 500, "message": "etcd lost"}))]
    with pytest.raises(ApiError, match="etcd lost"):
        cluster.wait(POD, "p", "n", until=running, event="it runs", timeout=5)


def test_a_deletion_is_seen(cluster: Kubernetes, server: Server) -> None:
    server.script += [listing(5, pod("p", 4)), events(("DELETED", pod("p", 6)))]
    assert cluster.wait(POD, "p", "n", until=lambda item: item is None, event="it is gone", timeout=5) is None


def test_a_wait_has_a_deadline_and_a_terminal_state(cluster: Kubernetes, server: Server) -> None:
    server.script += [listing(5, pod("p", 4, "Failed"))]
    with pytest.raises(WaitEnded, match="it failed"):
        cluster.wait(POD, "p", "n", until=running, terminal=lambda _: "it failed", event="it runs", timeout=5)
    server.script += [listing(5, pod("p", 4, "Pending"))] + [events()] * 10_000
    with pytest.raises(WaitTimedOut, match=r"it runs: not seen after 0\.\d s.*Pending"):
        cluster.wait(POD, "p", "n", until=running, event="it runs", timeout=0.3)


@pytest.fixture
def velero(cluster: Kubernetes) -> Velero:
    return Velero(cluster, "velero", "default", Timeouts({"backup_finished": 0.5}))


def phases(*names: str) -> Answer:
    return events(*(("MODIFIED", pod("b", n, name)) for n, name in enumerate(names, start=10)))


def test_every_phase_of_a_backup_is_timed_from_its_creation(velero: Velero, server: Server) -> None:
    server.script += [
        listing(5),
        (201, [pod("b", 6)]),
        phases("New", "InProgress", "InProgress", "Finalizing", "Completed"),
    ]
    operation = velero.backup("b", labels={}, includedNamespaces=["n"])
    assert [t.phase for t in operation.transitions] == ["New", "InProgress", "Finalizing", "Completed"]
    assert 0 <= operation.seconds_to("InProgress") < 5


@pytest.mark.parametrize("phase", ["PartiallyFailed", "Failed", "FailedValidation"])
def test_every_end_is_an_end_and_only_completed_is_completed(velero: Velero, server: Server, phase: str) -> None:
    server.script += [listing(5), (201, [pod("b", 6)]), phases(phase)]
    operation = velero.backup("b", labels={})
    with pytest.raises(AcceptanceError, match=f"b ended {phase}, not Completed"):
        operation.require()
    with pytest.raises(AcceptanceError, match=f"b never was InProgress: {phase}"):
        operation.seconds_to("InProgress")


def test_a_backup_that_never_ends_is_a_timeout(velero: Velero, server: Server) -> None:
    server.script += [listing(5), (201, [pod("b", 6)]), phases("InProgress")] + [events()] * 10_000
    with pytest.raises(WaitTimedOut, match="Backup b finishes: not seen"):
        velero.backup("b", labels={})


def test_a_backup_that_has_ended_is_followed_at_once(velero: Velero, server: Server) -> None:
    server.script += [listing(5, pod("b", 4, "Completed"))]
    assert velero.follow_backup("b").phase == "Completed"


def test_a_stale_validation_is_not_a_new_one(velero: Velero, server: Server) -> None:
    from datetime import UTC, datetime

    def location(second: int) -> dict[str, Any]:
        status = {"phase": "Available", "lastValidationTime": f"2026-01-01T00:00:{second:02}Z"}
        return {"metadata": {"name": "default", "resourceVersion": str(second)}, "status": status}

    server.script += [listing(5, location(9)), events(("MODIFIED", location(10)), ("MODIFIED", location(11)))]
    restarted = datetime(2026, 1, 1, 0, 0, 10, tzinfo=UTC)
    found = velero.wait_location("Available", validated_after=restarted)
    assert found["status"]["lastValidationTime"] == "2026-01-01T00:00:11Z"


@pytest.mark.parametrize(
    ("log", "zone"),
    [
        ('time="2026-11-23T16:27:08Z" level=info msg="x"', "UTC"),
        ('time="2026-11-23T17:27:08+01:00" level=info msg="x"', "+01:00"),
    ],
)
def test_the_time_zone_of_the_server_is_read_from_its_log(
    velero: Velero, server: Server, monkeypatch: pytest.MonkeyPatch, log: str, zone: str
) -> None:
    monkeypatch.setattr(Kubernetes, "logs", lambda *_, **__: log)
    server.script += [deployment({"name": "velero"}), listing(5, pod("velero", 1))]
    assert velero.time_zone() == zone


def deployment(labels: dict[str, str], *arguments: str) -> Answer:
    spec = {"containers": [{"image": "velero", "command": ["/velero"], "args": ["server", *arguments]}]}
    return 200, [{"metadata": {"name": "velero"}, "spec": {"template": {"metadata": {"labels": labels}, "spec": spec}}}]


@pytest.mark.parametrize(
    ("labels", "selector"),
    [
        ({"name": "velero", "app.kubernetes.io/name": "velero"}, "name=velero"),  # the chart
        ({"component": "velero", "deploy": "velero"}, "deploy=velero"),  # velero install
        ({"b": "2", "a": "1"}, "a=1,b=2"),
    ],
)
def test_the_server_is_found_however_it_was_installed(
    velero: Velero, server: Server, labels: dict[str, str], selector: str
) -> None:
    server.script += [deployment(labels), listing(5, pod("velero-1", 1))]
    assert len(velero.server_pods()) == 1
    assert parse_qs(urlsplit(server.asked[-1]).query)["labelSelector"] == [selector]


@pytest.mark.parametrize(
    ("arguments", "value"), [(("--a=1", "--b=2"), "2"), (("--b", "3"), "3"), (("--bb=4",), "default"), ((), "default")]
)
def test_a_flag_of_the_server_is_read(velero: Velero, server: Server, arguments: tuple[str, ...], value: str) -> None:
    server.script += [deployment({}, *arguments)]
    assert velero.argument("--b", "default") == value


def test_a_deadline_that_passed_ends_a_watch(cluster: Kubernetes) -> None:
    assert list(cluster.watch(BACKUP, "velero", deadline=Deadline(0))) == []
