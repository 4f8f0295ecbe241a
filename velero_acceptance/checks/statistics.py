"""Two distributions: Student's t for a prediction, and the beta distribution for a rate.

Both follow from the regularized incomplete beta function, whose continued fraction is evaluated by Lentz's method
(Abramowitz and Stegun 26.5.8). The tests compare the values with scipy's.
"""

import math
from collections.abc import Callable

STEPS, PRECISION, TINY = 500, 1e-14, 1e-300


def t_quantile(probability: float, degrees: int) -> float:
    """The quantile of Student's t with *degrees* of freedom at *probability*, at least 0.5."""

    def below(value: float) -> float:
        return 1 - incomplete_beta(degrees / 2, 0.5, degrees / (degrees + value * value)) / 2

    high = 1.0
    while below(high) < probability:
        high *= 2
    return _solve(below, probability, high)


def lower_bound(succeeded: int, total: int, confidence: float) -> float:
    """The exact one-sided lower bound of a rate (Clopper and Pearson 1934), between 0 and 1."""
    if succeeded == 0:
        return 0.0
    return _solve(lambda rate: incomplete_beta(succeeded, total - succeeded + 1, rate), 1 - confidence, 1.0)


def incomplete_beta(a: float, b: float, x: float) -> float:
    """The regularized incomplete beta function I_x(a, b)."""
    if x <= 0 or x >= 1:
        return float(x > 0)
    if x > (a + 1) / (a + b + 2):  # the fraction converges fast on the other side
        return 1 - incomplete_beta(b, a, 1 - x)
    logarithm = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return math.exp(logarithm) / (a * _fraction(a, b, x))


def _fraction(a: float, b: float, x: float) -> float:
    """The continued fraction 1 + d1/(1 + d2/(1 + …)), evaluated forwards."""
    value = c = 1.0
    d = 0.0
    for step in range(1, STEPS):
        m = step // 2
        if step % 2:
            term = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            term = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d, c = 1 / (1 + term * d or TINY), 1 + term / c or TINY
        value *= c * d
        if abs(c * d - 1) < PRECISION:
            break
    return value


def _solve(function: Callable[[float], float], wanted: float, high: float) -> float:
    """Where a rising *function* has the value *wanted*, between 0 and *high*."""
    low = 0.0
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if function(middle) < wanted else (low, middle)
    return high
