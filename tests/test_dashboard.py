"""The dashboard of gitops/, and the check of its panels seen to go red."""

from __future__ import annotations

import itertools
import json
import math

import pytest

from lab.monitoring import APP
from steps.observability import STRANGE
from velero_acceptance.checks import metrics
from velero_acceptance.checks.metrics import Query
from velero_acceptance.drivers.kinds import Json
from velero_acceptance.drivers.prometheus import Series

VALUES = {"namespace": "velero", "schedule": ".*", "__rate_interval": "1m"}


@pytest.fixture
def board() -> Json:
    return dict(json.loads((APP / "dashboard.json").read_text()))


def answer(*values: float) -> list[Series]:
    return [Series({}, tuple((float(at), value) for at, value in enumerate(values)))]


# -- ours -----------------------------------------------------------------------------------


def test_every_query_is_promql_once_the_variables_are_known(board: Json) -> None:
    queries = metrics.queries(board, VALUES)
    assert len(queries) > len(list(metrics.panels(board))) > 15
    assert [query for query in queries if not metrics.is_promql(query.expression)] == []
    assert [query for query in queries if "$" in query.expression] == []


def test_every_variable_is_declared(board: Json) -> None:
    used = {match[1] or match[2] for match in metrics.VARIABLE.finditer(json.dumps(board))}
    declared = {variable["name"] for variable in board["templating"]["list"]}
    assert {name for name in used if not name.startswith("__")} == declared


def test_status_timing_and_size_are_there(board: Json) -> None:
    assert [panel["title"] for panel in board["panels"] if panel["type"] == "row"] == [
        "Status",
        "Timing",
        "Size",
        "Resources of node-agent",
    ]


def test_panels_have_their_own_place_and_the_chosen_prometheus(board: Json) -> None:
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    for one, other in itertools.combinations((panel["gridPos"] for panel in board["panels"]), 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or above, (one, other)
    for panel in metrics.panels(board):
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"} and panel["description"]
        assert all(target["datasource"] == panel["datasource"] for target in panel["targets"])


def test_nothing_is_hidden_by_a_value_that_is_always_there(board: Json) -> None:
    assert [q for q in metrics.queries(board, VALUES) if "vector(" in q.expression] == []


def test_the_status_that_lies_is_not_used(board: Json) -> None:
    assert "last_status" not in json.dumps(board)


# -- the check ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ("up", {"up"}),
        ('{__name__="up", job="a"}', {"up"}),
        ("sum by (le) (rate(a_bucket[5m])) / on (x) group_left b", {"a_bucket", "b"}),
        ("histogram_quantile(0.9, sum by (le) (a)) or absent(b) and topk(3, c offset 1h)", {"a", "b", "c"}),
        ("max_over_time((d > bool 1)[5m:1m]) - -e", {"d", "e"}),
        ("time() - 3", set()),
    ],
)
def test_every_metric_of_a_query_is_known(expression: str, names: set[str]) -> None:
    assert metrics.metrics_of(expression) == names


@pytest.mark.parametrize(
    ("expression", "seen", "says"),
    [
        ("up", answer(1), []),
        ("up", answer(math.nan, 0), []),
        ("up", [], ["p: up gives no data"]),
        ("up", answer(math.nan, math.inf), ["p: up gives no data"]),
        ("gone or vector(0)", answer(0), ["p: there is no metric gone"]),
        ("b + a", answer(1), ["p: there is no metric a", "p: there is no metric b"]),
    ],
)
def test_a_panel_without_data_is_named(expression: str, seen: list[Series], says: list[str]) -> None:
    assert metrics.faults(Query("p", expression), {"up"}, seen) == says


@pytest.mark.parametrize("expression", ["sum(up", "", "up{", "rate(up)"])
def test_what_is_no_promql_is_named(expression: str) -> None:
    assert not metrics.is_promql(expression)
    (fault,) = metrics.faults(Query("p", expression), {"up"}, [])
    assert "is no PromQL" in fault


def test_a_variable_that_nobody_knows_is_a_fault_of_its_panel(board: Json) -> None:
    queries = metrics.queries(board, {})
    assert any(not metrics.is_promql(query.expression) for query in queries)


def test_panels_of_a_closed_row_count() -> None:
    panel = {"title": "p", "type": "stat", "targets": [{"expr": "a[${x:raw}]"}, {"expr": "$y"}]}
    board = {"panels": [{"type": "row", "panels": [panel]}]}
    assert metrics.queries(board, {"x": "5m", "y": "b"}) == [Query("p", "a[5m]"), Query("p", "b")]


def test_the_features_strange_panels_are_faults() -> None:
    known = {"velero_backup_items_total", "velero_backup_total"}
    for what, expression in STRANGE.items():
        assert metrics.faults(Query(what, expression), known, []) != [], what
