from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from velero_acceptance.core.errors import AcceptanceError, CriterionNotMet
from velero_acceptance.criteria.load import load
from velero_acceptance.evidence.recorder import ARTEFACT_BYTES, Evidence
from velero_acceptance.evidence.records import Outcome, Record, load_all
from velero_acceptance.evidence.verdicts import Verdict, judge, negative_proof, worst

MakeEvidence = Callable[..., Evidence]
MakeRecord = Callable[..., Record]
INITIATION = load().criteria["AC-003-01"]


def measured(value: float | None, *, refuted: bool = False) -> dict[str, object]:
    return {
        "name": "initiation",
        "value": value,
        "unit": "s",
        "comparator": "<=",
        "limit": 30,
        "margin": None if value is None else 30 - value,
        "holds": value is not None and value <= 30,
        "refuted": refuted,
    }


def test_a_value_within_its_limit_is_kept(make_evidence: MakeEvidence) -> None:
    evidence = make_evidence()
    evidence.measure("initiation", 2.5)
    (found,) = evidence.record.measurements
    assert (found.value, found.limit, found.margin, found.holds) == (2.5, 30, 27.5, True)


def test_a_value_beyond_its_limit_fails_and_is_kept(make_evidence: MakeEvidence) -> None:
    evidence = make_evidence()
    with pytest.raises(CriterionNotMet, match=r"initiation is 31 s, the limit is <= 30 s"):
        evidence.measure("initiation", 31)
    assert not evidence.record.measurements[0].holds


def test_a_reported_limit_fails_nothing(make_evidence: MakeEvidence) -> None:
    evidence = make_evidence()
    evidence.measure("initiation_component_contract", 12)
    assert not evidence.record.measurements[0].holds


def test_a_name_that_the_register_lacks_is_an_error(make_evidence: MakeEvidence) -> None:
    with pytest.raises(KeyError, match="no threshold 'initiaton'"):
        make_evidence().measure("initiaton", 1)


def test_a_seeded_fault_must_be_seen(make_evidence: MakeEvidence) -> None:
    evidence = make_evidence(negative=True)
    evidence.expect_violation("initiation", 31)
    evidence.expect_violation("initiation", None)
    with pytest.raises(CriterionNotMet, match="the seeded fault was not seen"):
        evidence.expect_violation("initiation", 3)
    assert [m.refuted for m in evidence.record.measurements] == [True, True]


def test_only_a_negative_scenario_refutes(make_evidence: MakeEvidence) -> None:
    with pytest.raises(AcceptanceError, match="not tagged @negative"):
        make_evidence().expect_violation("initiation", 31)


def test_an_accelerator_must_be_allowed(make_evidence: MakeEvidence) -> None:
    make_evidence("AC-005-01").accelerate("Schedule.status.lastBackup")
    with pytest.raises(AcceptanceError, match="does not allow the accelerator"):
        make_evidence().accelerate("Schedule.status.lastBackup")


def test_an_artefact_is_redacted_and_its_digest_is_that_of_the_file(
    make_evidence: MakeEvidence, tmp_path: Path
) -> None:
    evidence = make_evidence("AC-003-01", "planted-secret")
    path = evidence.attach("what: we/saw.txt", b"key planted-secret")
    assert (tmp_path / path).read_text() == "key [redacted]"
    assert evidence.record.artefacts[0].size == len("key [redacted]")


def test_a_huge_artefact_is_cut(make_evidence: MakeEvidence, tmp_path: Path) -> None:
    path = make_evidence().attach("huge", "x" * (ARTEFACT_BYTES + 1000))
    assert (tmp_path / path).stat().st_size < ARTEFACT_BYTES + 100


def test_records_survive_as_files(make_record: MakeRecord, tmp_path: Path) -> None:
    for name in ("b", "a"):
        make_record(scenario=name).save(tmp_path, name)
    assert [record.scenario for record in load_all(tmp_path)] == ["b", "a"]


@pytest.mark.parametrize(
    ("outcomes", "verdict"),
    [
        ([], Verdict.NOT_RUN),
        ([Outcome.INTERRUPTED], Verdict.NOT_RUN),
        ([Outcome.SKIPPED, Outcome.SKIPPED], Verdict.NOT_RUN),
        ([Outcome.PASSED, Outcome.PASSED], Verdict.VERIFIED),
        ([Outcome.PASSED, Outcome.SKIPPED], Verdict.INCONCLUSIVE),
        ([Outcome.PASSED], Verdict.INCONCLUSIVE),
        ([Outcome.PASSED, Outcome.FAILED], Verdict.FAILED),
        ([Outcome.BLOCKED, Outcome.FAILED], Verdict.FAILED),
        ([Outcome.PASSED, Outcome.BLOCKED], Verdict.BLOCKED),
        ([Outcome.PASSED, Outcome.INCONCLUSIVE], Verdict.INCONCLUSIVE),
    ],
)
def test_verdicts_follow_outcomes(make_record: MakeRecord, outcomes: list[Outcome], verdict: Verdict) -> None:
    records = [make_record(outcome=outcome, measurements=[measured(1)]) for outcome in outcomes]
    assert judge(INITIATION, 2, records)[0] is verdict


def test_without_a_feature_nothing_is_covered() -> None:
    assert judge(INITIATION, 0, [])[0] is Verdict.NOT_COVERED


def test_green_scenarios_that_measured_nothing_verify_nothing(make_record: MakeRecord) -> None:
    assert judge(INITIATION, 1, [make_record()]) == (Verdict.INCONCLUSIVE, "initiation was not measured")


def test_a_refuted_value_is_no_measurement(make_record: MakeRecord) -> None:
    record = make_record(negative=True, measurements=[measured(31, refuted=True)])
    assert judge(INITIATION, 1, [record])[0] is Verdict.INCONCLUSIVE


def test_accelerated_evidence_says_so(make_record: MakeRecord) -> None:
    record = make_record(measurements=[measured(1)], accelerators=["a clock"])
    assert judge(INITIATION, 1, [record]) == (Verdict.VERIFIED, "mechanism evidence, accelerated: a clock")


def test_a_requirement_is_as_good_as_its_worst_criterion() -> None:
    assert worst([Verdict.VERIFIED, Verdict.NOT_COVERED, Verdict.INCONCLUSIVE]) is Verdict.INCONCLUSIVE
    assert worst([Verdict.VERIFIED]) is Verdict.VERIFIED


def test_negative_proof_counts_only_faults_that_were_seen(make_record: MakeRecord) -> None:
    seen = make_record(scenario="seen", negative=True, measurements=[measured(None, refuted=True)])
    blind = make_record(scenario="blind", negative=True)
    assert negative_proof([])["status"] == "UNPROVEN"
    assert negative_proof([seen])["status"] == "PROVEN"
    assert negative_proof([seen, blind]) == {"status": "UNPROVEN", "killed": 1, "seeded": 2, "scenarios": ["seen"]}
