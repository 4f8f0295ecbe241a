"""Numbers with units: found in prose and compared across spellings ("15min", "900 s"), and formatted."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

# Unit by spelling: dimension and size in the dimension's base unit (s, percent, bytes, CPU).
SPELLINGS: dict[str, tuple[str, float]] = {
    **dict.fromkeys(("s", "second", "seconds"), ("time", 1.0)),
    **dict.fromkeys(("min", "minute", "minutes"), ("time", 60.0)),
    **dict.fromkeys(("h", "hour", "hours"), ("time", 3600.0)),
    **dict.fromkeys(("day", "days"), ("time", 86400.0)),
    **dict.fromkeys(("%", "percent"), ("share", 1.0)),
    "MB": ("size", 1e6),
    "GB": ("size", 1e9),
    "MiB": ("size", 2.0**20),
    "GiB": ("size", 2.0**30),
    **dict.fromkeys(("CPU", "CPUs"), ("processor", 1.0)),
}
_NUMBER = re.compile(
    r"(?<![\w.:-])(\d+(?:\.\d+)?)\s*(" + "|".join(sorted(SPELLINGS, key=len, reverse=True)) + r")(?![\w-])"
)


@dataclass(frozen=True)
class Quantity:
    """A number in the base unit of its dimension, and how it was written."""

    value: float
    dimension: str
    text: str

    @staticmethod
    def of(value: float, unit: str) -> "Quantity":
        """A quantity from a number and a unit; whatever is counted is its own dimension."""
        dimension, factor = SPELLINGS.get(unit, (unit, 1.0))
        return Quantity(value * factor, dimension, f"{value:g} {unit}")

    def same(self, other: "Quantity") -> bool:
        return self.dimension == other.dimension and math.isclose(self.value, other.value)


def quantities(text: str) -> Iterator[Quantity]:
    """Every number with a known unit in *text*."""
    for match in _NUMBER.finditer(text):
        dimension, factor = SPELLINGS[match[2]]
        yield Quantity(float(match[1]) * factor, dimension, match[0])


def size(count: float) -> str:
    """A number of bytes for a reader; MB is 10^6."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count:.0f} B"
