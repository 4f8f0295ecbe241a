"""The lint of the register's sentences: EARS keywords in order, and numbers that agree with the thresholds."""

import re
from collections.abc import Iterator

from velero_acceptance.core.units import Quantity, quantities
from velero_acceptance.criteria.load import Register
from velero_acceptance.criteria.models import Criterion, Pattern

KEYWORDS = ("WHERE", "WHILE", "WHEN", "IF", "THEN")
# The keywords a sentence of each pattern has, in order.
ORDER = {
    Pattern.UBIQUITOUS: [],
    Pattern.EVENT: ["WHEN"],
    Pattern.STATE: ["WHILE"],
    Pattern.OPTIONAL: ["WHERE"],
    Pattern.UNWANTED: ["IF", "THEN"],
}


def problems(register: Register) -> Iterator[str]:
    """Every sentence of the register that breaks a rule, as one line each."""
    for criterion in register.criteria.values():
        yield from (f"{criterion.id}: {problem}" for problem in _problems(criterion))


def _problems(criterion: Criterion) -> Iterator[str]:
    text = criterion.ears.text
    if (count := len(re.findall(r"\bSHALL\b", text))) != 1:
        yield f"has {count} SHALL, not one"
    found = re.findall(rf"\b({'|'.join(KEYWORDS)})\b", text)
    if found != ORDER[criterion.ears.pattern]:
        wanted = " … ".join(ORDER[criterion.ears.pattern]) or "no keyword"
        there = " … ".join(found) or "none"
        yield f"is of pattern {criterion.ears.pattern} and needs {wanted} before SHALL, found {there}"
    if not text.endswith("."):
        yield "does not end with a full stop"
    if not any(threshold.decides for threshold in criterion.thresholds):
        yield "has no threshold that decides"
    limits = [Quantity.of(threshold.value, threshold.unit) for threshold in criterion.thresholds]
    for number in quantities(text):
        if not any(number.same(limit) for limit in limits):
            yield f"says {number.text}, which is no threshold of it"
