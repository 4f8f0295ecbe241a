"""Texts of steps that take certain words only."""

from __future__ import annotations

import pytest

from fixtures.environment.phrases import holds, phrase, violated
from velero_acceptance.evidence.recorder import Evidence

S3 = phrase('S3 {fault:Fault} for "{alias}"', Fault={"is slow": 1, "is slow and busy": 2})


@pytest.mark.parametrize(("words", "value"), [("is slow", 1), ("is slow and busy", 2)])
def test_a_word_of_the_type_gives_its_value(words: str, value: int) -> None:
    assert S3.parse_arguments(f'S3 {words} for "source"') == {"fault": value, "alias": "source"}


@pytest.mark.parametrize(
    "text", ['S3 is slwo for "a"', 'S3  for "a"', 's3 is slow for "a"', 'S3 is slow, busy for "a"']
)
def test_any_other_word_does_not_match(text: str) -> None:
    assert not S3.is_matching(text)


def test_words_without_values_are_their_own_values() -> None:
    assert phrase("it is {phase:Phase}", Phase=("Failed", "Completed")).parse_arguments("it is Failed") == {
        "phase": "Failed"
    }


def test_signs_of_regular_expressions_are_letters() -> None:
    assert not phrase("a {what:What}", What=["b.c (d)"]).is_matching("a bxc (d)")


def test_a_check_and_its_control_differ_only_in_how_they_record() -> None:
    check, control = holds('"{alias}" is there'), violated('the suite reports "{alias}" as missing')
    assert check.parse_arguments('"a" is there') == {"alias": "a", "record": Evidence.measure}
    found = control.parse_arguments('the suite reports "a" as missing')
    assert found == {"alias": "a", "record": Evidence.expect_violation}
