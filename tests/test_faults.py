"""The faults on the way to S3: what each asks of toxiproxy, that healing ends them all, and the busy server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from lab.busy import server
from lab.pki import issue
from lab.settings import LabSettings
from lab.storage import BUSY_NAME, PROXY_NAME
from tests.serving import served
from velero_acceptance.core.errors import AcceptanceError
from velero_acceptance.drivers.toxiproxy import Toxiproxy


class Server:
    """A toxiproxy that keeps what it is told."""

    def __init__(self) -> None:
        self.proxies: dict[str, dict[str, Any]] = {
            name: {
                "name": name,
                "listen": "10.0.0.3:9000",
                "upstream": "10.0.0.3:9001",
                "enabled": enabled,
                "toxics": [],
            }
            for name, enabled in ((PROXY_NAME, True), (BUSY_NAME, False))
        }

    def request(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        name, _, toxic = path.removeprefix("/proxies").removeprefix("/").partition("/")
        if not name:
            return self._all(method, body)
        found = self.proxies[name]
        if toxic == "toxics":
            if method == "GET":
                return list(found["toxics"])
            return found["toxics"].append(body)
        if toxic:
            found["toxics"] = [t for t in found["toxics"] if t["name"] != toxic.removeprefix("toxics/")]
        elif method == "DELETE":
            del self.proxies[name]
        else:
            found.update(body or {})
        return found

    def _all(self, method: str, body: dict[str, Any] | None) -> Any:
        if method == "GET":
            return self.proxies
        assert body is not None
        made = {**body, "listen": body["listen"].replace(":0", ":40123"), "toxics": []}
        self.proxies[body["name"]] = made
        return made


@pytest.fixture
def toxiproxy(monkeypatch: pytest.MonkeyPatch) -> tuple[Toxiproxy, Server]:
    backend = Server()
    monkeypatch.setattr(Toxiproxy, "_request", lambda _, *arguments: backend.request(*arguments))
    return Toxiproxy("http://nowhere", PROXY_NAME), backend


@pytest.mark.parametrize("fault", [Toxiproxy.cut, Toxiproxy.reset, Toxiproxy.busy, lambda p: p.throttle(10)])
def test_every_fault_changes_something_and_is_healed(fault: Any, toxiproxy: tuple[Toxiproxy, Server]) -> None:
    proxy, backend = toxiproxy
    before = {name: {**route, "toxics": []} for name, route in backend.proxies.items()}
    fault(proxy)
    assert backend.proxies != before
    proxy.heal()
    assert backend.proxies == before


def test_busy_takes_the_place_of_the_way(toxiproxy: tuple[Toxiproxy, Server]) -> None:
    proxy, backend = toxiproxy
    proxy.busy()
    assert (backend.proxies[PROXY_NAME]["enabled"], backend.proxies[BUSY_NAME]["enabled"]) == (False, True)


def test_a_route_beside_leads_to_the_same_server(toxiproxy: tuple[Toxiproxy, Server]) -> None:
    proxy, backend = toxiproxy
    beside, port = proxy.add_route("acc-x")
    assert (port, backend.proxies["acc-x"]["upstream"]) == (40123, "10.0.0.3:9001")
    beside.cut()
    assert backend.proxies[PROXY_NAME]["enabled"], "the others' way is not touched"
    beside.remove()
    beside.remove()
    assert "acc-x" not in backend.proxies


def test_a_server_that_does_not_answer_is_named() -> None:
    with pytest.raises(AcceptanceError, match=r"toxiproxy at http://127\.0\.0\.1:9"):
        Toxiproxy("http://127.0.0.1:9", PROXY_NAME).cut()


@pytest.fixture
def busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Path]]:
    """The busy server on loopback, with the certificate of a lab's S3: its address and the lab's authority."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    settings = LabSettings(name="of-the-test")
    issue(settings, settings.state / "pki")
    found = server("127.0.0.1", 0, *(str(settings.state / f"pki/s3.{part}") for part in ("crt", "key")))
    with served(found):
        yield f"https://127.0.0.1:{found.server_address[1]}", settings.state / "pki/ca.crt"


def test_the_busy_server_says_slow_down_to_everything(busy: tuple[str, Path]) -> None:
    address, authority = busy
    s3 = boto3.client(
        "s3",
        endpoint_url=address,
        region_name="us-east-1",
        aws_access_key_id="k",
        aws_secret_access_key="s",
        verify=str(authority),
        config=Config(retries={"max_attempts": 0}),
    )
    for call in (
        lambda: s3.list_objects_v2(Bucket="b"),
        lambda: s3.get_object(Bucket="b", Key="k"),
        lambda: s3.put_object(Bucket="b", Key="k", Body=b"x" * 100_000),
        lambda: s3.delete_object(Bucket="b", Key="k"),
    ):
        with pytest.raises(ClientError) as refused:
            call()
        assert refused.value.response["Error"]["Code"] == "SlowDown"
    with pytest.raises(ClientError) as refused:
        s3.head_object(Bucket="b", Key="k")
    assert refused.value.response["Error"]["Code"] == "503"
