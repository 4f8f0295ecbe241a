"""NFR-OBSERVABILITY-001: whether the metrics exist and agree with the objects, and every dashboard panel has data."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from velero_acceptance.core.installation import lab_packages
from velero_acceptance.drivers.kinds import Json
from velero_acceptance.drivers.prometheus import Series, selector

VARIABLE = re.compile(r"\$(?:\{(\w+)(?::\w+)?\}|(\w+))")
# The metrics that the design requires of backups, restores, their timing and their size.
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
    """The value of a series before and after an event.

    *before*: its values; empty when it must not exist yet, None when others increase it too. *within*: the tolerance
    of *after*, in the unit of the metric.
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
        if len(after) != 1:
            return False
        value = after[0].value
        if self.before is None:
            return value >= self.after
        return [series.value for series in before] == list(self.before) and abs(value - self.after) <= self.within


@dataclass(frozen=True)
class MetricReading:
    """An expected series, and its values before and after the event."""

    expected: ExpectedMetric
    before: list[Series]
    after: list[Series]

    @property
    def true(self) -> bool:
        return self.expected.holds(self.before, self.after)

    def __str__(self) -> str:
        before, after = (
            ", ".join(f"{series.value:.10g}" for series in found) or "none" for found in (self.before, self.after)
        )
        expected = self.expected
        limit = f"{expected.after:.10g} ± {expected.within:g}"
        if expected.before is None:
            limit = f"at least {expected.after:g}"
        return f"{expected.expression}: {before} became {after}, expected {limit}{'' if self.true else '  ✗'}"


def incorrect(readings: Iterable[MetricReading]) -> list[MetricReading]:
    return [reading for reading in readings if not reading.true]


@dataclass(frozen=True)
class Query:
    """A query of a dashboard's panel, with the dashboard's variables filled in."""

    panel: str
    expression: str


def queries(dashboard: Json, values: Mapping[str, str]) -> list[Query]:
    """Every query of a dashboard, also in collapsed rows, with *values* of its variables; an unknown one stays."""
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
    """The metrics in a PromQL expression; raises ValueError for another text, Refusal without promql-parser."""
    with lab_packages():
        import promql_parser

    found: set[str] = set()

    def visit(node: Any) -> None:
        chosen = node.vector_selector if isinstance(node, promql_parser.MatrixSelector) else node
        if isinstance(chosen, promql_parser.VectorSelector):
            named = (matcher.value for matcher in chosen.matchers.matchers if matcher.name == "__name__")
            found.add(chosen.name or next(named, ""))

    promql_parser.walk(promql_parser.parse(expression), visit)
    return found


def is_promql(expression: str) -> bool:
    try:
        return metrics_of(expression) is not None
    except ValueError:
        return False


def faults(query: Query, known: set[str], answer: Sequence[Series]) -> list[str]:
    """Why a panel would be empty or hide a missing metric, from the *known* metrics and the query's *answer*."""
    try:
        absent = sorted(metrics_of(query.expression) - known)
    except ValueError as error:
        return [f"{query.panel}: {query.expression} is no PromQL: {error}"]
    if absent:
        return [f"{query.panel}: there is no metric {name}" for name in absent]
    if not any(math.isfinite(value) for series in answer for _, value in series.points):
        return [f"{query.panel}: {query.expression} gives no data"]
    return []
