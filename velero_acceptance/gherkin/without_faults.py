"""Negative scenarios without their fault, which must fail.

A scenario tagged ``@negative`` seeds a fault that its checks must detect. A comment above a step replaces that step in
the scenario without the fault::

    # without the fault: an account that has full access to Velero
    And an account that may only read

``nothing`` removes the step; a table below it is removed in either case. ``pytest features --without-faults`` runs the
negative scenarios this way; one that stays green proves nothing, and fails that run.
"""

import re
from collections.abc import Iterator

MARK = re.compile(r"^\s*#\s*without the fault:\s*(?P<instead>.+?)\s*$")
STEP = re.compile(r"^(?P<indent>\s*)(?P<keyword>Given|When|Then|And|But|\*)\s+(?P<text>.+)$")
CONTINUING = ("And", "But")
NOTHING = "nothing"


class MarkWithoutStep(ValueError):
    """A mark that is not above a step; the message says where."""


def without_faults(text: str) -> str:
    """A feature file without its faults, with the same line numbers; MarkWithoutStep for a mark above no step."""
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
                # The next step gets its keyword.
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
    """The keyword of a step below a removed one with the keyword *before*."""
    continues = step["keyword"] in CONTINUING and before not in (None, *CONTINUING)
    return str(before if continues else step["keyword"])
