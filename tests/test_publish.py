"""The results in S3: where they may go, what is brought there, and what a run says when S3 does not take them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from tests.serving import served
from tests.small_suite import GREEN, HEAD, Suite, scenario
from velero_acceptance.core.errors import AcceptanceError, Refusal
from velero_acceptance.core.settings import Environment, S3Access, Settings, Target
from velero_acceptance.report import publish
from velero_acceptance.target import snapshot

KEY, SECRET = "key-of-results", "planted-secret-of-results"


class Store(ThreadingHTTPServer):
    """What stands for an S3: it keeps what it is sent by a known key, in the order in which it came."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.objects: dict[str, tuple[str, bytes]] = {}
        self.lock = threading.Lock()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Store
    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        known = f"Credential={KEY}/" in self.headers.get("Authorization", "")
        error = b"<Error><Code>InvalidAccessKeyId</Code><Message>The key does not exist.</Message></Error>"
        if known:
            with self.server.lock:
                self.server.objects[self.path] = (self.headers["Content-Type"], body)
        self.send_response(200 if known else 403)
        self.send_header("Content-Length", "0" if known else str(len(error)))
        self.end_headers()
        self.wfile.write(b"" if known else error)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the signature is the library's
        pass


@pytest.fixture
def store() -> Iterator[Store]:
    server = Store()
    with served(server):
        yield server


def environment(**change: Any) -> Environment:
    access = S3Access(endpoint="https://velero", access_key=SecretStr("a"), secret_key=SecretStr("b"),
                      authority=Path("/ca"))  # fmt: skip
    place = Path("/nowhere")
    content = {"target": Target.LAB, "kubeconfig": place, "s3": access, "corpus_image": "x", "ledger": place}
    return Environment.model_validate({**content, "soak": place, **change})


def settings(results: str | None, **change: Any) -> Settings:
    return Settings.read(results=results, run_id="r", **change)


# -- where to, and where never --------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("s3://results", "s3://results/r/"),
        ("s3://results/", "s3://results/r/"),
        ("s3://results/a/b", "s3://results/a/b/r/"),
        ("s3://results/a/b/", "s3://results/a/b/r/"),
        ("s3://velero-backups/results", "s3://velero-backups/results/r/"),
        ("s3://velero-backups/velero-results", "s3://velero-backups/velero-results/r/"),
        ("s3://velero-backups", "s3://velero-backups/r/"),
    ],
)
def test_the_folder_of_a_run_has_its_name(address: str, shown: str) -> None:
    assert str(publish.destination(settings(address), environment())) == shown


def test_without_the_setting_nothing_goes_anywhere() -> None:
    assert publish.destination(settings(None), environment()) is None


@pytest.mark.parametrize(
    "address",
    ["results", "s3://", "s3://R", "https://results/a", f"s3://{KEY}:{SECRET}@results/a", "s3://results//a"],
)
def test_what_is_no_address_is_refused_and_not_shown(address: str) -> None:
    with pytest.raises(Refusal, match="ACCEPTANCE_RESULTS is not an address such as s3://bucket/prefix") as refused:
        publish.destination(settings(address), environment())
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"results_access_key": "a"}, "belong together"),
        ({"results_secret_key": "a"}, "belong together"),
        ({"results_endpoint": "s3.example.org"}, "results_endpoint: this is not an address"),
        ({"results_authority": "/nowhere/ca.crt"}, "is not there"),
    ],
)
def test_half_an_s3_is_refused(change: dict[str, str], says: str) -> None:
    with pytest.raises(Refusal, match=says):
        publish.destination(settings("s3://results", **change), environment())


@pytest.mark.parametrize(
    ("address", "prefix", "says"),
    [
        ("s3://velero-backups/velero", "velero", "lies below velero/ in the bucket velero-backups, which is"),
        ("s3://velero-backups/velero/results", "/velero/", "lies below velero/ in the bucket velero-backups"),
        ("s3://velero-backups", "r", "lies below r/ in the bucket velero-backups"),
        ("s3://velero-backups/results", "", "lies in the bucket velero-backups, which is Velero's own location"),
    ],
)
def test_nothing_goes_into_veleros_own_location(address: str, prefix: str, says: str) -> None:
    with pytest.raises(Refusal) as refused:
        publish.destination(settings(address), environment(prefix=prefix))
    assert says in str(refused.value) and "\n" not in str(refused.value)


def test_an_s3_of_its_own_takes_nothing_from_the_targets() -> None:
    own = {"results_endpoint": "https://own", "results_access_key": "k", "results_secret_key": "s"}
    found = publish.destination(settings("s3://results", **own), environment())
    assert found is not None
    assert (found.access.endpoint, found.access.authority) == ("https://own", None)
    assert found.access.secret_key.get_secret_value() == "s"
    shared = publish.destination(settings("s3://results"), environment())
    assert shared is not None and shared.access == environment().s3


