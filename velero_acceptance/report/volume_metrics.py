"""The coverage of volumes as Prometheus metrics, for a textfile collector or a Pushgateway."""

from prometheus_client import CollectorRegistry, Gauge

from velero_acceptance.checks.volume_coverage.result import CoverageResult
from velero_acceptance.report.metrics import PREFIX

# A push replaces all metrics of its job: those of a run stay.
JOB = "velero_acceptance_coverage"


def registry(result: CoverageResult, target: str) -> CollectorRegistry:
    """Every metric of the coverage. Names and labels are those of docs/coverage.md."""
    found = CollectorRegistry()
    of_volume = ("target", "namespace", "volume")
    text = "Age of the newest backup that holds the volume; absent without one."
    ages = Gauge(f"{PREFIX}volume_age_seconds", text, (*of_volume, "schedule"), registry=found)
    text = "1 when no backup holds the volume and no waiver accepts that, else 0."
    unprotected = Gauge(f"{PREFIX}volume_unprotected", text, (*of_volume, "reason"), registry=found)
    for row in result.rows:
        volume, held, finding = row.protection.volume, row.protection.held, row.protection.finding
        labels = (target, volume.namespace, volume.name)
        if held and row.age is not None:
            ages.labels(*labels, held.schedule).set(row.age)
        reason = finding.reason if finding and not held else ""
        unprotected.labels(*labels, reason).set(row.unprotected)
    return found
