"""The named timeouts of the suite, in seconds: the table in timeouts.toml, overridable, scaled by one factor.

``ACCEPTANCE_TIMEOUTS='{"backup_finished": 900}'`` replaces single values,
``ACCEPTANCE_TIMEOUT_FACTOR=3`` stretches all of them for a slow cluster. They only say how long the
suite waits; the design's limits are in ``criteria/``.
"""

import json
import math
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path

from velero_acceptance.core.errors import Refusal

DEFAULTS: dict[str, float] = tomllib.loads(Path(__file__).with_suffix(".toml").read_text())


def seconds(name: str) -> float:
    """The timeout *name* from the environment; for code that has no table."""
    return Timeouts.from_environment()[name]


class Timeouts(dict[str, float]):
    """Seconds by name; an unknown name is a KeyError."""

    def __init__(self, overrides: Mapping[str, float] | None = None, factor: float = 1.0) -> None:
        super().__init__({name: value * factor for name, value in {**DEFAULTS, **(overrides or {})}.items()})

    @staticmethod
    def from_environment(environment: Mapping[str, str] = os.environ) -> "Timeouts":
        """The table with the environment's overrides; raises Refusal for an invalid one."""
        try:
            factor = float(environment.get("ACCEPTANCE_TIMEOUT_FACTOR", "1"))
            overrides = json.loads(environment.get("ACCEPTANCE_TIMEOUTS", "{}"))
            numbers = {name: float(value) for name, value in overrides.items()}
        except (ValueError, AttributeError, TypeError):
            raise Refusal(
                "ACCEPTANCE_TIMEOUT_FACTOR must be a number and ACCEPTANCE_TIMEOUTS a JSON object of seconds by name"
            ) from None
        unknown = sorted(set(numbers) - set(DEFAULTS))
        if unknown:
            raise Refusal(f"ACCEPTANCE_TIMEOUTS names {unknown[0]}, which is none of {', '.join(sorted(DEFAULTS))}")
        if not 0 < factor <= 100 or not all(0 < value < math.inf for value in numbers.values()):
            raise Refusal("timeouts must be above 0 seconds and finite, and the factor between 0 and 100")
        return Timeouts(numbers, factor)
