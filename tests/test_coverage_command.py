"""The command `acceptance coverage`: table, JSON, metrics, exit codes, and one sentence for every bad call."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer
from botocore.exceptions import ClientError, EndpointConnectionError
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr
from rich.console import Console

from tests.api_server import client, serving
from tests.commands import ROOT
from tests.fake_cluster import environment, make_target
from tests.test_cli import call
from tests.volume_world import NOW, World, claim, pod
from velero_acceptance.checks.volume_coverage.result import cover
from velero_acceptance.cli import coverage as command
from velero_acceptance.core.errors import AcceptanceError, Refusal
from velero_acceptance.core.settings import Settings
from velero_acceptance.core.timeouts import Timeouts
from velero_acceptance.core.waivers import VolumeWaiver
from velero_acceptance.drivers.s3 import Bucket
from velero_acceptance.drivers.velero import Velero
from velero_acceptance.report.metrics import PREFIX

Run = Callable[..., int]
WAIVER = VolumeWaiver(volume="archive/*", by="ops", why="empty", until=date(2999, 1, 1))
EXPIRED = VolumeWaiver(volume="library/*", by="ops", why="later", until=date(2020, 1, 1))


@pytest.fixture
def world() -> World:
    """A protected claim, an unprotected one and one that is waived."""
    found = World()
    for name in ("library", "attic", "archive"):
        found.namespace(name)
        found.put(claim(name), pod(name))
    found.held()
    return found


@pytest.fixture
def run(world: World, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command in that world; returns its exit code."""

    def call_command(*waivers: VolumeWaiver, pushgateway: str | None = None, **options: object) -> int:
        place = make_target(world.cluster, world.bucket, prefix="velero")
        gateway = SecretStr(pushgateway) if pushgateway else None
        settings = SimpleNamespace(coverage=SimpleNamespace(waivers=list(waivers)), pushgateway=gateway)
        clients = SimpleNamespace(
            kubernetes=place.kubernetes,
            velero=place.velero,
            bucket=world.bucket,
            environment=place.environment,
            settings=settings,
        )
        monkeypatch.setattr(command, "TargetClients", lambda _: clients)
        monkeypatch.setattr(command, "console", Console(highlight=False, width=250))
        with pytest.raises(typer.Exit) as ended:
            command.coverage(**options)  # type: ignore[arg-type]
        return ended.value.exit_code

    return call_command


