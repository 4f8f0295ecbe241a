"""Metrics, dashboard and alerts, judged by what Prometheus has."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from pytest_bdd import given, then, when

from fixtures.environment.phrases import Recorder, holds, phrase, violated
from fixtures.environment.velero_health import VeleroHealth
from fixtures.observability.alert_scenarios import ALERTS, AlertFault, AlertResults, AlertScenarios
from velero_acceptance.checks import alerts, metrics
from velero_acceptance.core.timeouts import Timeouts
from velero_acceptance.drivers.kinds import Json
from velero_acceptance.drivers.prometheus import Prometheus
from velero_acceptance.drivers.promtool import judge, rules_of
from velero_acceptance.drivers.velero import Velero
from velero_acceptance.evidence.recorder import Evidence

RULES, TESTS = "app/alerts.yaml", "alerts_test.yaml"
# What Velero logs about the faults of the alerts.
EXPECTED = (
    r"connection (refused|reset)|EOF|[Aa]ccess ?[Dd]enied|unavailable|hook|backup store|storage location|"
    r"schedule not found|[Ee]rror (listing|getting|putting|uploading|backing up)"
)
# The restic of Velero 1.9, the location of 1.17, the maintenance of 1.18.
OF_OTHER_VERSIONS = (
    "restic_restic_operation_latency_seconds",
    "velero_backup_location_status_gauge",
    "velero_repo_maintenance_success_total",
)
METRICS = {"other Velero versions": OF_OTHER_VERSIONS, "the design": tuple(metrics.WANTED)}
STRANGE = {
    "a metric of Velero 1.9": "sum(rate(restic_pod_volume_backup_enqueue_count[5m]))",
    "a metric that is missing, or nothing": "sum(velero_backup_size_bytes) or vector(0)",
    "a schedule that does not exist": 'velero_backup_items_total{schedule="no-such-schedule"}',
    "invalid PromQL": "sum(velero_backup_total",
}
ADDITIONAL_PANEL = "additional panel"
SCHEDULES = {"the schedule without a fault": False, "a schedule whose last backup failed": True}
QUIET = {"the schedule without a fault": True, "the schedules with a fault": False}


def trust_last_status(rules: Json) -> None:
    """As the sample alerts of Velero's chart do (velero issue 9374)."""
    for rule in _named(rules, "VeleroBackupFailed"):
        rule["expr"] = "max by (schedule) (velero_backup_last_status) != 1"
        rule["for"] = "15m"


def wait_for_success(rules: Json) -> None:
    """Only the age of the last success: a schedule that never had one has no such series."""
    for group in rules["groups"]:
        group["rules"] = [rule for rule in group["rules"] if not _is_never(rule)]


def accept_missing_series(rules: Json) -> None:
    """Without validations there is no series either, and nothing is less than one."""
    for rule in _named(rules, "VeleroLocationStale"):
        rule["expr"] = rule["expr"].replace("or\n  vector(0)\n", "")


MISTAKES: dict[str, Callable[[Json], None]] = {
    "trust velero_backup_last_status": trust_last_status,
    "wait for a first success": wait_for_success,
    "accept a missing validation": accept_missing_series,
}


def _named(rules: Json, alert: str) -> Iterator[Json]:
    return (rule for group in rules["groups"] for rule in group["rules"] if rule["alert"] == alert)


def _is_never(rule: Json) -> bool:
    return bool(rule["alert"] == "VeleroBackupMissed" and rule["labels"]["reason"] != "too long ago")


@then("Prometheus scrapes Velero and every node-agent")
def scraped(prometheus: Prometheus, velero: Velero, evidence: Evidence, timeouts: Timeouts) -> None:
    """Judged by the series that it has: how it discovers its targets is not the suite's concern."""
    agents = {pod["spec"]["nodeName"] for pod in velero.agent_pods()}
    seen = prometheus.wait_series(
        "podVolume_pod_volume_backup_enqueue_count",
        "Prometheus has metrics of node-agent",
        timeout=timeouts["metric_scraped"],
    )
    unseen = sorted(agents - {series.labels["node"] for series in seen})
    evidence.measure("agents_not_scraped", len(unseen), artefact="\n".join(unseen) or f"all {len(agents)} nodes")
    down = [f"{target.job} {target.instance}: {target.error}" for target in prometheus.targets() if target.error]
    evidence.observe("targets that cannot be scraped", "; ".join(down) or "none")


@when("the faults of all alerts are injected", target_fixture="alert_results")
def inject_faults(alert_scenarios: AlertScenarios, velero_health: VeleroHealth, evidence: Evidence) -> AlertResults:
    """Once a session."""
    velero_health.allow_errors(EXPECTED)
    evidence.accelerate("durations of the alerts", "Schedule.status.lastBackup", "Backup.status.completionTimestamp")
    return alert_scenarios.result()


@then("every metric that the design needs is in Prometheus")
def metrics_present(prometheus: Prometheus, alert_results: AlertResults, evidence: Evidence) -> None:
    missing = metrics.missing(metrics.WANTED, prometheus.names(alert_results.since))
    evidence.observe("metrics looked for", len(metrics.WANTED))
    evidence.measure("metrics_missing", len(missing), artefact="\n".join(missing) or "none is missing")


@then("the metrics of every backup, restore and deletion match their objects")
def metrics_correct(alert_scenarios: AlertScenarios, alert_results: AlertResults, evidence: Evidence) -> None:
    readings = alert_scenarios.operations.readings(alert_results.runs)
    evidence.observe("readings compared", len(readings))
    evidence.measure("metrics_incorrect", len(metrics.incorrect(readings)), artefact="\n".join(map(str, readings)))


