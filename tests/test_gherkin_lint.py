from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pytest_bdd import parsers

from velero_acceptance.criteria.load import Register, load
from velero_acceptance.gherkin.documents import FEATURES, FeatureText, MalformedFeature, read
from velero_acceptance.gherkin.lint import Definition, lint_feature, lint_suite
from velero_acceptance.preconditions import runnable

GOOD = """@AC-003-01
Feature: A backup starts

  Scenario: It starts
    Given a namespace
    Then it started within 30 seconds
"""
MARK = "    # without the fault: a namespace\n"
NEGATIVE = GOOD.replace("  Scenario:", "  @negative\n  Scenario:").replace(
    "    Given a namespace", f"{MARK}    Given a trap"
)
Writer = Callable[..., FeatureText]


def definition(kind: str, text: str, where: str = "steps.here") -> Definition:
    parser = parsers.parse(text)
    return Definition(kind, text, parser.is_matching, where)


STEPS = [
    definition("given", "a namespace"),
    definition("given", "a trap", "steps.traps"),
    definition("then", "it started within {seconds:d} seconds"),
]


@pytest.fixture
def write(tmp_path: Path) -> Writer:
    def writer(text: str, name: str = "AC-003-01-start.feature") -> FeatureText:
        path = tmp_path / name
        path.write_text(text)
        return read(path)

    return writer


def problems(feature: FeatureText, steps: list[Definition] = STEPS) -> list[str]:
    return list(lint_feature(feature, load(), steps))


def test_a_good_feature_has_no_problem(write: Writer) -> None:
    assert problems(write(GOOD)) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda t: t + t[t.index("  Scenario") :], "stands 2 times"),
        (lambda t: t.replace("    Then it started within 30 seconds\n", ""), "has no Then"),
        (lambda t: t[: t.index("    Given")], "has no steps"),
        (lambda t: t.replace("a namespace", "a galaxy"), "no step definition fits Given 'a galaxy'"),
        (lambda t: t.replace("30 seconds", "31 seconds"), "says 31 seconds"),
        (lambda t: t.replace("@AC-003-01\n", ""), "exactly one criterion tag"),
        (lambda t: t.replace("@AC-003-01\n", "@AC-003-01 @AC-003-02\n"), "exactly one criterion tag"),
        (lambda t: t.replace("@AC-003-01\n", "@AC-003-01\n\n"), "exactly one criterion tag"),
        (lambda t: t.replace("@AC-003-01\n", "@AC-003-99\n"), "@AC-003-99 is not in the register"),
        (lambda t: t.replace("@AC-003-01\n", "@AC-003-02\n"), "the file name must start with AC-003-02"),
        (lambda t: t.replace("  Scenario:", "  @whatever\n  Scenario:"), "@whatever is unknown"),
        (lambda t: t.replace("Scenario: It", "Scenario Outline: It"), "has no Examples"),
    ],
)
def test_each_rule_goes_red(write: Writer, change: Callable[[str], str], says: str) -> None:
    assert any(says in problem for problem in problems(write(change(GOOD))))


def test_an_ambiguous_step_is_named(write: Writer) -> None:
    found = problems(write(GOOD), [*STEPS, definition("given", "a {thing}", "steps.there")])
    assert any("ambiguous: steps.here, steps.there" in problem for problem in found)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda t: t.replace(MARK, ""), "does not say how it reads 'without the fault'"),
        (lambda t: t.replace("  @negative\n", ""), "is marked 'without the fault' and not tagged @negative"),
        (lambda t: t.replace("fault: a namespace", "fault: a galaxy"), "without its fault: no step definition fits"),
    ],
)
def test_a_negative_scenario_says_how_it_reads_without_its_fault(
    write: Writer, change: Callable[[str], str], says: str
) -> None:
    assert problems(write(NEGATIVE)) == []
    assert any(says in problem for problem in problems(write(change(NEGATIVE))))


def test_a_mark_above_no_step_is_named(write: Writer) -> None:
    with pytest.raises(MalformedFeature, match="there is no step below 'without the fault: a namespace'"):
        write(NEGATIVE.replace(MARK, f"{MARK}\n"))


def test_a_step_of_another_kind_does_not_fit(write: Writer) -> None:
    assert any("no step definition" in p for p in problems(write(GOOD), [definition("when", "a namespace"), STEPS[1]]))


def test_numbers_of_a_seeded_fault_are_free(write: Writer) -> None:
    assert problems(write(NEGATIVE.replace("30 seconds", "31 seconds"))) == []


def test_an_outline_is_expanded_before_it_is_matched(write: Writer) -> None:
    text = GOOD.replace("Scenario: It", "Scenario Outline: It").replace("30 seconds", "<n> seconds")
    assert problems(write(f"{text}\n    Examples:\n      | n |\n      | 30 |\n")) == []


