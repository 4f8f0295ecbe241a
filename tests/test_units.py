from __future__ import annotations

import pytest

from velero_acceptance.core.units import Quantity, quantities


@pytest.mark.parametrize(
    ("text", "value", "dimension"),
    [
        ("within 30 seconds", 30, "time"),
        ("in 15min", 900, "time"),
        ("1 hour", 3600, "time"),
        ("30 days", 2_592_000, "time"),
        ("95%", 95, "share"),
        ("a 10GB PVC", 1e10, "size"),
        ("0.5 CPU", 0.5, "processor"),
    ],
)
def test_numbers_with_units_are_found(text: str, value: float, dimension: str) -> None:
    (found,) = quantities(text)
    assert (found.value, found.dimension) == (value, dimension)


@pytest.mark.parametrize(
    "text", ["at 02:00 UTC", "AC-003-01", "v1.16 something", "two backups", "restic 0.14 minutely"]
)
def test_other_numbers_are_not(text: str) -> None:
    assert not list(quantities(text))


def test_the_same_quantity_in_other_words() -> None:
    (minutes,) = quantities("15 minutes")
    assert minutes.same(Quantity.of(900, "s"))
    assert not minutes.same(Quantity.of(901, "s"))
    assert not minutes.same(Quantity.of(900, "keys"))


def test_a_gibibyte_is_no_gigabyte() -> None:
    (binary,) = quantities("10 GiB")
    assert not binary.same(Quantity.of(10, "GB"))
