"""acceptance.prom: the run as Prometheus metrics, for a textfile collector or a Pushgateway."""

from __future__ import annotations

from functools import partial
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry, Gauge, generate_latest, push_to_gateway
from prometheus_client.exposition import basic_auth_handler
from pydantic import SecretStr

from velero_acceptance.evidence.verdicts import Verdict
from velero_acceptance.report.build import CriterionRow, Report
from velero_acceptance.report.html import finished

PREFIX = "velero_acceptance_"
JOB = "velero_acceptance"
PUSH_SECONDS = 10
OF_MEASUREMENT = ("target", "criterion", "measurement", "unit", "comparator")


def registry(report: Report) -> CollectorRegistry:
    """Every metric of the run. Names and labels are those of docs/reading-the-report.md."""
    found = CollectorRegistry()
    run, target = report.run, report.run.target
    gauge = _gauges(found)
    gauge["run_info"].labels(target, run.id, run.profile, run.commit).set(1)
    gauge["run_timestamp_seconds"].labels(target).set(finished(report).timestamp())
    gauge["run_duration_seconds"].labels(target).set(run.seconds)
    gauge["run_exit_status"].labels(target).set(run.exit_status)
    gauge["run_left_behind"].labels(target).set(len(report.summary.leaks))
    for row in report.criteria:
        _criterion(gauge, target, row)
    return found


def write(report: Report, path: Path) -> None:
    """Write the metrics, whole or not at all: a collector may read the file at any moment."""
    unfinished = path.with_suffix(".partial")
    unfinished.write_bytes(generate_latest(registry(report)))
    unfinished.rename(path)


def push(report: Report, gateway: SecretStr) -> str:
    """Send the metrics to the Pushgateway at *gateway*; return in one sentence what came of it."""
    address = urlsplit(gateway.get_secret_value())
    shown = address.netloc.rpartition("@")[2]
    if address.scheme not in ("http", "https") or not shown:
        return "ACCEPTANCE_PUSHGATEWAY is not an address such as http://pushgateway:9091: no metrics were pushed"

    try:
        push_to_gateway(
            f"{address.scheme}://{shown}{address.path}",
            job=JOB,
            registry=registry(report),
            grouping_key={"target": report.run.target},
            timeout=PUSH_SECONDS,
            handler=partial(basic_auth_handler, username=address.username, password=address.password),
        )
    except (OSError, HTTPException) as error:  # URLError and HTTPError are OSErrors
        return f"the Pushgateway {shown} did not take the metrics: {getattr(error, 'reason', error)}"
    return f"metrics pushed to {shown}"


def _gauges(found: CollectorRegistry) -> dict[str, Gauge]:
    names = {
        "run_info": ("The last run, always 1.", ("target", "run", "profile", "commit")),
        "run_timestamp_seconds": ("When the run ended, in Unix time.", ("target",)),
        "run_duration_seconds": ("How long the run took.", ("target",)),
        "run_exit_status": ("Exit code of the run; 0 is green.", ("target",)),
        "run_left_behind": ("Objects and keys that the run left behind.", ("target",)),
        "verdict": (
            "1 for the verdict that the criterion has, 0 for the others.",
            ("target", "requirement", "criterion", "verdict"),
        ),
        "measurement_value": ("The worst value measured for a threshold.", OF_MEASUREMENT),
        "measurement_limit": ("The limit of a threshold.", OF_MEASUREMENT),
        "measurement_margin": ("Distance of the worst value to the limit; below 0 it is broken.", OF_MEASUREMENT),
        "evidence_timestamp_seconds": (
            "When the oldest scenario behind a verdict was started, in Unix time.",
            ("target", "criterion"),
        ),
        "faults_seeded": ("Seeded faults that the criterion's checks were shown.", ("target", "criterion")),
        "faults_caught": ("Seeded faults that the criterion's checks saw.", ("target", "criterion")),
    }
    return {name: Gauge(PREFIX + name, text, labels, registry=found) for name, (text, labels) in names.items()}


def _criterion(gauge: dict[str, Gauge], target: str, row: CriterionRow) -> None:
    for verdict in Verdict:
        gauge["verdict"].labels(target, row.requirement, row.id, verdict).set(verdict is row.verdict)
    for m in row.decisive():
        labels = (target, row.id, m.name, m.unit, m.comparator)
        gauge["measurement_value"].labels(*labels).set(m.value)
        gauge["measurement_limit"].labels(*labels).set(m.limit)
        gauge["measurement_margin"].labels(*labels).set(m.margin)
    if row.evidence_from:
        gauge["evidence_timestamp_seconds"].labels(target, row.id).set(row.evidence_from.timestamp())
        gauge["faults_seeded"].labels(target, row.id).set(row.negative_proof.seeded)
        gauge["faults_caught"].labels(target, row.id).set(row.negative_proof.killed)
