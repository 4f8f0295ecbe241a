"""Negative scenarios without their fault: how they read, and whole runs of them."""

from __future__ import annotations

import pytest

from tests.small_suite import HEAD, Suite, scenario
from velero_acceptance.gherkin.without_faults import MarkWithoutStep, without_faults


def lines(*text: str) -> str:
    return "\n".join(text)


@pytest.mark.parametrize(
    ("text", "innocent"),
    [
        (("Given a", "# without the fault: c", "When b", "Then d"), ("Given a", "", "When c", "Then d")),
        (("Given a", "# without the fault: nothing", "And b", "Then d"), ("Given a", "", "", "Then d")),
        (("Given a", "# without the fault: nothing", "When b", "And c"), ("Given a", "", "", "When c")),
        (("Given a", "# without the fault: nothing", "When b", "Then c"), ("Given a", "", "", "Then c")),
        (("# without the fault: c", "Given a", "| x |", "| y |", "When b"), ("", "Given c", "", "", "When b")),
        (("# without the fault: nothing", "Given a", "| x |", "And b"), ("", "", "", "Given b")),
        (("Given a", "# a remark", "And b"), ("Given a", "# a remark", "And b")),
        (("  # without the fault: c", "  Given a"), ("", "  Given c")),
    ],
)
def test_a_step_below_a_mark_reads_otherwise(text: tuple[str, ...], innocent: tuple[str, ...]) -> None:
    assert without_faults(lines(*text)) == lines(*innocent)


@pytest.mark.parametrize("text", [("# without the fault: c",), ("# without the fault: c", "Examples:", "Given a")])
def test_a_mark_needs_a_step(text: tuple[str, ...]) -> None:
    with pytest.raises(MarkWithoutStep):
        without_faults(lines(*text))


@pytest.mark.parametrize("arguments", [(), ("-n", "2")])
def test_without_its_fault_a_negative_scenario_is_red_and_that_is_what_is_wanted(
    suite: Suite, arguments: tuple[str, ...]
) -> None:
    sound = scenario("Sound", "it takes 31 units", "the delay is seen", "@negative", "it takes 3 units")
    suite.write(HEAD + scenario("Quick", "it takes 3 units") + sound)
    done = suite.run("--without-faults", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    folder = suite.folder / "reports/r"
    (row,) = [line for line in (folder / "without-faults.md").read_text().splitlines() if "sound" in line]
    assert "Then the delay is seen" in row and "the seeded fault was not seen" in row
    assert not (folder / "traceability.json").exists(), "nothing was verified"


@pytest.mark.parametrize("innocent", ["it takes 32 units", "it raises error", "it is skipped"])
def test_a_scenario_that_does_not_go_red_at_its_check_without_its_fault_fails(suite: Suite, innocent: str) -> None:
    suite.write(HEAD + scenario("Blind", "it takes 31 units", "the delay is seen", "@negative", innocent))
    done = suite.run("--without-faults")
    assert (done.returncode == 1) == (innocent != "it is skipped"), done.stdout
    assert "1 passed" not in done.stdout


def test_a_leak_is_red_without_faults_too(suite: Suite) -> None:
    sound = scenario("Sound", "it takes 31 units", "the delay is seen", "@negative", "it takes 3 units")
    suite.write(HEAD + sound)
    (suite.folder / "leak").write_text("Namespace x of a scenario")
    done = suite.run("--without-faults")
    assert done.returncode == 1
    assert "left behind: Namespace x of a scenario" in done.stdout
