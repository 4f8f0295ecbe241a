"""Metrics, dashboard and alerts, as a Prometheus sees them."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from pytest_bdd import given, parsers, then

from fixtures.environment.velero_health import VeleroHealth
from fixtures.observability.alert_scenarios import AlertResults, AlertScenarios
from fixtures.observability.rule_mutations import MISTAKES
from velero_acceptance.checks import alerts, metrics
from velero_acceptance.checks.metrics import MetricReading
from velero_acceptance.core.settings import Environment
from velero_acceptance.core.timeouts import Timeouts
from velero_acceptance.drivers.kinds import Json
from velero_acceptance.drivers.prometheus import Prometheus
from velero_acceptance.drivers.promtool import judge, rules_of
from velero_acceptance.drivers.velero import Velero
from velero_acceptance.evidence.recorder import Evidence

TESTS = "alerts_test.yaml"
# What becomes of the faults of the drill in Velero's log.
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
METRICS = {"other versions of Velero export": OF_OTHER_VERSIONS, "the design needs": tuple(metrics.WANTED)}
STRANGE = {
    "a metric of Velero 1.9": "sum(rate(restic_pod_volume_backup_enqueue_count[5m]))",
    "a metric that is not there, or nothing": "sum(velero_backup_size_bytes) or vector(0)",
    "a schedule that is not there": 'velero_backup_items_total{schedule="no-such-schedule"}',
    "no PromQL": "sum(velero_backup_total",
}


@given("a Prometheus that scrapes Velero and every node-agent")
def scraped(prometheus: Prometheus, velero: Velero, evidence: Evidence, timeouts: Timeouts) -> None:
    """By what it has of them: how it finds them is its owner's affair."""
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


@given("a drill with a fault for every alert", target_fixture="drilled")
def held(alert_scenarios: AlertScenarios, velero_health: VeleroHealth, evidence: Evidence) -> AlertResults:
    velero_health.allow_errors(EXPECTED)
    drilled = alert_scenarios.result()
    for shortcut in ("durations of the alerts", "Schedule.status.lastBackup", "Backup.status.completionTimestamp"):
        evidence.accelerate(shortcut)
    return drilled


@then("every metric that the design needs is in Prometheus")
def all_there(prometheus: Prometheus, drilled: AlertResults, evidence: Evidence) -> None:
    missing = metrics.missing(metrics.WANTED, prometheus.names(drilled.since))
    evidence.observe("metrics looked for", len(metrics.WANTED))
    evidence.measure("metrics_missing", len(missing), artefact="\n".join(missing) or "none is missing")


@then("the metrics of every backup, restore and deletion are what the objects say")
def all_true(alert_scenarios: AlertScenarios, drilled: AlertResults, evidence: Evidence) -> None:
    readings = alert_scenarios.operations.readings(drilled.runs)
    evidence.observe("readings compared", len(readings))
    _untrue(readings, evidence)


@then(parsers.parse("the suite names what {whose} as missing"))
def others_missing(prometheus: Prometheus, drilled: AlertResults, evidence: Evidence, whose: str) -> None:
    asked = METRICS[whose]
    missing = metrics.missing(asked, prometheus.names(drilled.since))
    assert missing == list(asked), missing
    evidence.expect_violation("metrics_missing", len(missing), artefact="\n".join(missing))


@then(parsers.parse("velero_backup_last_status lies about {schedule}"))
def status_lies(alert_scenarios: AlertScenarios, drilled: AlertResults, evidence: Evidence, schedule: str) -> None:
    """Velero sets it back to 1 whenever it looks at its schedules (velero issue 9374)."""
    failed = schedule == "a schedule whose last backup failed"
    reading = alert_scenarios.operations.status_of(
        drilled.runs["failed"] if failed else alert_scenarios.operations.backup
    )
    evidence.expect_violation("metrics_incorrect", len(metrics.incorrect([reading])), artefact=str(reading))


def _untrue(readings: list[MetricReading], evidence: Evidence) -> None:
    evidence.measure("metrics_incorrect", len(metrics.incorrect(readings)), artefact="\n".join(map(str, readings)))


@given("the dashboard", target_fixture="board")
def board(monitoring: Path) -> Json:
    return dict(json.loads((monitoring / "app/dashboard.json").read_text()))


@given(parsers.parse("the dashboard, with one more panel that asks for {what}"), target_fixture="board")
def strange_board(monitoring: Path, what: str) -> Json:
    found = board(monitoring)
    panel = {"title": what, "type": "stat", "targets": [{"expr": STRANGE[what]}]}
    return {**found, "panels": [*found["panels"], panel]}


