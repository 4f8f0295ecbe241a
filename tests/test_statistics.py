"""The suite's own distributions are scipy's."""

from __future__ import annotations

import pytest
from scipy import stats

from velero_acceptance.checks.statistics import incomplete_beta, lower_bound, t_quantile


@pytest.mark.parametrize("degrees", [1, 2, 3, 5, 10, 100])
@pytest.mark.parametrize("probability", [0.6, 0.9, 0.975, 0.999])
def test_student(probability: float, degrees: int) -> None:
    assert t_quantile(probability, degrees) == pytest.approx(stats.t.ppf(probability, degrees), rel=1e-9)


@pytest.mark.parametrize("total", [1, 2, 12, 59, 2000])
@pytest.mark.parametrize("failed", [0, 1])
def test_clopper_and_pearson(total: int, failed: int) -> None:
    exact = stats.binomtest(total - failed, total, alternative="greater").proportion_ci(0.95, method="exact").low
    assert lower_bound(total - failed, total, 0.95) == pytest.approx(exact, abs=1e-9)


@pytest.mark.parametrize(("x", "value"), [(-1.0, 0.0), (0.0, 0.0), (1.0, 1.0), (2.0, 1.0)])
def test_the_ends_of_the_beta_function(x: float, value: float) -> None:
    assert incomplete_beta(2, 3, x) == value


def test_no_success_proves_nothing() -> None:
    assert lower_bound(0, 0, 0.95) == lower_bound(0, 5, 0.95) == 0.0
