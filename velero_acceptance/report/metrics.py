"""acceptance.prom: the run as Prometheus metrics, for a textfile collector or a Pushgateway."""

from functools import partial
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry, Gauge, generate_latest, push_to_gateway
from prometheus_client.exposition import basic_auth_handler
from pydantic import SecretStr

from velero_acceptance.core.files import write_whole
from velero_acceptance.core.timeouts import seconds
from velero_acceptance.evidence.verdicts import Verdict
from velero_acceptance.report.build import Report
from velero_acceptance.report.html import finished

PREFIX = "velero_acceptance_"
JOB = "velero_acceptance"


def registry(report: Report) -> CollectorRegistry:
    """Every metric of the run. Names and labels are those of docs/reading-the-report.md."""
    found = CollectorRegistry()

    def gauge(name: str, text: str, *labels: str) -> Gauge:
        """A gauge with the labels *target* and *labels*."""
        return Gauge(PREFIX + name, text, ("target", *labels), registry=found)

    run, target = report.run, report.run.target
    info = gauge("run_info", "The last run, always 1.", "run", "profile", "commit")
    info.labels(target, run.id, run.profile, run.commit).set(1)
    for name, text, value in (
        ("run_timestamp_seconds", "When the run ended, in Unix time.", finished(report).timestamp()),
        ("run_duration_seconds", "How long the run took.", run.seconds),
        ("run_exit_status", "Exit code of the run; 0 is green.", run.exit_status),
        ("run_left_behind", "Objects and keys that the run left behind.", len(report.summary.leaks)),
    ):
        gauge(name, text).labels(target).set(value)

    verdicts = gauge(
        "verdict", "1 for the criterion's verdict, 0 for the others.", "requirement", "criterion", "verdict"
    )
    of_measurement = ("criterion", "measurement", "unit", "comparator")
    values = gauge("measurement_value", "The worst value measured for a threshold.", *of_measurement)
    limits = gauge("measurement_limit", "The limit of a threshold.", *of_measurement)
    text = "Distance of the worst value to the limit; below 0 the limit is broken."
    margins = gauge("measurement_margin", text, *of_measurement)
    text = "When the oldest scenario behind a verdict was started, in Unix time."
    evidence = gauge("evidence_timestamp_seconds", text, "criterion")
    seeded = gauge("faults_seeded", "Faults seeded to test the criterion's checks.", "criterion")
    caught = gauge("faults_caught", "Seeded faults that the criterion's checks detected.", "criterion")
    for row in report.criteria:
        for verdict in Verdict:
            verdicts.labels(target, row.requirement, row.id, verdict).set(verdict is row.verdict)
        for m in row.decisive():
            labels = (target, row.id, m.name, m.unit, m.comparator)
            values.labels(*labels).set(m.value)
            limits.labels(*labels).set(m.limit)
            margins.labels(*labels).set(m.margin)
        if row.evidence_from:
            evidence.labels(target, row.id).set(row.evidence_from.timestamp())
            seeded.labels(target, row.id).set(row.negative_proof.seeded)
            caught.labels(target, row.id).set(row.negative_proof.killed)
    return found


def write(metrics: CollectorRegistry, path: Path) -> None:
    """Write *metrics* whole: a collector may read the file at any moment."""
    write_whole(path, generate_latest(metrics))


def push(metrics: CollectorRegistry, target: str, gateway: SecretStr, job: str = JOB) -> str:
    """Push *metrics* to the Pushgateway at *gateway*, in place of those of *job*; return the result in one sentence."""
    address = urlsplit(gateway.get_secret_value())
    shown = address.netloc.rpartition("@")[2]
    if address.scheme not in ("http", "https") or not shown:
        return "ACCEPTANCE_PUSHGATEWAY is not an address such as http://pushgateway:9091: no metrics were pushed"
    try:
        push_to_gateway(
            f"{address.scheme}://{shown}{address.path}",
            job=job,
            registry=metrics,
            grouping_key={"target": target},
            timeout=seconds("metrics_pushed"),
            handler=partial(basic_auth_handler, username=address.username, password=address.password),
        )
    except (OSError, HTTPException) as error:  # URLError and HTTPError are OSErrors
        return f"the Pushgateway {shown} did not take the metrics: {getattr(error, 'reason', error)}"
    return f"metrics pushed to {shown}"
