"""The kill matrix: what is kept of a mutant, and what a report says of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.sample_runs import REGISTER, scenarios
from velero_acceptance.core.errors import Refusal
from velero_acceptance.criteria.load import Register
from velero_acceptance.evidence.records import load_all
from velero_acceptance.evidence.verdicts import Verdict
from velero_acceptance.gherkin.digests import digests, digests_of
from velero_acceptance.gherkin.documents import read_all
from velero_acceptance.gherkin.lint import definitions
from velero_acceptance.report.build import RunInfo, build
from velero_acceptance.report.kill_matrix import (
    MutantProof,
    MutantResult,
    RowResult,
    load_matrix,
    markdown,
    mutant_proofs,
    save_matrix,
)
from velero_acceptance.report.text import proof

START = "AC-003-01"
CAUGHT = MutantResult(
    "late",
    "Velero starts late",
    harmless=False,
    velero="v1.16.2",
    uploader="restic",
    date="2026-11-01",
    seconds=12.3,
    rows=(RowResult(START, "red", "red", "initiation is 31 s"), RowResult("AC-003-03", "green", "green")),
    digests={START: "a", "AC-003-03": "b"},
)
SURVIVED = replace(CAUGHT, mutant="quiet", rows=(RowResult(START, "red", "green"),), date="2026-11-02")
RUN = RunInfo(
    id="r", started="2026-11-28T12:00:00+00:00", seconds=1, target="lab", profile="disrupt", command="pytest",
    commit="c", exit_status=0, interrupted=False,
)  # fmt: skip


def test_a_matrix_is_read_as_it_was_saved(tmp_path: Path) -> None:
    path = tmp_path / "kill-matrix.json"
    assert load_matrix(path) == {}
    save_matrix(path, {"late": CAUGHT, "quiet": SURVIVED})
    assert load_matrix(path) == {"late": CAUGHT, "quiet": SURVIVED}
    path.write_text('[{"mutant": "x"}]')
    with pytest.raises(Refusal, match="is not a kill matrix"):
        load_matrix(path)


def test_the_page_names_survivors() -> None:
    page = markdown({"late": CAUGHT, "quiet": SURVIVED}, ["late", "quiet", "new"])
    assert "1 of 2 seen as expected" in page and "Without a result so far: 1 of 3" in page
    assert "AC-003-01 green (**expected red**)" in page
    assert "| AC-003-01 | `late` | – |" in page


def test_a_row_counts_the_mutants_that_must_turn_it_red() -> None:
    (found,) = mutant_proofs(
        {"late": CAUGHT, "quiet": SURVIVED}, {START: "a", "AC-003-03": "b", "AC-001-01": "c"}
    ).items()
    assert found == (START, MutantProof(caught=1, seeded=2, since="2026-11-01", velero=["v1.16.2"], stale=False))
    assert mutant_proofs({"late": CAUGHT}, {START: "changed"})[START].stale


@pytest.mark.parametrize("stale", [False, True])
def test_a_row_that_changed_since_is_stale(tmp_path: Path, stale: bool) -> None:
    scenarios(tmp_path, START, 3)
    known = MutantProof(caught=2, seeded=2, since="2026-11-01", velero=["v1.16.2"], stale=stale)
    report = build(
        REGISTER, read_all(), load_all(tmp_path / "records"), run=RUN, environment={}, leaks=[], mutants={START: known}
    )
    row = next(row for row in report.criteria if row.id == START)
    assert row.verdict is (Verdict.STALE if stale else Verdict.VERIFIED)
    assert ("2026-11-01" in row.reason) == stale
    assert "mutants 2/2" in proof(row)


def test_a_digest_follows_limits_and_steps() -> None:
    before = digests()
    assert set(before) == set(REGISTER.criteria) and len(set(before.values())) == len(before)
    (first, *others) = REGISTER.requirements
    looser = [threshold.model_copy(update={"value": 1e6}) for threshold in first.criteria[0].thresholds]
    changed = first.criteria[0].model_copy(update={"thresholds": tuple(looser)})
    register = Register((first.model_copy(update={"criteria": (changed, *first.criteria[1:])}), *others), ())
    after = digests_of(register, read_all(), definitions())
    assert {name for name in before if after[name] != before[name]} == {changed.id}
    steps = [
        replace(step, matches=lambda _: False) if step.where.startswith("steps.cli") else step for step in definitions()
    ]
    without = digests_of(REGISTER, read_all(), steps)
    assert {name[:3] for name in before if without[name] != before[name]} == {"CLI"}
