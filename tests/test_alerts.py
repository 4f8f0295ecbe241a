"""The alerts of gitops/: their unit tests, what the lab makes of them, and the check of their course seen to go red."""

from __future__ import annotations

import copy
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from fixtures.observability.alert_scenarios import ALERTS, AlertResults
from lab import debian, monitoring
from lab.monitoring import APP
from lab.settings import LabSettings
from steps.observability import MISTAKES
from velero_acceptance.checks import alerts
from velero_acceptance.checks.alerts import AlertTimeline
from velero_acceptance.drivers import promtool
from velero_acceptance.drivers.kinds import Json
from velero_acceptance.drivers.prometheus import Series

TESTS = APP.parent / "alerts_test.yaml"


@pytest.fixture
def rules() -> Json:
    return promtool.rules_of(APP / "alerts.yaml")


@pytest.fixture(scope="session")
def program() -> Path:
    """promtool, from the path or from a lab that was here before."""
    found = shutil.which("promtool") or debian.program("usr/bin/promtool")
    if not Path(found).exists():
        pytest.skip("promtool is not here: `acceptance lab up` unpacks it, and NFR-OBSERVABILITY-001 runs these tests")
    return Path(found)


def each(rules: Json) -> list[Json]:
    return [rule for group in rules["groups"] for rule in group["rules"]]


# -- the rules ------------------------------------------------------------------------------


def test_they_pass_their_unit_tests(program: Path, rules: Json) -> None:
    judged = promtool.judge(program, rules, TESTS)
    assert judged.passed, judged.words


@pytest.mark.parametrize("mistake", MISTAKES)
def test_each_mistake_of_the_feature_fails_them(program: Path, rules: Json, mistake: str) -> None:
    changed = copy.deepcopy(rules)
    MISTAKES[mistake](changed)
    assert changed != rules
    assert not promtool.judge(program, changed, TESTS).passed


def test_rules_that_are_none_are_refused(program: Path) -> None:
    broken = {"groups": [{"name": "g", "rules": [{"alert": "A", "expr": "sum("}]}]}
    assert not promtool.judge(program, broken, TESTS).passed


def test_the_feature_has_a_fault_for_every_alert_and_every_mistake(rules: Json) -> None:
    feature = next((Path(__file__).parents[1] / "features").rglob("NFR-OBSERVABILITY-001-*.feature")).read_text()
    names = {rule["alert"] for rule in each(rules)}
    assert names == ALERTS
    assert set(re.findall(r"\| (Velero\w+)", feature)) == names
    assert [mistake for mistake in MISTAKES if mistake not in feature] == []


def test_every_rule_can_be_understood_by_who_is_woken(rules: Json) -> None:
    for rule in each(rules):
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert set(rule["annotations"]) == {"summary", "description"}


def test_the_status_that_lies_is_not_used(rules: Json) -> None:
    assert [rule for rule in each(rules) if "last_status" in rule["expr"]] == []


# -- what the lab makes of them --------------------------------------------------------------


def test_the_lab_shortens_every_duration_and_changes_nothing_else(rules: Json) -> None:
    shortened = monitoring.rule_file()
    assert shortened != rules
    for rule, short in zip(each(rules), each(shortened), strict=True):
        assert {**rule, "expr": "", "for": ""} == {**short, "expr": "", "for": ""}
        assert ("for" in rule) == ("for" in short)
        left = re.findall(r"\[(\w+)\]|offset (\w+)", short["expr"])
        durations = {one or other for one, other in left} | {short.get("for", "2s")}
        assert durations <= set(monitoring.DURATIONS.values()), short
        back = short["expr"]
        for long, lab in monitoring.DURATIONS.items():
            back = back.replace(f"[{lab}]", f"[{long}]").replace(f"offset {lab}", f"offset {long}")
        assert re.sub(r"\s+", " ", back) == re.sub(r"\s+", " ", rule["expr"])


def test_a_duration_that_the_lab_does_not_know_is_an_error(tmp_path: Path) -> None:
    manifest = tmp_path / "alerts.yaml"
    rule = {"alert": "A", "expr": "increase(a[77m]) > 0"}
    manifest.write_text(yaml.safe_dump({"spec": {"groups": [{"name": "g", "rules": [rule]}]}}))
    with pytest.raises(KeyError, match="77m"):
        monitoring.rule_file(manifest)


