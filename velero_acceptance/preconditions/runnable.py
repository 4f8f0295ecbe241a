"""Which criteria can run on a target under which profile, and why the others cannot.

The needs of a scenario are found without running it: those whose fixtures its steps request, however indirectly.
"""

import importlib
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from velero_acceptance.core.installation import modules
from velero_acceptance.core.settings import Profile
from velero_acceptance.criteria.load import Register
from velero_acceptance.criteria.models import Criterion
from velero_acceptance.gherkin.documents import FeatureText, ScenarioText, StepText
from velero_acceptance.gherkin.lint import Definition, definitions
from velero_acceptance.gherkin.selection import PASSIVE, selected
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


@dataclass(frozen=True)
class Runnability:
    """How many of a criterion's *deciding* scenarios a profile can run, and how many passive ones."""

    deciding: int
    runnable: int
    passive: int
    reasons: tuple[str, ...]

    def __str__(self) -> str:
        if self.runnable:
            return "all" if self.runnable >= self.deciding else f"{self.runnable} of {self.deciding}"
        return "read-only" if self.passive else "no" if self.reasons else "–"


@dataclass(frozen=True)
class CriterionRunnability:
    """A criterion, and what each profile can run of it. *planned*: it has no feature yet."""

    criterion: str
    planned: bool
    profiles: Mapping[Profile, Runnability]

    @property
    def reasons(self) -> list[str]:
        """Why something of it cannot run, each reason once; those of lower profiles first."""
        return list(dict.fromkeys(reason for found in self.profiles.values() for reason in found.reasons))


def runnability(
    register: Register,
    features: list[FeatureText],
    graph: Needs,
    reasons: Mapping[str, str],
    refusals: Mapping[Profile, str],
) -> list[CriterionRunnability]:
    """Every criterion of the register. *reasons* by unmet need; *refusals*: why a profile cannot run at all."""

    def blocked(scenario: ScenarioText, criterion: Criterion, profile: Profile) -> list[str]:
        """Why a scenario cannot run; empty when it can."""
        unmet = (reasons.get(need, "") for need in graph.of(scenario, criterion))
        return list(filter(None, [refusals.get(profile, ""), *unmet]))

    def of_profile(criterion: Criterion, feature: FeatureText, profile: Profile) -> Runnability:
        own = criterion.verification.profile
        chosen = [scenario for scenario in feature.scenarios if selected(scenario.tags, own, profile)]
        found = [blocked(scenario, criterion, profile) for scenario in chosen]
        able = [scenario for scenario, why in zip(chosen, found, strict=True) if not why]
        passive = sum(PASSIVE in scenario.tags for scenario in able)
        every = dict.fromkeys(reason for why in found for reason in why)
        return Runnability(feature.deciding, len(able) - passive, passive, tuple(every))

    by_tag = {tag: feature for feature in features for tag in feature.tag_line}
    rows = []
    for criterion in register.criteria.values():
        feature = by_tag.get(criterion.id)
        profiles = {p: of_profile(criterion, feature, p) if feature else Runnability(0, 0, 0, ()) for p in Profile}
        rows.append(CriterionRunnability(criterion.id, feature is None, profiles))
    return rows


@cache
def suite_needs() -> Needs:
    """The suite's own steps and fixtures, imported once a process."""
    for name in modules("steps"):
        importlib.import_module(name)
    return Needs(definitions(), fixtures())
