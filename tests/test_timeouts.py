from __future__ import annotations

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
