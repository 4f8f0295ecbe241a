"""Control mapping and waivers: data that fits the register, or is refused."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
import yaml

from tests.sample_runs import STARTED, report_of, row_of, scenarios
from velero_acceptance.core.errors import Refusal
from velero_acceptance.criteria import controls, waivers
from velero_acceptance.criteria.load import CONTROLS, WAIVERS, load
from velero_acceptance.evidence.verdicts import Verdict

REGISTER = load()
WAIVER = {"criterion": "AC-003-01", "by": "the owner", "until": "2026-11-24", "why": "a slow disk"}


def mapping_of(change: dict[str, object]) -> controls.Mapping:
    content = controls.load(REGISTER).model_dump(mode="json")
    content["controls"][0] |= change
    return controls.Mapping.model_validate(content)


def test_every_criterion_is_mapped_or_explicitly_not() -> None:
    assert list(controls.problems(controls.load(REGISTER), REGISTER)) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"criteria": ["AC-003-03", "AC-003-03"]}, "names AC-003-03 twice"),
        ({"criteria": ["AC-099-99"]}, "AC-099-99 is not in the register"),
        ({"criteria": ["AC-002-04"]}, "AC-002-04 is both mapped and unmapped"),
        ({"id": "SOC2-A1.2"}, "SOC2-A1.2 occurs twice"),
    ],
)
def test_a_mapping_that_does_not_fit_is_named(change: dict[str, object], says: str) -> None:
    assert any(says in problem for problem in controls.problems(mapping_of(change), REGISTER))


def test_a_criterion_that_nobody_thought_of_is_named() -> None:
    mapping = controls.load(REGISTER).model_copy(update={"unmapped": ()})
    assert "AC-007-04 is neither mapped nor unmapped" in list(controls.problems(mapping, REGISTER))


@pytest.mark.parametrize(
    ("content", "says"),
    [("{", "not valid YAML"), ("controls: []\nsurprise: 1\n", "malformed at surprise"), ("controls: []\n", "neither")],
)
def test_a_malformed_mapping_is_refused(tmp_path: Path, content: str, says: str) -> None:
    (tmp_path / CONTROLS).write_text(content)
    with pytest.raises(Refusal, match=says):
        controls.load(REGISTER, tmp_path)


def waived(folder: Path, *entries: object) -> waivers.Waivers:
    folder.mkdir(exist_ok=True)
    (folder / WAIVERS).write_text(yaml.safe_dump(list(entries)))
    return waivers.load(REGISTER, folder)


def test_the_waivers_of_the_project_fit_the_register() -> None:
    waivers.load(REGISTER)


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        ([{**WAIVER, "criterion": "AC-099-99"}], "AC-099-99 is not in the register"),
        ([WAIVER, WAIVER], "AC-003-01 is waived twice"),
        ([{**WAIVER, "until": "some day"}], "malformed at until"),
        ([{"criterion": "AC-003-01"}], "malformed at by"),
    ],
)
def test_a_waiver_that_does_not_fit_is_refused(tmp_path: Path, entries: list[object], says: str) -> None:
    with pytest.raises(Refusal, match=says):
        waived(tmp_path, *entries)


def test_waivers_must_be_a_list(tmp_path: Path) -> None:
    (tmp_path / WAIVERS).write_text("criterion: AC-003-01\n")
    with pytest.raises(Refusal, match="must be a list"):
        waivers.load(REGISTER, tmp_path)


def test_a_waiver_is_honoured_up_to_its_day(tmp_path: Path) -> None:
    found = waived(tmp_path, WAIVER)
    assert waivers.in_force(found, "AC-003-01", date(2026, 11, 24))
    assert waivers.in_force(found, "AC-003-01", date(2026, 11, 25)) is None
    assert waivers.in_force(found, "AC-003-02", date(2026, 11, 24)) is None


@pytest.mark.parametrize(
    ("value", "until", "verdict"),
    [
        (31, STARTED.date(), Verdict.WAIVED),
        (31, date(2026, 11, 23), Verdict.FAILED),
        (3, STARTED.date(), Verdict.VERIFIED),
    ],
)
def test_only_what_does_not_hold_is_waived(tmp_path: Path, value: float, until: date, verdict: Verdict) -> None:
    scenarios(tmp_path, "AC-003-01", value)
    found = waived(tmp_path / "register", {**WAIVER, "until": until})
    row = row_of(report_of(tmp_path, waivers=found), "AC-003-01")
    assert row.verdict is verdict
    if verdict is Verdict.WAIVED:
        assert row.reason.startswith("waived by the owner until 2026-11-24: a slow disk (FAILED: ")
        assert not row.measurements[0].holds


def test_what_nobody_looked_at_is_not_waived(tmp_path: Path) -> None:
    found = waived(tmp_path / "register", WAIVER)
    assert row_of(report_of(tmp_path, waivers=found), "AC-003-01").verdict is Verdict.NOT_RUN
