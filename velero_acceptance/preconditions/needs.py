"""The needs of a scenario, found without running it: those whose fixtures its steps request, however indirectly."""

import importlib
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from velero_acceptance.core.installation import modules
from velero_acceptance.criteria.models import Criterion
from velero_acceptance.gherkin.documents import ScenarioText, StepText
from velero_acceptance.gherkin.lint import Definition
from velero_acceptance.preconditions.probes import NEEDS

CLOCKS = "clocks_agree"


@dataclass(frozen=True)
class Needs:
    """The suite's step definitions and fixtures, as a graph of the fixtures that each requests."""

    steps: Sequence[Definition]
    fixtures: Mapping[str, tuple[str, ...]]
    # The fixtures of each step that was looked up: most steps occur in many scenarios.
    _found: dict[StepText, tuple[str, ...]] = field(default_factory=dict, repr=False, compare=False)

    def of(self, scenario: ScenarioText, criterion: Criterion) -> list[str]:
        """The needs of a scenario of *criterion*, by name, in alphabetical order."""
        found = set(NEEDS) & self._closure(name for step in scenario.steps for name in self._asked(step))
        if any(threshold.clock for threshold in criterion.thresholds):
            found.add(CLOCKS)
        return sorted(found)

    def _asked(self, step: StepText) -> tuple[str, ...]:
        if step not in self._found:
            fitting = (definition for definition in self.steps if definition.fits(step))
            self._found[step] = tuple(name for definition in fitting for name in definition.asks)
        return self._found[step]

    def _closure(self, names: Iterable[str]) -> set[str]:
        found: set[str] = set()
        left = list(names)
        while left:
            if (name := left.pop()) not in found:
                found.add(name)
                left.extend(self.fixtures.get(name, ()))
        return found


@cache
def fixtures() -> dict[str, tuple[str, ...]]:
    """The fixtures that each fixture of the suite requests, by name."""
    return {
        name: tuple(inspect.signature(function).parameters)
        for module in modules("fixtures")
        for name, value in vars(importlib.import_module(module)).items()
        if (function := _function_of(value)) is not None
    }


def _function_of(value: object) -> Callable[..., Any] | None:
    """The function behind a fixture; None for anything else."""
    unwrap = getattr(value, "_get_wrapped_function", None)  # private to pytest 8.4 and later
    return unwrap() if callable(unwrap) else None
