"""Negative scenarios without their fault: read so, each of them has to go red.

A scenario tagged ``@negative`` seeds a fault and wants it seen. What would it do if the fault were not there?
A comment on the line above a step says how the scenario reads without the fault::

    # without the fault: an account that has full access to Velero
    And an account that may only read

``nothing`` takes the step out; a table below it goes either way. ``pytest features --without-faults`` runs the negative
scenarios so; one that stays green proves nothing, and fails that run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

MARK = re.compile(r"^\s*#\s*without the fault:\s*(?P<instead>.+?)\s*$")
STEP = re.compile(r"^(?P<indent>\s*)(?P<keyword>Given|When|Then|And|But|\*)\s+(?P<text>.+)$")
CONTINUING = ("And", "But")
NOTHING = "nothing"


class MarkWithoutStep(ValueError):
    """A mark that does not stand above a step; the message says where."""


def without_faults(text: str) -> str:
    """The text of a feature file without its faults; the lines keep their numbers.

    Raises MarkWithoutStep when the line below a mark is no step.
    """
    return "\n".join(_lines(text.split("\n")))


def _lines(lines: list[str]) -> Iterator[str]:
    instead, keyword, dropping = None, None, False
    for number, line in enumerate(lines, start=1):
        step, mark = STEP.match(line), MARK.match(line)
        dropping = dropping and line.lstrip().startswith("|")
        if instead is not None:
            if step is None:
                raise MarkWithoutStep(f"line {number}: there is no step below 'without the fault: {instead}'")
            if instead == NOTHING:
                # Its keyword is that of the steps that go on from it.
                keyword = keyword or step["keyword"]
                yield ""
            else:
                yield f"{step['indent']}{_keyword(keyword, step)} {instead}"
                keyword = None
            instead, dropping = None, True
        elif step:
            yield f"{step['indent']}{_keyword(keyword, step)} {step['text']}"
            keyword = None
        else:
            instead = mark["instead"] if mark else None
            yield "" if dropping or mark else line
    if instead is not None:
        raise MarkWithoutStep(f"the file ends below 'without the fault: {instead}'")


def _keyword(before: str | None, step: re.Match[str]) -> str:
    """The keyword of a step below one with the keyword *before* that was taken out."""
    goes_on = step["keyword"] in CONTINUING and before not in (None, *CONTINUING)
    return str(before if goes_on else step["keyword"])
