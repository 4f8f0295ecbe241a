from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import cast

import pytest
import yaml

from velero_acceptance.core.errors import Refusal
from velero_acceptance.criteria import ears
from velero_acceptance.criteria.load import FOLDER, Register, load, schema_text
from velero_acceptance.criteria.models import Criterion, Requirement, Threshold

DESIGN = {
    "REQ-001": 4,
    "REQ-002": 4,
    "REQ-003": 5,
    "REQ-004": 5,
    "REQ-005": 4,
    "REQ-006": 4,
    "REQ-007": 4,
    "NFR": 8,
    "CLI": 7,
}


@pytest.fixture
def entry() -> dict[str, object]:
    """A criterion without fault."""
    return {
        "id": "AC-001-01",
        "design_id": "AC-x-001-01",
        "ears": {"pattern": "event", "text": "WHEN it starts, it SHALL answer within 30 seconds."},
        "component": "server",
        "risk": "low",
        "verification": {"method": "test", "profile": "exercise"},
        "thresholds": [
            {"name": "answer", "comparator": "<=", "value": 30, "unit": "s", "clock": {"start": "a", "stop": "b"}}
        ],
    }


def problems_of(entry: dict[str, object]) -> list[str]:
    requirement = Requirement(id="REQ-001", design_id="x", title="t", criteria=(Criterion.model_validate(entry),))
    return list(ears.problems(Register((requirement,), ())))


def test_every_row_of_the_design_is_there() -> None:
    register = load()
    assert {r.id: len(r.criteria) for r in register.requirements} == DESIGN
    assert [r.id for r in register.requirements] == list(DESIGN)
    assert max(Counter(criterion.design_id for criterion in register.criteria.values()).values()) == 1


def test_the_register_passes_its_own_lint() -> None:
    assert list(ears.problems(load())) == []


def test_the_published_schema_is_that_of_the_models() -> None:
    assert (FOLDER / "schema.json").read_text() == schema_text()


def test_a_good_criterion_has_no_problem(entry: dict[str, object]) -> None:
    assert problems_of(entry) == []


@pytest.mark.parametrize(
    ("pattern", "text", "says"),
    [
        ("event", "WHEN it starts, it answers.", "0 SHALL"),
        ("event", "WHEN it starts, it SHALL and SHALL.", "2 SHALL"),
        ("event", "It SHALL answer.", "needs WHEN"),
        ("unwanted", "IF it fails, it SHALL say so.", "needs IF … THEN"),
        ("ubiquitous", "WHILE it runs, it SHALL answer.", "needs no keyword"),
        ("event", "WHEN it starts, it SHALL answer within 31 seconds.", "31 seconds, which is no threshold"),
        ("event", "WHEN it starts, it SHALL answer", "full stop"),
    ],
)
def test_a_bad_sentence_is_named(entry: dict[str, object], pattern: str, text: str, says: str) -> None:
    assert any(says in problem for problem in problems_of({**entry, "ears": {"pattern": pattern, "text": text}}))


def test_a_criterion_nothing_decides_is_named(entry: dict[str, object]) -> None:
    for threshold in cast(list[dict[str, object]], entry["thresholds"]):
        threshold["decides"] = False
    assert any("decides" in problem for problem in problems_of(entry))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"id": "AC-1"}, "criteria.0.id"),
        ({"threshold": []}, "criteria.0.threshold"),
        ({"thresholds": []}, "criteria.0.thresholds"),
        ({"risk": "none"}, "criteria.0.risk"),
        ({"thresholds": [{"name": "a", "comparator": "<=", "value": 3, "unit": "s"}]}, "needs a clock"),
        ({"thresholds": [{"name": "a", "comparator": "=<", "value": 3, "unit": "keys"}]}, "comparator"),
        ({"thresholds": [{"name": "a", "comparator": "==", "value": 3, "unit": "furlongs"}]}, "unit"),
        ({"errata": ["E-99"]}, "E-99"),
    ],
)
def test_a_malformed_register_is_refused(
    tmp_path: Path, entry: dict[str, object], change: dict[str, object], says: str
) -> None:
    content = {"id": "REQ-001", "design_id": "x", "title": "t", "criteria": [{**entry, **change}]}
    (tmp_path / "REQ-001.yaml").write_text(yaml.safe_dump(content))
    (tmp_path / "errata.yaml").write_text("[]")
    with pytest.raises(Refusal, match=says):
        load(tmp_path)


def test_one_id_twice_is_refused(tmp_path: Path, entry: dict[str, object]) -> None:
    content = {"id": "REQ-001", "design_id": "x", "title": "t", "criteria": [entry, entry]}
    (tmp_path / "REQ-001.yaml").write_text(yaml.safe_dump(content))
    (tmp_path / "errata.yaml").write_text("[]")
    with pytest.raises(Refusal, match="AC-001-01 occurs twice"):
        load(tmp_path)


@pytest.mark.parametrize(("content", "says"), [("{", "not valid YAML"), ("[]", "malformed at the file")])
def test_a_broken_file_is_named(tmp_path: Path, content: str, says: str) -> None:
    (tmp_path / "REQ-001.yaml").write_text(content)
    (tmp_path / "errata.yaml").write_text("[]")
    with pytest.raises(Refusal, match=rf"REQ-001\.yaml.*{says}"):
        load(tmp_path)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="the register is missing"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("comparator", "good", "bad", "margin_of_bad"),
    [("<=", 30, 31, -1), ("<", 29, 30, 0), (">=", 30, 29, -1), (">", 31, 30, 0), ("==", 30, 32, -2)],
)
def test_thresholds_hold_and_break(comparator: str, good: float, bad: float, margin_of_bad: float) -> None:
    threshold = Threshold(name="a", comparator=comparator, value=30, unit="keys")  # type: ignore[arg-type]
    assert threshold.holds(good) and not threshold.holds(bad)
    assert threshold.margin(bad) == margin_of_bad <= 0 <= threshold.margin(good)


def test_a_threshold_by_its_name_alone_has_one_value() -> None:
    register = load()
    assert register.threshold("data_size") == 10
    with pytest.raises(KeyError, match="threshold unheard_of 0 values"):
        register.threshold("unheard_of")
    several = next(
        name
        for name, count in Counter(t.name for c in register.criteria.values() for t in c.thresholds).items()
        if count > 1 and len({t.value for c in register.criteria.values() for t in c.thresholds if t.name == name}) > 1
    )
    with pytest.raises(KeyError, match=several):
        register.threshold(several)