def test_the_fingerprint_does_not_look_where_results_may_go() -> None:
    """What a run leaves after it was compared is no change, neither in this run nor in the next one."""
    keys = {"results/r/traceability.json": (1, "x"), "velero/backups/b/b.json": (1, "y")}

    class Bucket:
        def listing(self, below: str) -> dict[str, tuple[int, str]]:
            return {key: entry for key, entry in keys.items() if key.startswith(below)}

    place = environment(prefix="velero")
    assert publish.destination(settings("s3://velero-backups/results"), place) is not None
    assert list(snapshot._keys(Bucket(), place)) == ["backups/b/b.json"]  # type: ignore[arg-type]


# -- the upload -----------------------------------------------------------------------------


def to(store: Store, key: str = KEY) -> publish.Destination:
    access = S3Access(endpoint=store.address, access_key=SecretStr(key), secret_key=SecretStr(SECRET))
    return publish.Destination("results", "a/r/", access)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("traceability.json", "zz/last.txt", "traceability.html", "records/x.json", "acceptance.prom"):
        path = tmp_path / "r" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path / "r"


def test_everything_is_brought_there_and_the_report_last(store: Store, folder: Path) -> None:
    assert publish.upload(folder, to(store), call_seconds=5) == "results: s3://results/a/r/ (5 files)"
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {path.removeprefix("/results/a/r/") for path in store.objects} == files
    assert list(store.objects)[-1] == "/results/a/r/traceability.json"
    assert store.objects["/results/a/r/traceability.html"] == ("text/html", b"traceability.html")
    assert store.objects["/results/a/r/acceptance.prom"][0] == "text/plain"


def test_keys_that_s3_refuses_are_one_sentence(store: Store, folder: Path) -> None:
    with pytest.raises(AcceptanceError) as failed:
        publish.upload(folder, to(store, "another"), call_seconds=5)
    said = str(failed.value)
    assert said.startswith(f"the results could not be uploaded to s3://results/a/r/ at {store.address} (")
    assert "InvalidAccessKeyId" in said and f"they are in {folder}" in said
    assert "\n" not in said and SECRET not in said
    assert store.objects == {}


def test_an_s3_that_is_away_is_one_sentence(store: Store, folder: Path) -> None:
    access = to(store).access.model_copy(update={"endpoint": "http://127.0.0.1:9"})
    with pytest.raises(AcceptanceError, match="could not be uploaded to") as failed:
        publish.upload(folder, publish.Destination("results", "a/r/", access), call_seconds=1)
    assert "\n" not in str(failed.value)


# -- whole runs -----------------------------------------------------------------------------


def variables(store: Store, key: str = KEY, results: str = "s3://results/a") -> dict[str, str]:
    return {
        "ACCEPTANCE_RESULTS": results,
        "ACCEPTANCE_RESULTS_ENDPOINT": store.address,
        "ACCEPTANCE_RESULTS_ACCESS_KEY": key,
        "ACCEPTANCE_RESULTS_SECRET_KEY": SECRET,
    }


@pytest.mark.parametrize("arguments", [(), ("-n", "2")])
def test_a_run_leaves_its_whole_folder_in_s3(suite: Suite, store: Store, arguments: tuple[str, ...]) -> None:
    done = suite.run(*arguments, **variables(store))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "results: s3://results/a/r/ (" in done.stdout
    folder = suite.folder / "reports/r"
    found = {path.removeprefix("/results/a/r/"): body for path, (_, body) in store.objects.items()}
    files = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    assert found == files
    named = ("traceability.html", "traceability.json", "traceability.md", "junit.xml", "acceptance.prom")
    assert {*named, "evidence.intoto.jsonl"} <= set(files) and any(name.startswith("records/") for name in files)
    assert suite.report()["environment"]["results"] == "s3://results/a/r/"
    assert not [name for name in found if "cache" in name]


def test_a_red_run_leaves_its_folder_too(suite: Suite, store: Store) -> None:
    suite.write(HEAD + scenario("One", "it takes 31 units"))
    assert suite.run(**variables(store)).returncode == 1
    assert json.loads(store.objects["/results/a/r/traceability.json"][1])["run"]["exit_status"] == 1


def test_results_that_s3_does_not_take_make_the_run_red(suite: Suite, store: Store) -> None:
    done = suite.run(**variables(store, key="another"))
    assert done.returncode == 1, done.stdout
    assert "the results could not be uploaded to s3://results/a/r/" in done.stdout and store.objects == {}
    assert SECRET not in done.stdout + done.stderr
    report = suite.report()
    assert report["run"]["exit_status"] == 1 and "could not be uploaded" in report["environment"]["results"]
    prom = (suite.folder / "reports/r/acceptance.prom").read_text()
    assert 'velero_acceptance_run_exit_status{target="lab"} 1.0' in prom


@pytest.mark.parametrize(
    ("results", "says"),
    [
        ("ftp://results", "ACCEPTANCE_RESULTS is not an address"),
        ("s3://velero-backups/velero/x", "which is Velero's own location default"),
    ],
)
def test_a_place_that_must_not_be_is_refused_before_anything_runs(
    suite: Suite, store: Store, results: str, says: str
) -> None:
    suite.write(GREEN)
    done = suite.run(**variables(store, results=results))
    assert done.returncode == 4, done.stdout + done.stderr
    assert says in done.stdout + done.stderr and "Traceback" not in done.stdout + done.stderr
    assert not (suite.folder / "begun-main").exists()
