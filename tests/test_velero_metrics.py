"""Failures among Velero's own counters."""

from __future__ import annotations

from typing import cast

import pytest

from velero_acceptance.core.errors import AcceptanceError
from velero_acceptance.drivers import velero_metrics
from velero_acceptance.drivers.kinds import Json
from velero_acceptance.drivers.kubernetes import Kubernetes
from velero_acceptance.drivers.velero import Velero
from velero_acceptance.drivers.velero_metrics import FAILURES, total

TEXT = """\
# HELP velero_backup_failure_total Total number of failed backups
# TYPE velero_backup_failure_total counter
velero_backup_failure_total{schedule=""} 9
velero_backup_failure_total{schedule="daily"} 1
# HELP velero_backup_validation_failure_total Total number of validation failed backups
# TYPE velero_backup_validation_failure_total counter
velero_backup_validation_failure_total{schedule="daily"} 2
# HELP velero_backup_success_total Total number of successful backups
# TYPE velero_backup_success_total counter
velero_backup_success_total{schedule="daily"} 30
"""


def test_failures_of_all_kinds_are_counted_for_one_schedule() -> None:
    assert total(TEXT, FAILURES, "daily") == 3
    assert total(TEXT, FAILURES, "") == 9


def test_a_schedule_that_is_not_counted_is_no_zero() -> None:
    assert total(TEXT, FAILURES, "other") is None
    assert total("", FAILURES, "daily") is None


class Cluster:
    """A Velero with one pod, and an API server that passes a text on."""

    namespace = "velero"

    def __init__(self, text: str, *, ready: bool = True) -> None:
        self._text, self._ready = text, ready

    def server_pods(self) -> list[Json]:
        condition = {"type": "Ready", "status": str(self._ready)}
        return [{"metadata": {"name": "velero-1"}, "status": {"conditions": [condition]}}]

    def text(self, path: str) -> str:
        assert path == "/api/v1/namespaces/velero/pods/velero-1:8085/proxy/metrics"
        return self._text


@pytest.mark.parametrize(
    ("cluster", "says"),
    [
        (Cluster(TEXT, ready=False), "is ready: its metrics cannot be read"),
        (Cluster("go_threads 9\n"), "no metrics of Velero"),
    ],
)
def test_no_metrics_is_one_sentence(cluster: Cluster, says: str) -> None:
    with pytest.raises(AcceptanceError, match=says):
        velero_metrics.read(cast(Kubernetes, cluster), cast(Velero, cluster))


def test_metrics_come_through_the_api_server() -> None:
    cluster = Cluster(TEXT)
    assert velero_metrics.read(cast(Kubernetes, cluster), cast(Velero, cluster)) == TEXT
