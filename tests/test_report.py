from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest

from tests.sample_runs import row_of
from tests.test_evidence import measured
from velero_acceptance.criteria.load import load
from velero_acceptance.evidence.records import Outcome, Record
from velero_acceptance.evidence.verdicts import Verdict
from velero_acceptance.gherkin.documents import read_all
from velero_acceptance.report.build import SCHEMA_FILE, Report, RunInfo, build, schema_text, write_json
from velero_acceptance.report.text import console_table, markdown, proof

MakeRecord = Callable[..., Record]
RUN = RunInfo(
    id="r", started="2026-11-23T00:00:00+00:00", seconds=1, target="lab", profile="disrupt", command="pytest features",
    commit="c", exit_status=0, interrupted=False,
)  # fmt: skip


def report(*records: Record, leaks: tuple[str, ...] = ()) -> Report:
    return build(load(), read_all(), records, run=RUN, environment={"velero": "v1"}, leaks=leaks)


def green(make_record: MakeRecord) -> list[Record]:
    """All scenarios of AC-003-01, passed."""
    names = [s for f in read_all() if "AC-003-01" in f.tag_line for s in f.scenarios]
    return [
        make_record(
            scenario=s.name,
            negative=s.negative,
            measurements=[measured(None, refuted=True) if s.negative else measured(1)],
        )
        for s in names
    ]


def test_every_row_of_the_register_is_in_the_report() -> None:
    found = report()
    assert [row.id for row in found.criteria] == list(load().criteria)
    assert found.summary.criteria == len(load().criteria) == sum(found.summary.verdicts.values())
    planned = {criterion.id for criterion in load().criteria.values() if criterion.planned}
    assert {row.id for row in found.criteria if row.verdict is Verdict.NOT_COVERED} == planned


def test_a_green_row_says_what_it_would_have_caught(make_record: MakeRecord) -> None:
    row = row_of(report(*green(make_record)), "AC-003-01")
    assert (row.verdict, proof(row)) == (Verdict.VERIFIED, "caught 1/1")


def test_one_failure_makes_the_requirement_red(make_record: MakeRecord) -> None:
    first, *others = green(make_record)
    found = report(first.model_copy(update={"outcome": Outcome.FAILED, "error": "lost | data"}), *others)
    assert row_of(found, "AC-003-01").verdict is Verdict.FAILED
    assert next(r for r in found.summary.requirements if r.id == "REQ-003").verdict is Verdict.FAILED
    assert "lost \\| data" in markdown(found)


def test_the_written_report_satisfies_the_published_schema(make_record: MakeRecord, tmp_path: Path) -> None:
    write_json(report(*green(make_record), leaks=("a namespace",)), tmp_path / "t.json")
    content = json.loads((tmp_path / "t.json").read_text())
    jsonschema.validate(content, json.loads(SCHEMA_FILE.read_text()))
    assert set(content) == {"schema_version", "run", "environment", "summary", "criteria", "controls"}
    row = next(row for row in content["criteria"] if row["id"] == "AC-003-01")
    assert {"requirement", "verdict", "scenarios", "measurements", "artefacts", "errata", "negative_proof"} <= set(row)
    assert {"name", "value", "unit", "comparator", "limit", "margin"} <= set(row["measurements"][0])


def test_the_published_schema_is_that_of_the_models() -> None:
    assert SCHEMA_FILE.read_text() == schema_text()


def test_a_report_with_an_unknown_verdict_breaks_the_schema(tmp_path: Path) -> None:
    write_json(report(), tmp_path / "t.json")
    content = json.loads((tmp_path / "t.json").read_text())
    content["criteria"][0]["verdict"] = "GREEN"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(content, json.loads(SCHEMA_FILE.read_text()))


def test_the_short_form_fits_a_comment_and_cuts_what_is_green(make_record: MakeRecord) -> None:
    first, *others = green(make_record)
    red = first.model_copy(update={"outcome": Outcome.FAILED, "error": "lost data"})
    many = [
        make_record(criterion=name, scenario="y" * 5000, observations=[{"name": "x", "value": "z" * 9000}])
        for name in load().criteria
        if name != "AC-003-01"
    ]
    text = markdown(report(*many, red, *others, leaks=("l" * 5000,) * 200))
    assert len(text) <= 65_000
    assert "lost data" in text and "more criteria did not fit; traceability.html has them" in text
    assert "- and 150 more" in text and "## Environment" in text


def test_leaks_stand_in_the_report() -> None:
    assert "## Left behind\n\n- Backup x" in markdown(report(leaks=("Backup x",)))


def test_the_console_has_a_row_a_criterion(make_record: MakeRecord) -> None:
    assert console_table(report(*green(make_record))).row_count == len(load().criteria)
