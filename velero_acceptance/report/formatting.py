"""Numbers and times for a reader."""

HOUR, DAY = 3600.0, 86400.0
SIGNS = {"<=": "≤", ">=": "≥", "==": "="}


def sign(comparator: str) -> str:
    return SIGNS.get(comparator, comparator)


def number(value: float) -> str:
    """Four digits, or all of a large whole number: 2,592,000."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def quantity(value: float, unit: str) -> str:
    """A value with its unit; long times in hours or days."""
    if unit == "percent":
        return f"{number(value)} %"
    if unit == "s" and abs(value) >= 2 * DAY:
        return f"{number(value / DAY)} days"
    if unit == "s" and abs(value) >= 2 * HOUR:
        return f"{number(value / HOUR)} h"
    return f"{number(value)} {unit}".rstrip()


def duration(seconds: float) -> str:
    """A duration: 0.04 s, 4.2 s, 42 s, 3 min 20 s, 2 h 5 min."""
    if seconds < 0.005:
        return "0 s"
    if seconds < 60:
        return f"{seconds:.{2 if seconds < 1 else 1 if seconds < 10 else 0}f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def cut(text: str, longest: int) -> str:
    """At most *longest* characters of *text*, with a note where it was cut."""
    return text if len(text) <= longest else f"{text[:longest]} … cut: {len(text):,} characters in all"