@pytest.mark.parametrize("text", ["Feature\n", "nonsense", ""])
def test_a_file_that_is_no_feature_is_named(write: Writer, text: str) -> None:
    with pytest.raises(MalformedFeature):
        write(text)


def test_a_criterion_without_feature_is_named(write: Writer) -> None:
    found = list(lint_suite([write(GOOD)], load(), STEPS))
    assert any("AC-004-05 has no feature" in problem for problem in found)
    assert not any("AC-003-01 has no feature" in problem for problem in found)


def test_a_planned_criterion_with_a_feature_is_named(write: Writer) -> None:
    requirement = load().requirement_of["AC-003-01"]
    marked = [item.model_copy(update={"planned": item.id == "AC-003-01"}) for item in requirement.criteria]
    register = Register((requirement.model_copy(update={"criteria": marked}),), ())
    found = list(lint_suite([write(GOOD)], register, STEPS))
    assert any("AC-003-01 has a feature: remove its mark" in problem for problem in found)


def test_two_features_of_one_criterion_are_named(write: Writer) -> None:
    assert any("AC-003-01 has 2 features" in p for p in lint_suite([write(GOOD), write(GOOD)], load(), STEPS))


@pytest.mark.parametrize("text", ["S3 {fault}", 'S3 "{fault}', "an account that {rights} here"])
def test_a_parameter_of_any_text_is_named(write: Writer, text: str) -> None:
    found = list(lint_suite([write(GOOD)], load(), [*STEPS, definition("when", text)]))
    assert any("takes any text for {" in problem for problem in found)


@pytest.mark.parametrize("text", ['"{alias}" is backed up', "{seconds:d} seconds", "S3 {fault:Fault}"])
def test_names_in_quotes_and_words_of_a_type_are_fine(write: Writer, text: str) -> None:
    found = list(lint_suite([write(GOOD)], load(), [*STEPS, Definition("when", text, text.__eq__, "steps.here")]))
    assert not any("takes any text" in problem for problem in found)


@pytest.mark.parametrize(
    ("criterion", "word", "typo"),
    [
        ("AC-003-05", "| resets connections      | upload", "| reset connections       | upload"),
        ("AC-003-05", "| upload of its metadata     |", "| upload of the metadata     |"),
        ("AC-003-05", "| PartiallyFailed |", "| PartialyFailed  |"),
        ("AC-003-03", "excluded by annotation", "excluded by anotation"),
        ("AC-004-04", "are restored over a link", "are resotred over a link"),
        ("AC-005-01", "that missed its time", "that missed it's time"),
        ("AC-005-01", "are created: one due", "are created; one due"),
        ("AC-005-03", "estimate of all but one of the", "estimate of all but one"),
        ("AC-007-02", "| a value added         |", "| a value addad         |"),
        ("AC-007-04", "| a second schedule            |", "| a second Schedule            |"),
        ("AC-007-04", "| an object is named twice  ", "| an object is named thrice "),
        ("CLI-create-backup", "that may create backups and restores", "that may create backup and restores"),
        ("CLI-create-backup", "with no mistake", "without a mistake"),
        ("CLI-schedule-backup", "with an impossible time", "with an imposible time"),
        ("NFR-OBSERVABILITY-001", "| a hook of a backup fails ", "| a hook of a backup failed"),
        ("NFR-OBSERVABILITY-001", "wait for a first success", "wait for the first success"),
        ("NFR-OBSERVABILITY-001", "of other Velero versions", "of other versions"),
        ("NFR-RELIABILITY-001", "of all the runs", "of all runs"),
        ("NFR-RELIABILITY-002", "the unquiesced file", "the unqiesced file"),
        ("NFR-SEC-001", "| a base64-encoded Secret  ", "| a base64 encoded Secret  "),
    ],
)  # fmt: skip
def test_a_typo_in_a_word_of_the_suites_own_phrases_is_refused(
    write: Writer, criterion: str, word: str, typo: str
) -> None:
    path = next(path for path in FEATURES.rglob("*.feature") if path.name.startswith(f"{criterion}-"))
    steps, text = runnable.suite_needs().steps, path.read_text()
    assert word in text and list(lint_feature(read(path), load(), steps)) == []
    found = problems(write(text.replace(word, typo), path.name), list(steps))
    assert any("no step definition fits" in problem for problem in found)


def test_an_unused_step_definition_is_named(write: Writer) -> None:
    spare = definition("when", "nobody calls")
    assert any("'nobody calls'" in p for p in lint_suite([write(GOOD)], load(), [*STEPS, spare]))
