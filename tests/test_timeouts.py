from __future__ import annotations

import ast
from pathlib import Path

import pytest

from velero_acceptance.core.errors import Refusal
from velero_acceptance.core.timeouts import DEFAULTS, Timeouts


def test_defaults_without_environment() -> None:
    assert dict(Timeouts.from_environment({})) == DEFAULTS


def test_single_values_and_the_factor() -> None:
    found = Timeouts.from_environment(
        {"ACCEPTANCE_TIMEOUTS": '{"backup_finished": 900}', "ACCEPTANCE_TIMEOUT_FACTOR": "2"}
    )
    assert found["backup_finished"] == 1800
    assert found["api_call"] == 2 * DEFAULTS["api_call"]


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("ACCEPTANCE_TIMEOUTS", '{"backup_finish": 900}', "backup_finish"),
        ("ACCEPTANCE_TIMEOUTS", "nine", "JSON object"),
        ("ACCEPTANCE_TIMEOUTS", '{"backup_finished": "soon"}', "JSON object"),
        ("ACCEPTANCE_TIMEOUTS", '{"backup_finished": -1}', "above 0"),
        ("ACCEPTANCE_TIMEOUT_FACTOR", "fast", "must be a number"),
        ("ACCEPTANCE_TIMEOUT_FACTOR", "0", "above 0"),
    ],
)
def test_a_wrong_setting_is_refused_in_one_sentence(name: str, value: str, says: str) -> None:
    with pytest.raises(Refusal, match=says):
        Timeouts.from_environment({name: value})


def test_an_unknown_name_is_no_default() -> None:
    with pytest.raises(KeyError):
        Timeouts()["patience"]


ROOT = Path(__file__).parents[1]
SOURCES = [
    path
    for room in ("velero_acceptance", "fixtures", "steps", "lab")
    for path in sorted((ROOT / room).rglob("*.py"))
    if "tests" not in path.parts
]
# Watches that follow something as long as a run lasts, in six hours' portions: nothing gives up with them.
FOLLOWED = {"STREAM_SECONDS"}


def limits(call: ast.Call) -> list[ast.expr]:
    """What a call gives as the limit of a wait."""
    found = [keyword.value for keyword in call.keywords if keyword.arg in ("timeout", "deadline", "limit_seconds")]
    return [*found, *(call.args if isinstance(call.func, ast.Name) and call.func.id == "Deadline" else [])]


def is_literal(limit: ast.expr) -> bool:
    """A number other than 0 (which waits for nothing), a constant of the module, or a sum or pair with one."""
    if isinstance(limit, ast.Constant):
        return isinstance(limit.value, int | float) and limit.value != 0
    if isinstance(limit, ast.Name):
        return limit.id.isupper() and limit.id not in FOLLOWED
    return isinstance(limit, ast.Tuple) and any(map(is_literal, limit.elts))


def test_every_wait_has_its_limit_in_the_table() -> None:
    assert len(SOURCES) > 100
    found = [
        f"{path.relative_to(ROOT)}:{call.lineno}"
        for path in SOURCES
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call) and any(map(is_literal, limits(call)))
    ]
    assert found == []


@pytest.mark.parametrize("text", ["f(timeout=5)", "Deadline(1800.0)", "f(timeout=LATE)", "f(timeout=(5, None))"])
def test_a_literal_limit_is_found(text: str) -> None:
    call = ast.parse(text, mode="eval").body
    assert isinstance(call, ast.Call) and any(map(is_literal, limits(call)))


@pytest.mark.parametrize("text", ["f(timeout=0)", "Deadline(seconds('x'))", "f(timeout=table['x'])"])
def test_a_limit_of_the_table_is_not(text: str) -> None:
    call = ast.parse(text, mode="eval").body
    assert isinstance(call, ast.Call) and not any(map(is_literal, limits(call)))
