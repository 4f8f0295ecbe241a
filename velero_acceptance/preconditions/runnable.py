"""Which rows of the register can run on a target under which profile, and why the others cannot."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from velero_acceptance.core.installation import modules
from velero_acceptance.core.settings import Profile
from velero_acceptance.criteria.models import Criterion
from velero_acceptance.gherkin.documents import FeatureText, ScenarioText
from velero_acceptance.gherkin.selection import PASSIVE, selected

if TYPE_CHECKING:
    from velero_acceptance.criteria.load import Register
    from velero_acceptance.preconditions.needs import Needs


@dataclass(frozen=True)
class Runnability:
    """What a profile can run of a criterion: how many of the *deciding* scenarios, how many that only look on."""

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
        return list(dict.fromkeys(reason for prospect in self.profiles.values() for reason in prospect.reasons))


def runnability(
    register: Register,
    features: list[FeatureText],
    graph: Needs,
    lacking: Mapping[str, str],
    refusals: Mapping[Profile, str],
) -> list[CriterionRunnability]:
    """Every row of the register. *lacking*: reasons by need; *refusals*: why a profile cannot run at all."""
    by_tag = {tag: feature for feature in features for tag in feature.tag_line}
    return [
        CriterionRunnability(
            criterion.id,
            criterion.id not in by_tag,
            {
                p: _prospect(criterion, by_tag.get(criterion.id), graph, lacking, p, refusals.get(p, ""))
                for p in Profile
            },
        )
        for criterion in register.criteria.values()
    ]


def _prospect(
    criterion: Criterion,
    feature: FeatureText | None,
    graph: Needs,
    lacking: Mapping[str, str],
    profile: Profile,
    refusal: str,
) -> Runnability:
    if feature is None:
        return Runnability(0, 0, 0, ())
    own = criterion.verification.profile
    chosen = [scenario for scenario in feature.scenarios if selected(scenario.tags, own, profile)]
    reasons = [_reasons(scenario, criterion, graph, lacking, refusal) for scenario in chosen]
    able = [scenario for scenario, found in zip(chosen, reasons, strict=True) if not found]
    passive = sum(PASSIVE in scenario.tags for scenario in able)
    every = dict.fromkeys(reason for found in reasons for reason in found)
    return Runnability(feature.deciding, len(able) - passive, passive, tuple(every))


def _reasons(
    scenario: ScenarioText, criterion: Criterion, graph: Needs, lacking: Mapping[str, str], refusal: str
) -> list[str]:
    """Why a scenario cannot run; empty when it can."""
    return list(filter(None, [refusal, *(lacking.get(need, "") for need in graph.of(scenario, criterion))]))


@cache
def suite_needs() -> Needs:
    """The suite's own steps and fixtures, looked up once a process."""
    from velero_acceptance.gherkin.lint import definitions
    from velero_acceptance.preconditions.needs import Needs, fixtures

    for name in modules("steps"):
        importlib.import_module(name)
    return Needs(definitions(), fixtures())
