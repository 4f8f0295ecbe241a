"""The geometry of a measurement's bar: its value, limit and permitted side; the template draws it."""

from dataclasses import dataclass

from velero_acceptance.report.build import MeasurementRow

WIDTH = 160.0
# The length of the bar relative to the greatest number.
ROOM = 1.15
# The least width of a value, so that it is visible.
NARROWEST = 2.0


@dataclass(frozen=True)
class Chart:
    """Positions on a bar of WIDTH, in pixels. *low* and *high*: the interval of a prediction."""

    zone_from: float
    zone_to: float
    limit: float
    value: float
    exact: bool
    low: float | None = None
    high: float | None = None


def chart(measurement: MeasurementRow) -> Chart:
    """The bar of a measurement; it starts at 0, also for negative values."""
    known = measurement.extrapolation
    value = known.prediction if known else measurement.value
    top = max(measurement.limit, value, known.high if known else 0.0) * ROOM or 1.0

    def place(number: float) -> float:
        return round(min(max(number / top, 0.0), 1.0) * WIDTH, 1)

    limit = place(measurement.limit)
    below, above = measurement.comparator.startswith("<"), measurement.comparator.startswith(">")
    return Chart(
        zone_from=limit if above else 0.0,
        zone_to=limit if below else WIDTH if above else 0.0,
        limit=limit,
        value=max(place(value), NARROWEST),
        exact=not (below or above),
        low=place(known.low) if known else None,
        high=place(known.high) if known else None,
    )