@then(phrase("the suite reports the metrics of {asked:Source} as missing", Source=METRICS))
def missing_metrics_reported(
    prometheus: Prometheus, alert_results: AlertResults, evidence: Evidence, asked: tuple[str, ...]
) -> None:
    missing = metrics.missing(asked, prometheus.names(alert_results.since))
    assert missing == list(asked), missing
    evidence.expect_violation("metrics_missing", len(missing), artefact="\n".join(missing))


@then(phrase("the suite reports velero_backup_last_status as wrong for {failed:Schedule}", Schedule=SCHEDULES))
def wrong_status_reported(
    alert_scenarios: AlertScenarios, alert_results: AlertResults, evidence: Evidence, failed: bool
) -> None:
    """Velero sets it back to 1 whenever it checks its schedules (velero issue 9374)."""
    reading = alert_scenarios.operations.status_of(
        alert_results.runs["failed"] if failed else alert_scenarios.operations.backup
    )
    evidence.expect_violation("metrics_incorrect", len(metrics.incorrect([reading])), artefact=str(reading))


@given("the dashboard", target_fixture="board")
def dashboard(monitoring: Path) -> Json:
    return _dashboard(monitoring)


@given(
    phrase("the dashboard with an additional panel that queries {expression:Query}", Query=STRANGE),
    target_fixture="board",
)
def dashboard_with_additional_panel(monitoring: Path, expression: str) -> Json:
    found = _dashboard(monitoring)
    panel = {"title": ADDITIONAL_PANEL, "type": "stat", "targets": [{"expr": expression}]}
    return {**found, "panels": [*found["panels"], panel]}


def _dashboard(monitoring: Path) -> Json:
    return dict(json.loads((monitoring / "app/dashboard.json").read_text()))


@then(holds("every panel has data"))
@then(violated("the suite reports the additional panel"))
def panels_have_data(
    record: Recorder,
    board: Json,
    prometheus: Prometheus,
    alert_results: AlertResults,
    velero: Velero,
    evidence: Evidence,
) -> None:
    """Nothing but the additional panel may lack data."""
    values = {"namespace": velero.namespace, "schedule": ".*", "__rate_interval": "1m"}
    queries, known = metrics.queries(board, values), prometheus.names(alert_results.since)
    found: list[str] = []
    for query in queries:
        sound = metrics.is_promql(query.expression)
        seen = prometheus.history(query.expression, alert_results.since, datetime.now(UTC), step=2.0) if sound else []
        found += metrics.faults(query, known, seen)
    evidence.observe("queries of panels", len(queries))
    record(evidence, "panels_without_data", len(found), artefact="\n".join(found) or "every panel has data")
    assert {fault.partition(":")[0] for fault in found} <= {ADDITIONAL_PANEL}, found


@given("the alerts", target_fixture="rules")
def alert_rules(monitoring: Path) -> Json:
    return rules_of(monitoring / RULES)


@given(phrase("the alerts, changed so that they {mistake:Mistake}", Mistake=MISTAKES), target_fixture="rules")
def mistaken_rules(monitoring: Path, mistake: Callable[[Json], None]) -> Json:
    found = rules_of(monitoring / RULES)
    mistake(found)
    return found


@then(holds("they pass their unit tests"))
@then(violated("the suite reports that they fail their unit tests"))
def rules_pass(record: Recorder, rules: Json, promtool: Path, monitoring: Path, evidence: Evidence) -> None:
    judged = judge(promtool, rules, monitoring / TESTS)
    record(evidence, "rule_tests_failed", int(not judged.passed), artefact=judged.words)


@then(phrase('"{alert:Alert}" fired when {fault:AlertFault}, and was resolved', Alert=ALERTS, AlertFault=AlertFault))
def fired_and_resolved(alert_results: AlertResults, evidence: Evidence, alert: str, fault: AlertFault) -> None:
    course = alert_results.timelines[fault]
    assert course.alert == alert, course
    evidence.observe("course", str(course))
    evidence.measure("alerts_not_fired", len(alerts.not_fired([course])), artefact=str(course))
    evidence.measure("alerts_not_resolved", len(alerts.not_resolved([course])), artefact=str(course))


@then("no alert fired while its fault was absent")
def no_false_positive(alert_results: AlertResults, evidence: Evidence) -> None:
    found = alerts.false_positives(alert_results.suite_history, list(alert_results.timelines.values()))
    evidence.measure("false_positive_alerts", len(found), artefact="\n".join(found) or "every alert had its fault")


@then(phrase("the suite reports that no alert fired for {quiet:Schedules}", Schedules=QUIET))
def no_alert_reported(alert_results: AlertResults, evidence: Evidence, quiet: bool) -> None:
    """Queried as for the schedules with a fault: nothing fired, and the check must report that."""
    asked = [alert_results.timelines[fault] for fault in alert_results.backup_faults]
    if quiet:
        asked = [replace(course, labels={"schedule": alert_results.healthy}) for course in asked]
    seen = [alerts.as_seen(course, alert_results.suite_history) for course in asked]
    missing = alerts.not_fired(seen)
    assert len(missing) == len(seen), "\n".join(map(str, seen))
    evidence.expect_violation("alerts_not_fired", len(missing), artefact="\n".join(map(str, seen)))


@then("the suite reports an alert whose fault it does not know as a false positive")
def false_positive_reported(alert_results: AlertResults, evidence: Evidence) -> None:
    found = alerts.false_positives(alert_results.suite_history, [])
    evidence.expect_violation("false_positive_alerts", len(found), artefact="\n".join(found))
