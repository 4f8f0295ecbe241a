"""AC-003-04, AC-004-04, NFR-PERF: how long data of the register's size would take, predicted from less data.

Velero polls its volumes every five seconds, so the duration of a backup is a multiple of five seconds, too coarse when
the data takes three. The line is fitted to the times in which the data moved; the rest does not depend on the size, and
the longest rest is added.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import linear_regression

from velero_acceptance.checks.statistics import t_quantile

CONFIDENCE = 0.95
LEAST_SIZES = 3


class NoPrediction(Exception):
    """These points allow no prediction; the message says why."""


@dataclass(frozen=True)
class Point:
    """A measured run: gigabytes (10^9 bytes), seconds in which they moved, and seconds for the rest."""

    gigabytes: float
    moving: float
    overhead: float


@dataclass(frozen=True)
class Prediction:
    """Seconds at *gigabytes* with the 95 % prediction interval, from *points*."""

    gigabytes: float
    seconds: float
    low: float
    high: float
    points: tuple[Point, ...]

    def table(self) -> str:
        lines = [f"{p.gigabytes:8.3f} GB  {p.moving:7.2f} s, and {p.overhead:.2f} s of overhead" for p in self.points]
        bounds = f"{CONFIDENCE:.0%} interval {self.low:.0f} to {self.high:.0f} s"
        return "\n".join([*lines, f"{self.gigabytes:8.3f} GB  {self.seconds:.0f} s predicted, {bounds}"])


def predict(points: Sequence[Point], gigabytes: float) -> Prediction:
    """The straight line through *points* at *gigabytes*.

    The interval is that of one further run, by the t distribution with two degrees of freedom fewer than points.
    Raises NoPrediction for fewer than three sizes, and when more data took no longer.
    """
    sizes, times = [p.gigabytes for p in points], [p.moving for p in points]
    if len(set(sizes)) < LEAST_SIZES:
        raise NoPrediction(f"a line needs {LEAST_SIZES} sizes, there are {len(set(sizes))}")
    line = linear_regression(sizes, times)
    if line.slope <= 0:
        raise NoPrediction("more data took no longer, so the times do not depend on the data")
    count, mean = len(sizes), sum(sizes) / len(sizes)
    spread = sum((size - mean) ** 2 for size in sizes)
    residual = sum((t - line.intercept - line.slope * s) ** 2 for s, t in zip(sizes, times, strict=True))
    deviation = math.sqrt(residual / (count - 2) * (1 + 1 / count + (gigabytes - mean) ** 2 / spread))
    margin = t_quantile((1 + CONFIDENCE) / 2, count - 2) * deviation
    seconds = line.intercept + line.slope * gigabytes + max(p.overhead for p in points)
    return Prediction(gigabytes, seconds, seconds - margin, seconds + margin, tuple(points))


def exceeded(timeouts: Mapping[str, float], seconds: float) -> list[str]:
    """Those of Velero's *timeouts* (seconds by name) that an operation of *seconds* would exceed, a line each."""
    return [
        f"{name} is {limit:g} s, and the data size of the register needs {seconds:.0f} s: Velero would give up before"
        for name, limit in timeouts.items()
        if seconds > limit
    ]
