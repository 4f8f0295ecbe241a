"""Negative scenarios without their fault: read so, each of them has to go red.

A scenario tagged ``@negative`` seeds a fault and wants it seen. What would it do if the fault were not there?
A comment on the line above a step says how the scenario reads without the fault::

    # without the fault: the account that may do everything
    And an account that may only read

``nothing`` takes the step out, with its table. ``pytest features --without-faults`` runs the negative
scenarios so; one that stays green proves nothing, and fails that run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

MARK = re.compile(r"^\s*#\s*without the fault:\s*(?P<instead>.+?)\s*$")
STEP = re.compile(r"^(?P<keyword>\s*(?:Given|When|Then|And|But|\*)\s+)")
NOTHING = "nothing"


class MarkWithoutStep(ValueError):
    """A mark that does not stand above a step; the message says where."""


def without_faults(text: str) -> str:
    """The text of a feature file without its faults; the lines keep their numbers.

    Raises MarkWithoutStep when the line below a mark is no step.
    """
    return "\n".join(_lines(text.split("\n")))


def marked_lines(text: str) -> list[int]:
    """The numbers of the lines with a mark, from 1."""
    return [number for number, line in enumerate(text.split("\n"), start=1) if MARK.match(line)]


def _lines(lines: list[str]) -> Iterator[str]:
    instead, dropping = None, False
    for number, line in enumerate(lines, start=1):
        dropping = dropping and line.lstrip().startswith("|")
        if dropping:
            yield ""
        elif instead is not None:
            step = STEP.match(line)
            if step is None:
                raise MarkWithoutStep(f"line {number}: there is no step below 'without the fault: {instead}'")
            dropping = instead == NOTHING
            yield "" if dropping else step["keyword"] + instead
            instead = None
        elif mark := MARK.match(line):
            instead = mark["instead"]
            yield ""
        else:
            yield line
    if instead is not None:
        raise MarkWithoutStep(f"the file ends below 'without the fault: {instead}'")
