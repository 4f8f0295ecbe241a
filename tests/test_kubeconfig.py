"""Kubeconfigs as people have them, for every request; and an API server that asks to come back later."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml
from pydantic import SecretStr

from tests.api_server import ApiServer, client, serving
from tests.serving import served
from velero_acceptance.core.errors import Refusal
from velero_acceptance.core.settings import CurrentTarget
from velero_acceptance.drivers import kinds, retries
from velero_acceptance.drivers.command_line import token_kubeconfig
from velero_acceptance.drivers.kinds import Json
from velero_acceptance.drivers.kubeconfig import configuration, only, read, with_token
from velero_acceptance.drivers.kubernetes import ApiError, Kubernetes
from velero_acceptance.target.selection import allowed_context

TOKEN = SecretStr("of-the-stranger")


def write(path: Path, name: str, *, user: Json | None = None, cluster: Json | None = None) -> Path:
    path.parent.mkdir(exist_ok=True)
    content = {
        "clusters": [{"name": name, "cluster": {"server": "https://10.0.0.1:6443", **(cluster or {})}}],
        "users": [{"name": name, "user": user or {"token": "of-the-administrator"}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)


# -- how the server is reached ------------------------------------------------------------------


def test_the_settings_of_the_server_hold_for_every_request(tmp_path: Path) -> None:
    settings = {
        "insecure-skip-tls-verify": True,
        "tls-server-name": "kubernetes",
        "proxy-url": "http://127.0.0.1:3128",
    }
    path = write(tmp_path / "config", "home", cluster=settings)
    own = configuration(path, "home", 5)
    for found in (own, with_token(own, TOKEN)):
        assert (found.verify_ssl, found.tls_server_name, found.proxy) == (False, "kubernetes", settings["proxy-url"])
    cluster = token_kubeconfig(path, "home", TOKEN)["clusters"][0]["cluster"]
    assert {key: cluster[key] for key in settings} == settings


def test_without_them_the_server_is_verified(tmp_path: Path) -> None:
    found = configuration(write(tmp_path / "config", "home"), None, 5)
    assert (found.verify_ssl, found.tls_server_name, found.proxy) == (True, None, None)


def test_a_stranger_has_nothing_of_the_administrator(tmp_path: Path) -> None:
    (tmp_path / "cert").write_text("c")
    (tmp_path / "key").write_text("k")
    user = {"client-certificate": "cert", "client-key": "key", "token": "of-the-administrator"}
    own = configuration(write(tmp_path / "config", "home", user=user), "home", 5)
    stranger = with_token(own, TOKEN)
    assert own.cert_file == str(tmp_path / "cert") and own.api_key["authorization"].endswith("administrator")
    assert (stranger.cert_file, stranger.key_file) == (None, None)
    assert stranger.api_key == {"authorization": "Bearer of-the-stranger"}


def test_a_proxy_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "config", "home", cluster={"proxy-url": "socks5://127.0.0.1:1080"})
    with pytest.raises(Refusal, match=r"its proxy-url is not an address such as http://.*, but socks5://"):
        configuration(path, "home", 5)


class Proxy(BaseHTTPRequestHandler):
    """Answers every request itself, and notes what was asked for."""

    asked: list[tuple[str, str]] = []  # noqa: RUF012  one server at a time

    def do_GET(self) -> None:
        self.asked.append((self.path, self.headers.get("Authorization", "")))
        self.send_response(403 if "secrets" in self.path else 200)
        self.end_headers()
        self.wfile.write(b'{"gitVersion": "v1", "status": {"token": "of-the-stranger"}}')

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.do_GET()

    def log_message(self, *_: object) -> None:
        pass


def test_the_request_of_a_stranger_goes_through_the_proxy_too(tmp_path: Path) -> None:
    Proxy.asked.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    with served(server):
        proxy = {"server": "http://cluster.invalid", "proxy-url": f"http://127.0.0.1:{server.server_port}"}
        cluster = Kubernetes(write(tmp_path / "config", "home", cluster=proxy))
        assert cluster.version() == "v1"
        assert cluster.status_for("account", "velero", kinds.SECRET, "keys", "velero") == 403
    addresses = [address for address, _ in Proxy.asked]
    assert len(addresses) == 3 and all(address.startswith("http://cluster.invalid/") for address in addresses)
    assert Proxy.asked[-1][1] == "Bearer of-the-stranger"


# -- several files ---------------------------------------------------------------------------------


def test_several_files_are_one_and_the_first_of_a_name_counts(tmp_path: Path) -> None:
    first = write(tmp_path / "a/config", "home", cluster={"certificate-authority": "ca.crt"})
    second = write(tmp_path / "b/config", "work", user={"exec": {"command": "./token.sh", "apiVersion": "v1"}})
    third = write(tmp_path / "c/config", "home", cluster={"server": "https://another"})
    path = Path(os.pathsep.join(map(str, (tmp_path / "none", first, second, third))))
    content = read(path)
    assert content["current-context"] == "home" and only(path)["current-context"] == "home"
    assert only(path, "home")["clusters"][0]["cluster"] == {
        "server": "https://10.0.0.1:6443",
        "certificate-authority": str(tmp_path / "a/ca.crt"),
    }
    work = only(path, "work")
    assert work["users"][0]["user"]["exec"]["command"] == str(tmp_path / "b/token.sh")
    assert work["current-context"] == "work" and len(work["clusters"]) == 1
    allowed = CurrentTarget(kubeconfig=path, context="work", allowed_contexts=["work"])
    assert allowed_context(allowed) == "work"


@pytest.mark.parametrize("command", ["token", "/usr/bin/token"])
def test_a_plugin_that_is_found_by_path_stays(tmp_path: Path, command: str) -> None:
    path = write(tmp_path / "config", "home", user={"exec": {"command": command}})
    assert read(path)["users"][0]["user"]["exec"]["command"] == command


@pytest.mark.parametrize(("content", "says"), [("- a list", "is no kubeconfig"), ("{", "is not valid YAML")])
def test_a_file_that_is_no_kubeconfig_is_refused(tmp_path: Path, content: str, says: str) -> None:
    write(tmp_path / "good", "home")
    (tmp_path / "bad").write_text(content)
    with pytest.raises(Refusal, match=f"bad {says}"):
        read(Path(f"{tmp_path}/good{os.pathsep}{tmp_path}/bad"))


def test_none_of_several_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="does not exist: set KUBECONFIG"):
        Kubernetes(Path(f"{tmp_path}/a{os.pathsep}{tmp_path}/b"))


# -- 429 ----------------------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with serving() as found:
        yield found


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between attempts, which no test waits for."""
    found: list[float] = []
    monkeypatch.setattr(Kubernetes._body.retry, "sleep", found.append)
    return found


def throttled(server: ApiServer, times: int) -> Callable[[str, str, Json], None]:
    """The server answers 429 so many times."""
    left = [times]

    def before(*_: object) -> None:
        left[0] -= 1
        server.throttled = left[0] >= 0

    return before


@pytest.mark.parametrize("times", [1, 3, 10])
def test_the_server_s_pauses_are_kept(server: ApiServer, tmp_path: Path, pauses: list[float], times: int) -> None:
    server.before = throttled(server, times)
    assert client(server, tmp_path).list_all(kinds.POD) == []
    assert pauses == [2.0] * times


def test_a_server_that_never_has_time_is_an_error(
    server: ApiServer, tmp_path: Path, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retries, "seconds", lambda _: 1.0)
    server.before = throttled(server, 1000)
    with pytest.raises(ApiError, match="too many requests") as raised:
        client(server, tmp_path).list_all(kinds.POD)
    assert raised.value.status == 429 and pauses == [], "the pause it asks for is longer than the suite waits"
