"""Two runs compared, and a report folder opened or refused."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from tests.sample_runs import STARTED, report_of, row_of, run, scenarios
from velero_acceptance.core.errors import Refusal
from velero_acceptance.report.build import SCHEMA_VERSION, Report
from velero_acceptance.report.changes import Changes, Trend, compare
from velero_acceptance.report.folders import folder_of, previous, read


def measured(folder: Path, value: float) -> Report:
    scenarios(folder, "AC-003-01", value)
    return report_of(folder)


def change(changes: Changes, criterion: str = "AC-003-01") -> Trend:
    return next(found.trend for found in changes.criteria if found.criterion == criterion)


def test_a_run_compared_with_itself_has_no_change(tmp_path: Path) -> None:
    report = measured(tmp_path, 3)
    found = compare(report, report)
    assert (found.criteria, found.leaks, found.worse) == ([], 0, False)


def test_a_worse_verdict_is_worse_and_the_other_way_better(tmp_path: Path) -> None:
    good, bad = measured(tmp_path / "a", 3), measured(tmp_path / "b", 31)
    assert change(compare(good, bad)) is Trend.WORSE and compare(good, bad).worse
    assert change(compare(bad, good)) is Trend.BETTER and not compare(bad, good).worse


def test_a_value_that_moved_is_shown_and_is_no_verdict(tmp_path: Path) -> None:
    found = compare(measured(tmp_path / "a", 3), measured(tmp_path / "b", 8))
    (moved,) = found.criteria[0].moved
    assert (moved.name, moved.before, moved.after, moved.trend) == ("initiation", 3, 8, Trend.WORSE)
    assert not found.worse


def test_a_value_that_hardly_moved_is_no_change(tmp_path: Path) -> None:
    assert compare(measured(tmp_path / "a", 3), measured(tmp_path / "b", 5)).criteria == []


def test_a_seeded_fault_that_is_no_longer_caught_is_worse(tmp_path: Path) -> None:
    before = measured(tmp_path, 3)
    after = before.model_copy(deep=True)
    proof = row_of(after, "AC-003-01").negative_proof
    proof.status, proof.killed = "UNPROVEN", 0
    found = compare(before, after)
    assert found.worse and found.criteria[0].caught == "1/1 to 0/1"


def test_what_only_one_run_looked_at_is_not_compared(tmp_path: Path) -> None:
    whole = measured(tmp_path / "a", 3)
    found = compare(whole, report_of(tmp_path / "b"))
    assert change(found) is Trend.NOT_COMPARED and not found.worse


def test_a_criterion_that_one_register_lacks_is_not_compared(tmp_path: Path) -> None:
    whole = measured(tmp_path, 3)
    less = whole.model_copy(update={"criteria": [row for row in whole.criteria if row.id != "AC-003-01"]})
    assert change(compare(whole, less)) is change(compare(less, whole)) is Trend.NOT_COMPARED


def test_more_left_behind_is_worse(tmp_path: Path) -> None:
    clean, dirty = report_of(tmp_path), report_of(tmp_path, leaks=("a", "b"))
    assert compare(clean, dirty).worse and not compare(dirty, clean).worse


def test_the_run_before_is_the_last_one_on_the_same_target(tmp_path: Path) -> None:
    run(tmp_path, "first", started=STARTED)
    run(tmp_path, "second", started=STARTED + timedelta(hours=1))
    run(tmp_path, "elsewhere", started=STARTED + timedelta(hours=2), target="current")
    last = run(tmp_path, "last", started=STARTED + timedelta(hours=3))
    run(tmp_path, "later", started=STARTED + timedelta(hours=4))
    (tmp_path / "latest").symlink_to("later")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/traceability.json").write_text("{")
    found = previous(read(last), tmp_path)
    assert found is not None and found.run.id == "second"
    assert previous(read(tmp_path / "first"), tmp_path) is None


def test_a_folder_is_named_by_path_or_by_name(tmp_path: Path) -> None:
    folder = run(tmp_path / "reports", "r")
    assert folder_of("r", tmp_path / "reports") == folder_of(str(folder), tmp_path / "nowhere") == folder.resolve()
    with pytest.raises(Refusal, match="there is no report folder nosuchrun"):
        folder_of("nosuchrun", tmp_path / "reports")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "holds no traceability.json"),
        ("{", "is not JSON"),
        ("[]", "has schema version none"),
        ('{"schema_version": "0.9"}', f"has schema version 0.9; this suite reads 1.0 to {SCHEMA_VERSION}"),
        ('{"schema_version": "1.99"}', "has schema version 1.99"),
        ('{"schema_version": "1.0"}', "is malformed at run"),
    ],
)
def test_a_folder_that_is_no_report_is_refused(tmp_path: Path, content: str | None, says: str) -> None:
    if content is not None:
        (tmp_path / "traceability.json").write_text(content)
    with pytest.raises(Refusal, match=says) as refusal:
        read(tmp_path)
    assert "\n" not in str(refusal.value)


def test_an_unknown_key_is_refused(tmp_path: Path) -> None:
    folder = run(tmp_path, "r")
    content = json.loads((folder / "traceability.json").read_text())
    content["surprise"] = 1
    (folder / "traceability.json").write_text(json.dumps(content))
    with pytest.raises(Refusal, match="malformed at surprise"):
        read(folder)
