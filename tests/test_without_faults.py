"""Negative scenarios without their fault: how they read. Whole runs of them are in ``test_runs.py``."""

from __future__ import annotations

import pytest

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