def test_the_table_begins_with_what_is_unprotected(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(WAIVER, EXPIRED) == 1
    _, first, second, third, *rest = capsys.readouterr().out.splitlines()
    assert first.startswith("attic/books") and "failed: the claim is not in the backup" in first
    assert second.startswith("archive/books") and "(waived by ops until 2999-01-01: empty)" in second
    assert re.match(r"library/books +claim +daily-1 +\S+ \S+ +daily +5\.0 kB", third)
    assert rest == ["expired: library/*, waived by ops until 2020-01-01: later", "3 volumes: 1 unprotected, 1 waived"]


def test_all_waived_is_exit_code_0(run: Run) -> None:
    assert run(WAIVER.model_copy(update={"volume": "a*/*"})) == 0


def test_markup_in_a_waiver_is_text(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(WAIVER.model_copy(update={"why": "see [bold]42[/nothing]"})) == 1
    assert "see [bold]42[/nothing])" in capsys.readouterr().out


def test_json_has_everything_for_programs(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(WAIVER, as_json=True) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["unprotected"], found["backups"], found["target"]) == (1, 1, "current")
    volumes = {f"{one['namespace']}/{one['volume']}": one for one in found["volumes"]}
    held, open_one = volumes["library/books"], volumes["attic/books"]
    assert (held["backup"], held["bytes"], held["moved_by"], held["reason"]) == ("daily-1", 5000, "kopia", None)
    assert (open_one["protected"], open_one["backup"], open_one["waiver"]) == (False, None, None)
    assert volumes["archive/books"]["waiver"]["until"] == "2999-01-01"


def test_metrics_are_those_of_the_documentation(run: Run, tmp_path: Path) -> None:
    assert run(WAIVER, metrics=tmp_path / "coverage.prom") == 1
    text = (tmp_path / "coverage.prom").read_text()
    found = {
        (sample.name.removeprefix(PREFIX), sample.labels["namespace"]): (sample.labels, sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    unprotected = {namespace: value for (name, namespace), (_, value) in found.items() if name == "volume_unprotected"}
    assert unprotected == {"library": 0, "attic": 1, "archive": 0}
    ages = [namespace for name, namespace in found if name == "volume_age_seconds"]
    assert ages == ["library"] and found["volume_age_seconds", "library"][0]["schedule"] == "daily"
    page = (ROOT / "docs/coverage.md").read_text()
    documented = {name: set(labels.split(",")) for name, labels in re.findall(rf"`{PREFIX}(\w+){{([a-z,]+)}}`", page)}
    assert documented == {name: set(labels) for (name, _), (labels, _) in found.items()}


def test_a_gateway_that_is_away_changes_no_exit_code(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(WAIVER.model_copy(update={"volume": "*/*"}), pushgateway="http://127.0.0.1:9") == 0
    assert "the Pushgateway 127.0.0.1:9 did not take the metrics" in capsys.readouterr().err


def test_a_file_of_metrics_that_cannot_be_written_is_refused_first(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none/coverage.prom"):
        with pytest.raises(Refusal, match="name a file in an existing folder"):
            command.coverage(metrics=path)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "the lab is not up"),
        (("--target", "kind"), "the kind cluster is not up"),
        (("--target", "mars"), "target: Input should be"),
        (("--target", "current"), "allow-list"),
    ],
)
def test_a_bad_call_is_one_sentence(arguments: tuple[str, ...], says: str) -> None:
    done = call("coverage", *arguments, XDG_STATE_HOME="/nonexistent")
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert says in done.stderr and len(done.stderr.strip().splitlines()) == 1


def test_an_s3_that_cannot_be_reached_is_one_sentence(tmp_path: Path) -> None:
    home = {"clusters": [{"name": "home", "cluster": {"server": "https://127.0.0.1:1"}}], "users": [{"name": "home"}]}
    contexts = [{"name": "home", "context": {"cluster": "home", "user": "home"}}]
    (tmp_path / "kubeconfig").write_text(json.dumps({**home, "contexts": contexts, "current-context": "home"}))
    done = call(
        "coverage",
        "--target=current",
        ACCEPTANCE_CURRENT__KUBECONFIG=str(tmp_path / "kubeconfig"),
        ACCEPTANCE_CURRENT__ALLOWED_CONTEXTS='["home"]',
        ACCEPTANCE_CURRENT__S3_ENDPOINT="https://127.0.0.1:1",
        ACCEPTANCE_CURRENT__S3_ACCESS_KEY="access",
        ACCEPTANCE_CURRENT__S3_SECRET_KEY="secret",
    )
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert done.stderr == "acceptance: S3 at https://127.0.0.1:1 cannot be reached: Connection refused\n"


def test_it_works_over_the_wire(world: World, tmp_path: Path) -> None:
    with serving() as server:
        server.store = world.cluster.store
        kubernetes = client(server, tmp_path)
        velero = Velero(kubernetes, "velero", "default", Timeouts())
        found = cover(kubernetes, velero, world.bucket, environment(prefix="velero"), [WAIVER], NOW)
    assert [row.protection.volume.label for row in found.unprotected] == ["attic/books"]


# -- waivers in acceptance.toml --------------------------------------------------------------

WHOLE = 'volume = "library/*"\nby = "ops"\nwhy = "later"\nuntil = 2027-03-31'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (WHOLE.replace('"library/*"', '"library"'), "coverage.waivers.0.volume: String should match"),
        (WHOLE.replace("by", "bye"), "coverage.waivers.0.by: Field required"),
        (f"{WHOLE}\nunti = 1", "coverage.waivers.0.unti is no setting: did you mean until?"),
        (WHOLE.replace("2027-03-31", '"soon"'), "coverage.waivers.0.until: Input should be a valid date"),
    ],
)
def test_a_malformed_waiver_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, says: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "acceptance.toml").write_text(f"[[coverage.waivers]]\n{text}\n")
    with pytest.raises(Refusal, match=re.escape(says)):
        Settings.read()


def test_the_waiver_of_the_documentation_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "docs/coverage.md").read_text()
    (text,) = re.findall(r"^```toml\n(.*?)^```", page, re.M | re.S)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "acceptance.toml").write_text(text)
    (found,) = Settings.read().coverage.waivers
    assert found.covers("kube-system/etcd:data") and not found.covers("library/books")


# -- S3 --------------------------------------------------------------------------------------


class NoSuchKey(Exception):
    """What the client raises for a missing key."""


@pytest.mark.parametrize(
    "error",
    [
        ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "GetObject"),
        EndpointConnectionError(endpoint_url="https://s3"),
    ],
)
def test_a_file_that_may_not_be_read_is_one_sentence(error: Exception) -> None:
    def get_object(**_: object) -> None:
        raise error

    bucket = Bucket.__new__(Bucket)
    bucket.name = "bucket"
    exceptions = SimpleNamespace(NoSuchKey=NoSuchKey)
    bucket._client = SimpleNamespace(get_object=get_object, exceptions=exceptions)  # type: ignore[assignment]
    with pytest.raises(AcceptanceError, match="s3://bucket/key cannot be read"):
        bucket.get("key")


def test_folders_are_listed_without_what_is_in_them() -> None:
    asked: list[dict[str, object]] = []

    def paginate(**options: object) -> list[dict[str, object]]:
        asked.append(options)
        return [{"CommonPrefixes": [{"Prefix": "velero/kopia/library/"}]}, {}]

    bucket = Bucket.__new__(Bucket)
    bucket.name = "bucket"
    paginator = SimpleNamespace(paginate=paginate)
    bucket._client = SimpleNamespace(get_paginator=lambda _: paginator)  # type: ignore[assignment]
    assert bucket.folders("velero/kopia/") == {"library"}
    assert asked == [{"Bucket": "bucket", "Prefix": "velero/kopia/", "Delimiter": "/"}]
