"""NFR-OBSERVABILITY-001: whether each panel of a Grafana dashboard has something to show."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import promql_parser

from acceptance.drivers.kinds import Json
from acceptance.drivers.prometheus import Series

VARIABLE = re.compile(r"\$(?:\{(\w+)(?::\w+)?\}|(\w+))")


@dataclass(frozen=True)
class Query:
    """A query of a panel, with the dashboard's variables filled in."""

    panel: str
    expression: str


def queries(dashboard: Json, values: Mapping[str, str]) -> list[Query]:
    """Every query of a dashboard, those of panels in closed rows included. *values* are those of its variables.

    A variable without a value stays as it is: what is then no PromQL is a fault of that panel.
    """
    return [
        Query(panel["title"], VARIABLE.sub(lambda match: values.get(match[1] or match[2], match[0]), target["expr"]))
        for panel in panels(dashboard)
        for target in panel["targets"]
    ]


def panels(dashboard: Json) -> Iterator[Json]:
    """Every panel that is no row."""
    for panel in dashboard["panels"]:
        yield from panels(panel) if "panels" in panel else ()
        if panel["type"] != "row":
            yield panel


def metrics_of(expression: str) -> set[str]:
    """The names of the metrics that a PromQL expression reads; raises ValueError when it is none."""
    found: set[str] = set()

    def visit(node: promql_parser.Expr) -> None:
        chosen = node.vector_selector if isinstance(node, promql_parser.MatrixSelector) else node
        if isinstance(chosen, promql_parser.VectorSelector):
            named = (matcher.value for matcher in chosen.matchers.matchers if matcher.name == "__name__")
            found.add(chosen.name or next(named, ""))

    promql_parser.walk(promql_parser.parse(expression), visit)
    return found


def is_promql(expression: str) -> bool:
    """Whether Prometheus can be asked for it."""
    try:
        metrics_of(expression)
    except ValueError:
        return False
    return True


def faults(query: Query, known: set[str], answer: Sequence[Series]) -> list[str]:
    """Why the panel would be empty, or would hide that a metric is not there; empty when all is well.

    *known* are the metrics that Prometheus has, *answer* is what it gave for the query.
    """
    try:
        absent = sorted(metrics_of(query.expression) - known)
    except ValueError as error:
        return [f"{query.panel}: {query.expression} is no PromQL: {error}"]
    if absent:
        return [f"{query.panel}: there is no metric {name}" for name in absent]
    if not any(math.isfinite(value) for series in answer for _, value in series.points):
        return [f"{query.panel}: {query.expression} gives no data"]
    return []