@then("every panel has data")
def panels_have_data(
    board: Json, prometheus: Prometheus, drilled: AlertResults, environment: Environment, evidence: Evidence
) -> None:
    asked, found = _panel_faults(board, prometheus, drilled, environment)
    evidence.observe("queries of panels", asked)
    evidence.measure("panels_without_data", len(found), artefact="\n".join(found) or "every panel has data")


@then("the suite names that panel")
def panel_named(
    board: Json, prometheus: Prometheus, drilled: AlertResults, environment: Environment, evidence: Evidence
) -> None:
    _, found = _panel_faults(board, prometheus, drilled, environment)
    strange = board["panels"][-1]["title"]
    assert [fault.partition(":")[0] for fault in found] == [strange], found
    evidence.expect_violation("panels_without_data", len(found), artefact="\n".join(found))


def _panel_faults(
    board: Json, prometheus: Prometheus, drilled: AlertResults, environment: Environment
) -> tuple[int, list[str]]:
    """How many queries there are, and what is wrong with which."""
    values = {"namespace": environment.velero_namespace, "schedule": ".*", "__rate_interval": "1m"}
    queries, known = metrics.queries(board, values), prometheus.names(drilled.since)
    found: list[str] = []
    for query in queries:
        sound = metrics.is_promql(query.expression)
        seen = prometheus.history(query.expression, drilled.since, datetime.now(UTC), step=2.0) if sound else []
        found += metrics.faults(query, known, seen)
    return len(queries), found


@given("the alerts", target_fixture="rules")
def rules(monitoring: Path) -> Json:
    return rules_of(monitoring / "app/alerts.yaml")


@given(parsers.parse("the alerts, changed so that they {mistake}"), target_fixture="rules")
def mistaken_rules(monitoring: Path, mistake: str) -> Json:
    found = rules(monitoring)
    MISTAKES[mistake](found)
    return found


@then("they pass their unit tests")
def rules_pass(rules: Json, promtool: Path, monitoring: Path, evidence: Evidence) -> None:
    judged = judge(promtool, rules, monitoring / TESTS)
    evidence.measure("rule_tests_failed", int(not judged.passed), artefact=judged.words)


@then("they fail their unit tests")
def rules_fail(rules: Json, promtool: Path, monitoring: Path, evidence: Evidence) -> None:
    judged = judge(promtool, rules, monitoring / TESTS)
    evidence.expect_violation("rule_tests_failed", int(not judged.passed), artefact=judged.words)


@then(parsers.parse('"{alert}" fired when {fault}, and was resolved'))
def fired_and_resolved(drilled: AlertResults, evidence: Evidence, alert: str, fault: str) -> None:
    course = drilled.courses[fault]
    assert course.alert == alert, course
    evidence.observe("course", str(course))
    evidence.measure("alerts_not_fired", len(alerts.not_fired([course])), artefact=str(course))
    evidence.measure("alerts_not_resolved", len(alerts.not_resolved([course])), artefact=str(course))


@then("no alert fired at a time when its fault was not there")
def none_unfounded(drilled: AlertResults, evidence: Evidence) -> None:
    found = alerts.false_positives(drilled.own_history, list(drilled.courses.values()))
    evidence.measure("false_positive_alerts", len(found), artefact="\n".join(found) or "every alert had its fault")


@then(parsers.parse("the suite sees no alert of {schedules}"))
def calm(drilled: AlertResults, evidence: Evidence, schedules: str) -> None:
    """Asked as for the other schedules: nothing fired, so the check must say that nothing did."""
    asked = [drilled.courses[fault] for fault in drilled.of_schedules]
    if schedules == "the schedule that nothing happened to":
        asked = [replace(course, labels={"schedule": drilled.calm}) for course in asked]
    seen = [alerts.as_seen(course, drilled.own_history) for course in asked]
    missing = alerts.not_fired(seen)
    assert len(missing) == len(seen), "\n".join(map(str, seen))
    evidence.expect_violation("alerts_not_fired", len(missing), artefact="\n".join(map(str, seen)))


@then("a firing alert whose fault it is not told of is called unfounded")
def untold(drilled: AlertResults, evidence: Evidence) -> None:
    found = alerts.false_positives(drilled.own_history, [])
    evidence.expect_violation("false_positive_alerts", len(found), artefact="\n".join(found))
