"""AC-003-04, AC-004-04 and NFR-PERF: predictions, what they may be called, and what the run returns for them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.sample_runs import row_of
from tests.test_report import report
from velero_acceptance.checks.extrapolation import NoPrediction, Point, Prediction, predict
from velero_acceptance.core.errors import AcceptanceError, CriterionNotMet, Inconclusive
from velero_acceptance.criteria.load import load
from velero_acceptance.evidence.recorder import Evidence
from velero_acceptance.evidence.records import Outcome, Record
from velero_acceptance.evidence.verdicts import Verdict, judge
from velero_acceptance.gherkin.documents import read_all
from velero_acceptance.report.text import console_table, markdown, measured, proof
from velero_acceptance.suite.report import not_verified

MakeEvidence = Callable[..., Evidence]
MakeRecord = Callable[..., Record]
PERF = "NFR-PERF-001"


# -- the line -------------------------------------------------------------------------------


def points(*pairs: tuple[float, float], beside: float = 0.0) -> list[Point]:
    return [Point(size, moving, beside) for size, moving in pairs]


def test_a_straight_line_goes_on() -> None:
    found = predict(points((1, 21), (2, 41), (4, 81)), 10)
    assert found.seconds == pytest.approx(201)
    assert found.low == pytest.approx(201)
    assert found.high == pytest.approx(201)


def test_the_longest_time_beside_the_data_is_added_once() -> None:
    mixed = [Point(1, 20, 3), Point(2, 40, 8), Point(4, 80, 5)]
    assert predict(mixed, 10).seconds == pytest.approx(200 + 8)


def test_the_interval_is_that_of_the_textbook() -> None:
    """Checked by hand: slope 19.5, residuals -0.5, 1, -0.5, so s = 1.2247 and t(0.975, 1) = 12.7062."""
    found = predict(points((1, 20), (2, 41), (3, 59)), 10)
    assert found.seconds == pytest.approx(196)
    margin = 12.7062 * 1.224745 * (1 + 1 / 3 + 64 / 2) ** 0.5
    assert found.high - found.seconds == pytest.approx(margin, rel=1e-4)
    assert found.seconds - found.low == pytest.approx(margin, rel=1e-4)


def test_more_scatter_is_less_certain() -> None:
    calm, wild = (predict(points((1, 20), (2, 40 + x), (3, 60 - x), (4, 80)), 10) for x in (0.5, 5))
    assert wild.high - wild.low > 5 * (calm.high - calm.low)


@pytest.mark.parametrize(
    ("found", "says"),
    [
        ([], "3 sizes, there are 0"),
        (points((1, 20), (2, 40)), "3 sizes, there are 2"),
        (points((1, 20), (1, 21), (2, 40)), "3 sizes, there are 2"),
        (points((1, 20), (2, 20), (3, 20)), "more data took no longer"),  # nothing was carried
        (points((1, 30), (2, 20), (3, 10)), "more data took no longer"),
    ],
)
def test_what_says_nothing_predicts_nothing(found: list[Point], says: str) -> None:
    with pytest.raises(NoPrediction, match=says):
        predict(found, 10)


def test_a_prediction_shows_where_it_comes_from() -> None:
    shown = predict(points((1, 20), (2, 40), (4, 80), beside=5), 10).table()
    assert "1.000 GB    20.00 s, and 5.00 s of overhead" in shown
    assert "10.000 GB  205 s predicted, 95% interval 205 to 205 s" in shown


# -- what it counts for ---------------------------------------------------------------------


def prediction(seconds: float, high: float) -> Prediction:
    return Prediction(10, seconds, 2 * seconds - high, high, ())


def extrapolate(evidence: Evidence, seconds: float, high: float, reached: float = 0.25) -> None:
    evidence.extrapolate("backup_duration", prediction(seconds, high), amount="data_size", reached=reached)


def finish(evidence: Evidence) -> Record:
    """The other deciding limits of the criterion, measured."""
    for threshold in evidence.criterion.thresholds:
        if threshold.name not in ("data_size", "backup_duration"):
            evidence.measure(threshold.name, threshold.value)
    return evidence.record


def test_an_upper_bound_within_the_limit_is_extrapolated(make_evidence: MakeEvidence) -> None:
    evidence = make_evidence(PERF)
    extrapolate(evidence, 200, 300)
    verdict, reason = judge(load().criteria[PERF], 1, [finish(evidence)])
    assert verdict is Verdict.EXTRAPOLATED
    assert "data_size 0.25 GB was tried; at 10 GB backup_duration would be 200 s" in reason
    assert "95 % interval 100 to 300, limit 900" in reason
    (found,) = (m for m in evidence.record.measurements if m.extrapolation)
    assert (found.value, found.holds, found.margin) == (300, True, 600)


def test_a_prediction_beyond_the_limit_fails(make_evidence: MakeEvidence) -> None:
    with pytest.raises(
        CriterionNotMet, match="predicted: NFR-PERF-001: backup_duration is 901 s, the limit is <= 900 s"
    ):
        extrapolate(make_evidence(PERF), 901, 1000)


def test_an_upper_bound_beyond_the_limit_leaves_it_open(make_evidence: MakeEvidence) -> None:
    evidence = make_evidence(PERF)
    with pytest.raises(Inconclusive, match="200 s, but up to 950 cannot be excluded, and the limit is 900"):
        extrapolate(evidence, 200, 950)
    assert not evidence.record.measurements[0].holds


def test_enough_data_is_measured_not_predicted(make_evidence: MakeEvidence) -> None:
    with pytest.raises(AcceptanceError, match="measure it"):
        extrapolate(make_evidence(PERF), 200, 300, reached=10)


def test_less_data_is_never_verified(make_evidence: MakeEvidence) -> None:
    """A duration of less data, measured as if it were enough, breaks the limit of the data."""
    with pytest.raises(CriterionNotMet, match=r"data_size is 0\.25 GB"):
        make_evidence(PERF).measure("data_size", 0.25)
    evidence = make_evidence(PERF)
    evidence.measure("backup_duration", 13)
    verdict, reason = judge(load().criteria[PERF], 1, [finish(evidence)])
    assert (verdict, reason) == (Verdict.INCONCLUSIVE, "data_size was not measured")


def test_enough_data_in_time_is_verified(make_evidence: MakeEvidence) -> None:
    evidence = make_evidence(PERF)
    evidence.measure("data_size", 10)
    evidence.measure("backup_duration", 263)
    assert judge(load().criteria[PERF], 1, [finish(evidence)])[0] is Verdict.VERIFIED


def test_a_prediction_without_the_data_equal_is_nothing(make_evidence: MakeEvidence) -> None:
    evidence = make_evidence(PERF)
    extrapolate(evidence, 200, 300)
    assert judge(load().criteria[PERF], 1, [evidence.record])[0] is Verdict.INCONCLUSIVE


# -- what is shown and returned -------------------------------------------------------------


def whole(make_evidence: MakeEvidence) -> list[Record]:
    """Every scenario of the criterion: the first one extrapolates, the others refute."""
    (feature,) = (feature for feature in read_all() if PERF in feature.tag_line)
    records = []
    for scenario in feature.scenarios:
        evidence = make_evidence(PERF, scenario=scenario.name, negative=scenario.negative)
        if scenario.negative:
            evidence.expect_violation("files_equal", 0)
        else:
            extrapolate(evidence, 200, 300)
            finish(evidence)
        records.append(evidence.record)
    return records


def test_an_extrapolation_is_shown_plainly_and_fails_no_run(make_evidence: MakeEvidence) -> None:
    found = report(*whole(make_evidence))
    row = row_of(found, PERF)
    assert (row.verdict, proof(row)) == (Verdict.EXTRAPOLATED, "caught 1/1")
    assert "backup_duration 200 (100 to 300, from 0.25 GB) ≤ 900 s" in measured(row)
    assert "EXTRAPOLATED" in markdown(found) and console_table(found).row_count
    assert not_verified(found) == []


def test_an_extrapolation_that_is_open_fails_the_run(make_evidence: MakeEvidence) -> None:
    first, *others = whole(make_evidence)
    found = report(first.model_copy(update={"outcome": Outcome.INCONCLUSIVE, "error": "open"}), *others)
    assert [row.id for row in not_verified(found)] == [PERF]
