"""NFR-OBSERVABILITY-001: whether the metrics are there, and whether they say what the objects say."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import promql_parser

from velero_acceptance.drivers.kinds import Json
from velero_acceptance.drivers.prometheus import Series, selector

# What the design wants to be seen of backups, restores, their timing and their size.
WANTED = (
    "velero_backup_attempt_total",
    "velero_backup_success_total",
    "velero_backup_partial_failure_total",
    "velero_backup_failure_total",
    "velero_backup_validation_failure_total",
    "velero_backup_warning_total",
    "velero_backup_total",
    "velero_backup_last_successful_timestamp",
    "velero_backup_duration_seconds_bucket",
    "velero_backup_tarball_size_bytes",
    "velero_backup_items_total",
    "velero_backup_items_errors",
    "velero_backup_deletion_attempt_total",
    "velero_backup_deletion_success_total",
    "velero_backup_deletion_failure_total",
    "velero_restore_attempt_total",
    "velero_restore_success_total",
    "velero_restore_partial_failure_total",
    "velero_restore_failed_total",
    "velero_restore_validation_failed_total",
    "velero_restore_total",
    "podVolume_pod_volume_backup_enqueue_count",
    "podVolume_pod_volume_backup_dequeue_count",
    "podVolume_pod_volume_operation_latency_seconds_bucket",
    "podVolume_pod_volume_operation_latency_seconds_gauge",
    "container_memory_working_set_bytes",
    "container_cpu_usage_seconds_total",
    "container_network_transmit_bytes_total",
    "minio_cluster_health_capacity_usable_free_bytes",
    "minio_cluster_usage_buckets_total_bytes",
    "probe_success",
    "apiserver_request_total",
)


def missing(wanted: Iterable[str], known: set[str]) -> list[str]:
    """The wanted metrics that Prometheus has no sample of."""
    return [name for name in wanted if name not in known]


@dataclass(frozen=True)
class ExpectedMetric:
    """What a series has to say once something has happened, and what it said before.

    *before*: the values of the series; empty when it must not be there yet, None when others count it up too.
    *within*: the greatest difference that is none, in the unit of the metric.
    """

    metric: str
    labels: Mapping[str, str]
    after: float
    before: Sequence[float] | None = ()
    within: float = 0.0

    @property
    def expression(self) -> str:
        return selector(self.metric, self.labels)

    def holds(self, before: Sequence[Series], after: Sequence[Series]) -> bool:
        """Whether the series seen before and after the event are as expected."""
        if len(after) != 1:
            return False
        value = after[0].value
        if self.before is None:
            return value >= self.after
        return [series.value for series in before] == list(self.before) and abs(value - self.after) <= self.within


@dataclass(frozen=True)
class MetricReading:
    """What was expected of a series, and what was seen of it before and after."""

    expected: ExpectedMetric
    before: list[Series]
    after: list[Series]

    @property
    def true(self) -> bool:
        return self.expected.holds(self.before, self.after)

    def __str__(self) -> str:
        values = [[f"{series.value:.10g}" for series in seen] or ["none"] for seen in (self.before, self.after)]
        before, after = (", ".join(seen) for seen in values)
        wanted = self.expected
        limit = f"at least {wanted.after:g}" if wanted.before is None else f"{wanted.after:.10g} ± {wanted.within:g}"
        return f"{wanted.expression}: {before} became {after}, expected {limit}{'' if self.true else '  ✗'}"


def incorrect(readings: Iterable[MetricReading]) -> list[MetricReading]:
    """The readings that are not as expected."""
    return [reading for reading in readings if not reading.true]


# NFR-OBSERVABILITY-001: whether each panel of a Grafana dashboard has something to show.


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
