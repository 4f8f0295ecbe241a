"""The driver of Prometheus against a small HTTP server, and the checks of what it says, seen to go red."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.serving import served
from velero_acceptance.checks import metrics
from velero_acceptance.checks.metrics import ExpectedMetric, MetricReading
from velero_acceptance.core.errors import AcceptanceError
from velero_acceptance.core.waiting import WaitTimedOut
from velero_acceptance.drivers.prometheus import Prometheus, ScrapeTarget, Series, selector

MOMENT = datetime(2026, 11, 24, 2, tzinfo=UTC)


class Server(ThreadingHTTPServer):
    """Answers by path and remembers what was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[str, Any] = {}
        self.asked: list[tuple[str, dict[str, list[str]]]] = []

    @property
    def prometheus(self) -> Prometheus:
        return Prometheus(f"http://127.0.0.1:{self.server_port}/", call_seconds=5)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server = self.server
        assert isinstance(server, Server)
        address = urlsplit(self.path)
        path = address.path.removeprefix("/api/v1/")
        server.asked.append((path, parse_qs(address.query)))
        answer = server.answers.get(path)
        content = answer if isinstance(answer, str) else json.dumps({"status": "success", "data": answer})
        self.send_response(200)
        self.end_headers()
        self.wfile.write(content.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    with served(found):
        yield found


def vector(*values: float, **labels: str) -> dict[str, Any]:
    return {"resultType": "vector", "result": [{"metric": labels, "value": [7, str(value)]} for value in values]}


# -- driver ---------------------------------------------------------------------------------


def test_a_query_is_asked_now_or_of_the_past(server: Server) -> None:
    server.answers["query"] = vector(1.5, node="a")
    assert server.prometheus.query("up") == [Series({"node": "a"}, ((7.0, 1.5),))]
    assert server.prometheus.query("up", MOMENT)[0].value == 1.5
    assert server.asked == [
        ("query", {"query": ["up"]}),
        ("query", {"query": ["up"], "time": [str(MOMENT.timestamp())]}),
    ]


def test_a_range_has_every_point(server: Server) -> None:
    server.answers["query_range"] = {"result": [{"metric": {}, "values": [[1, "2"], [3, "NaN"]]}]}
    (series,) = server.prometheus.history("up", MOMENT, MOMENT, step=2)
    assert series.points[0] == (1.0, 2.0) and series.value != series.value
    assert server.asked[0][1]["step"] == ["2"]


def test_names_targets_and_alerts(server: Server) -> None:
    server.answers["label/__name__/values"] = ["up", "down"]
    labels = {"job": "velero", "instance": "a:1"}
    server.answers["targets"] = {
        "activeTargets": [
            {"labels": labels, "health": "up", "lastError": ""},
            {"labels": labels, "health": "down", "lastError": "refused"},
        ]
    }
    server.answers["rules"] = {"groups": [{"rules": [{"name": "A"}, {"name": "A"}]}, {"rules": [{"name": "B"}]}]}
    assert server.prometheus.names(MOMENT) == {"up", "down"}
    assert server.prometheus.targets() == [ScrapeTarget("velero", "a:1", ""), ScrapeTarget("velero", "a:1", "refused")]
    assert server.prometheus.alerts() == {"A", "B"}


def test_an_alert_is_waited_for_by_its_labels(server: Server) -> None:
    server.answers["query"] = vector(1)
    server.prometheus.wait_alert("A", {"schedule": "s"}, firing=True, timeout=5)
    asked = server.asked[0][1]["query"][0]
    assert asked == 'ALERTS{alertname="A", alertstate="firing", schedule="s"}'
    with pytest.raises(WaitTimedOut, match=r'A\{schedule="s"\} is resolved: not seen'):
        server.prometheus.wait_alert("A", {"schedule": "s"}, firing=False, timeout=0.1)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ('{"status": "error", "error": "parse error"}', "refuses 'up{': parse error"),
        ("<html>", "is no Prometheus: it answers with something else"),
    ],
)
def test_what_goes_wrong_is_one_sentence(server: Server, answer: str, says: str) -> None:
    server.answers["query"] = answer
    with pytest.raises(AcceptanceError, match=says):
        server.prometheus.query("up{")


def test_a_prometheus_that_is_not_there_is_named() -> None:
    with pytest.raises(AcceptanceError, match=r"http://127\.0\.0\.1:1 does not answer: Connection refused"):
        Prometheus("http://127.0.0.1:1", call_seconds=1).query("up")


# -- metrics --------------------------------------------------------------------------------


def series(*values: float) -> list[Series]:
    return [Series({}, ((0.0, value),)) for value in values]


def test_a_metric_that_is_not_there_is_named() -> None:
    known = set(metrics.WANTED)
    assert metrics.missing(metrics.WANTED, known) == []
    for name in metrics.WANTED:
        assert metrics.missing(metrics.WANTED, known - {name}) == [name]


@pytest.mark.parametrize(
    ("expected", "before", "after", "holds"),
    [
        (ExpectedMetric("m", {}, 1, [0]), [0], [1], True),
        (ExpectedMetric("m", {}, 1, [0]), [0], [0], False),
        (ExpectedMetric("m", {}, 1, [0]), [0], [2], False),
        (ExpectedMetric("m", {}, 1, [0]), [1], [1], False),
        (ExpectedMetric("m", {}, 1, [0]), [], [1], False),
        (ExpectedMetric("m", {}, 1, [0]), [0], [], False),
        (ExpectedMetric("m", {}, 1, [0]), [0], [1, 1], False),
        (ExpectedMetric("m", {}, 1), [], [1], True),
        (ExpectedMetric("m", {}, 1), [1], [1], False),
        (ExpectedMetric("m", {}, 9, within=1), [], [10], True),
        (ExpectedMetric("m", {}, 9, within=1), [], [10.5], False),
        (ExpectedMetric("m", {}, 3, None), [2], [4], True),
        (ExpectedMetric("m", {}, 3, None), [2], [2], False),
    ],
)
def test_what_a_series_says_is_compared_before_and_after(
    expected: ExpectedMetric, before: list[float], after: list[float], holds: bool
) -> None:
    reading = MetricReading(expected, series(*before), series(*after))
    assert reading.true is holds
    assert metrics.incorrect([reading]) == ([] if holds else [reading])
    assert str(reading).endswith("✗") is not holds


def test_a_selector_has_every_label() -> None:
    assert selector("m", {"a": "1", "b": ""}) == 'm{a="1", b=""}'
