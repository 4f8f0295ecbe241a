"""acceptance.prom: what its parser reads is what the report says; a Pushgateway gets the same."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from tests.commands import ROOT
from tests.sample_runs import STARTED, report_of, scenarios
from tests.serving import served
from velero_acceptance.evidence.verdicts import Verdict
from velero_acceptance.report import metrics
from velero_acceptance.report.build import Report

Samples = dict[str, list[tuple[dict[str, str], float]]]


@pytest.fixture
def report(tmp_path: Path) -> Report:
    scenarios(tmp_path, "AC-003-01", 3)
    return report_of(tmp_path, leaks=("a Backup",))


@pytest.fixture
def written(report: Report, tmp_path: Path) -> Path:
    metrics.write(metrics.registry(report), tmp_path / "acceptance.prom")
    return tmp_path / "acceptance.prom"


def read(text: str) -> Samples:
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name.removeprefix(metrics.PREFIX), []).append((sample.labels, sample.value))
    return found


def of(samples: list[tuple[dict[str, str], float]], criterion: str) -> list[tuple[dict[str, str], float]]:
    return [sample for sample in samples if sample[0]["criterion"] == criterion]


def test_each_criterion_has_exactly_one_verdict(written: Path, report: Report) -> None:
    verdicts = read(written.read_text())["verdict"]
    for row in report.criteria:
        own = of(verdicts, row.id)
        assert [labels["verdict"] for labels, value in own if value] == [row.verdict]
        assert {labels["verdict"] for labels, _ in own} == set(Verdict)


def test_measurements_have_value_limit_and_margin(written: Path) -> None:
    found = read(written.read_text())
    shown = {
        name: next(value for labels, value in found[f"measurement_{name}"] if labels["measurement"] == "initiation")
        for name in ("value", "limit", "margin")
    }
    assert shown == {"value": 3, "limit": 30, "margin": 27}


def test_a_criterion_that_was_not_run_has_a_verdict_and_no_evidence(written: Path) -> None:
    found = read(written.read_text())
    assert of(found["verdict"], "AC-004-01")
    assert not of(found["measurement_value"] + found["evidence_timestamp_seconds"], "AC-004-01")


def test_the_run_is_told(written: Path, report: Report) -> None:
    found = read(written.read_text())
    run = report.run
    assert found["run_info"][0][0] == {"target": "lab", "run": run.id, "profile": "disrupt", "commit": run.commit}
    assert found["run_exit_status"][0][1] == 1
    assert found["run_left_behind"][0][1] == 1
    assert found["run_timestamp_seconds"][0][1] == STARTED.timestamp() + 60
    assert of(found["evidence_timestamp_seconds"], "AC-003-01")[0][1] == STARTED.timestamp()
    assert of(found["faults_caught"], "AC-003-01")[0][1] == 1


def test_every_metric_is_documented(written: Path) -> None:
    page = (ROOT / "docs/reading-the-report.md").read_text()
    assert set(re.findall(rf"`{metrics.PREFIX}([a-z_]+)[`{{]", page)) == set(read(written.read_text()))


def test_promtool_finds_nothing_wrong(written: Path) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is missing (Debian's prometheus)")
    done = subprocess.run(["promtool", "check", "metrics"], input=written.read_bytes(), capture_output=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


class Gateway(HTTPServer):
    """What a Pushgateway would be sent; answers with *status*."""

    def __init__(self, status: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status = status
        self.got: list[tuple[str, str, str]] = []


class _Handler(BaseHTTPRequestHandler):
    server: Gateway

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.got.append((self.path, self.headers.get("Authorization", ""), body))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the signature is the library's
        pass


@pytest.fixture(params=[200])
def gateway(request: pytest.FixtureRequest) -> Iterator[Gateway]:
    found = Gateway(request.param)
    with served(found):
        yield found


def test_a_gateway_gets_the_metrics_and_the_password(gateway: Gateway, report: Report) -> None:
    address = f"http://user:planted-secret@127.0.0.1:{gateway.server_port}"
    said = metrics.push(metrics.registry(report), report.run.target, SecretStr(address))
    assert said == f"metrics pushed to 127.0.0.1:{gateway.server_port}"
    ((path, authorization, body),) = gateway.got
    assert path == "/metrics/job/velero_acceptance/target/lab"
    assert authorization.startswith("Basic ")
    assert of(read(body)["verdict"], "AC-003-01")


@pytest.mark.parametrize("gateway", [503], indirect=True)
def test_a_gateway_that_refuses_is_one_sentence(gateway: Gateway, report: Report) -> None:
    said = metrics.push(
        metrics.registry(report), report.run.target, SecretStr(f"http://127.0.0.1:{gateway.server_port}")
    )
    assert said.startswith(f"the Pushgateway 127.0.0.1:{gateway.server_port} did not take the metrics: ")


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("http://user:planted-secret@{free}", "the Pushgateway {free} did not take the metrics: "),
        ("pushgateway:9091", "ACCEPTANCE_PUSHGATEWAY is not an address such as "),
        ("user:planted-secret@pushgateway", "ACCEPTANCE_PUSHGATEWAY is not an address such as "),
        ("http://", "ACCEPTANCE_PUSHGATEWAY is not an address such as "),
    ],
)
def test_a_gateway_that_is_away_is_one_sentence(report: Report, address: str, says: str) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        free = f"127.0.0.1:{listener.getsockname()[1]}"
    said = metrics.push(metrics.registry(report), report.run.target, SecretStr(address.format(free=free)))
    assert said.startswith(says.format(free=free))
    assert "\n" not in said and "planted-secret" not in said