def test_the_lab_asks_for_the_location_as_the_operator_would() -> None:
    manifests = yaml.safe_load_all((APP / "scrapes.yaml").read_text())
    probe = next(manifest["spec"] for manifest in manifests if manifest["kind"] == "Probe")
    (target,) = probe["targets"]["staticConfig"]["static"]
    settings = LabSettings()
    watched = monitoring.of_lab(settings)
    jobs = {job["job_name"]: job for job in monitoring.configuration(settings, watched)["scrape_configs"]}
    asked = jobs[probe["jobName"]]["params"]
    assert asked["module"] == [probe["module"]]
    assert target.endswith(monitoring.LOCATION) and asked["target"][0].endswith(monitoring.LOCATION)
    (own,) = yaml.safe_load((APP / "blackbox.yaml").read_text())["modules"].values()
    (lab,) = monitoring.probe(watched)["modules"].values()
    for key in ("bearer_token_file", "tls_config"):  # how they say who they are differs
        own["http"].pop(key, None), lab["http"].pop(key, None)
    assert own == lab


def test_every_node_is_scraped() -> None:
    settings = LabSettings(nodes=5)
    found = monitoring.configuration(settings, monitoring.of_lab(settings))
    jobs = {job["job_name"]: job for job in found["scrape_configs"]}
    for name, count in (("velero", 1), ("node-agent", 5), ("kubelet", 5), ("apiserver", 1), ("minio", 1)):
        assert len(jobs[name]["static_configs"][0]["targets"]) == count, name


# -- their course ---------------------------------------------------------------------------


def course(**change: object) -> AlertTimeline:
    content: dict[str, object] = {
        "fault": "f",
        "alert": "A",
        "labels": {"schedule": "s"},
        "seeded": 100.0,
        "over": 150.0,
        "fired": 5.0,
        "resolved": 9.0,
    }
    return AlertTimeline(**{**content, **change})  # type: ignore[arg-type]


def firing(*moments: float, **labels: str) -> Series:
    return Series({"alertname": "A", "schedule": "s", **labels}, tuple((moment, 1.0) for moment in moments))


@pytest.mark.parametrize(
    ("change", "not_fired", "not_resolved"),
    [({}, 0, 0), ({"fired": None, "resolved": None}, 1, 0), ({"resolved": None}, 0, 1), ({"fired": 0.0}, 0, 0)],
)
def test_an_alert_that_does_not_come_or_go_is_seen(
    change: dict[str, object], not_fired: int, not_resolved: int
) -> None:
    found = course(**change)
    assert len(alerts.not_fired([found])) == not_fired
    assert len(alerts.not_resolved([found])) == not_resolved
    assert ("not at all" in str(found)) is bool(not_fired or not_resolved)


@pytest.mark.parametrize(
    ("series", "count"),
    [
        (firing(100, 120, 150), 0),
        (firing(99, 120), 1),
        (firing(120, 151, 152), 1),
        (firing(120, schedule="t"), 1),
        (firing(120, alertname="B"), 1),
        (firing(), 0),
    ],
)
def test_an_alert_without_its_fault_is_unfounded(series: Series, count: int) -> None:
    assert len(alerts.false_positives([series], [course()])) == count


def test_one_of_several_faults_is_enough() -> None:
    assert alerts.false_positives([firing(120, 200)], [course(), course(seeded=190.0, over=210.0)]) == []


def test_a_course_is_told_from_the_history() -> None:
    seen = alerts.as_seen(course(fired=None), [firing(90, 110, 130), firing(120, schedule="t")])
    assert (seen.fired, seen.resolved) == (10.0, 30.0)
    assert alerts.as_seen(course(), [firing(120, schedule="t")]).fired is None


@pytest.mark.parametrize(
    ("labels", "own"),
    [
        ({"alertname": "VeleroBackupFailed", "schedule": "failed"}, True),
        ({"alertname": "VeleroBackupFailed", "schedule": "healthy"}, True),
        ({"alertname": "VeleroBackupFailed", "schedule": "daily-backup"}, False),
        ({"alertname": "VeleroBackupFailed"}, False),
        ({"alertname": "VeleroBackupMissed", "schedule": "new", "reason": "never"}, True),
        ({"alertname": "VeleroBackupMissed", "schedule": "healthy", "reason": "never"}, False),
        ({"alertname": "VeleroBackupMissed", "schedule": "healthy", "reason": "too long ago"}, True),
        ({"alertname": "VeleroLocationStale"}, True),
        ({"alertname": "VeleroS3AlmostFull", "reason": "quota"}, True),
        ({"alertname": "VeleroS3AlmostFull", "reason": "drives"}, False),
        ({"alertname": "SomethingElse"}, False),
    ],
)
def test_the_drill_answers_for_its_own_alerts_and_for_all_of_them(labels: dict[str, str], own: bool) -> None:
    courses = {
        "a": course(alert="VeleroBackupFailed", labels={"schedule": "failed"}),
        "b": course(alert="VeleroBackupMissed", labels={"schedule": "new", "reason": "never"}),
    }
    drilled = AlertResults(courses, {}, "healthy", datetime.now(UTC), [Series(labels, ((1.0, 1.0),))])
    assert bool(drilled.suite_history) is own
