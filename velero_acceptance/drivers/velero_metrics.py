"""Velero's own metrics, read through the API server: no Prometheus is needed."""

from collections.abc import Iterable

from prometheus_client.parser import text_string_to_metric_families

from velero_acceptance.core.errors import AcceptanceError
from velero_acceptance.drivers.kinds import POD, is_ready, name_of
from velero_acceptance.drivers.kubernetes import Kubernetes
from velero_acceptance.drivers.velero import Velero

PORT = 8085
# velero, pkg/metrics/metrics.go: a failed backup counts in exactly one of them, by its phase.
FAILURES = (
    "velero_backup_failure_total",
    "velero_backup_partial_failure_total",
    "velero_backup_validation_failure_total",
)


def total(text: str, names: Iterable[str], schedule: str) -> float | None:
    """The sum of the counters *names* with the label of *schedule*; None when there is none of them."""
    wanted = set(names)
    found = [
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name in wanted and sample.labels.get("schedule") == schedule
    ]
    return sum(found) if found else None


def read(kubernetes: Kubernetes, velero: Velero) -> str:
    """The present metrics of the Velero server; raises AcceptanceError when it exposes none."""
    servers = [pod for pod in velero.server_pods() if is_ready(pod)]
    if not servers:
        raise AcceptanceError("no pod of the Velero server is ready: its metrics cannot be read")
    text = kubernetes.text(f"{POD.path(velero.namespace, name_of(servers[0]))}:{PORT}/proxy/metrics")
    if "velero_backup_" not in text:
        raise AcceptanceError(f"port {PORT} of the Velero server has no metrics of Velero")
    return text
