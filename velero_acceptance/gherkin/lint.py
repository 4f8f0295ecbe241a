"""The lint of feature files: errors that pytest-bdd accepts silently.

pytest-bdd drops the first of two scenarios with one name, passes a scenario without steps, silently prefers one of two
matching step definitions, and finds a missing step only when the expensive ones before it have run.
"""

import inspect
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from velero_acceptance.core.units import Quantity, quantities
from velero_acceptance.criteria.load import Register
from velero_acceptance.criteria.models import CRITERION_ID
from velero_acceptance.gherkin.documents import FeatureText, ScenarioText, StepText

# Tags of scenarios and of what features share, in addition to those of criteria.
KNOWN_TAGS = frozenset(
    {"negative", "exclusive", "long", "own-velero", "passive", "observe", "exercise", "disrupt", "soak", "upgrade"}
    | {"shares-slow-link", "shares-timed-run", "shares-schedule-run"}
)
# A parameter of any text. In quotes it is a name that a feature chooses; elsewhere a typo would change the meaning.
FREE = re.compile(r'(?<!")\{\w*\}|\{\w*\}(?!")')


@dataclass(frozen=True)
class Definition:
    """A step definition: its kind (None: any), its text, whether it matches a step, and its function."""

    kind: str | None
    text: str
    matches: Callable[[str], bool]
    where: str
    # The fixtures that it requests, and the values of its text.
    asks: tuple[str, ...] = ()

    def fits(self, step: StepText) -> bool:
        return self.kind in (None, step.kind) and self.matches(step.text)


def definitions() -> list[Definition]:
    """Every step definition that is imported, from pytest-bdd's registry (private to its 9.x)."""
    from pytest_bdd.steps import step_function_context_registry

    contexts = {id(context): context for context in step_function_context_registry.values()}.values()
    return [
        Definition(
            context.type,
            context.parser.name,
            cache(context.parser.is_matching),
            f"{context.step_func.__module__}.{context.step_func.__name__}",
            tuple(inspect.signature(context.step_func).parameters),
        )
        for context in contexts
        if not context.step_func.__module__.startswith("pytest_bdd")  # its own debugging step
    ]


def lint_feature(feature: FeatureText, register: Register, steps: Sequence[Definition]) -> Iterator[str]:
    """Problems of one feature file, a sentence each."""
    yield from _tag_problems(feature, register)
    yield from (f"the scenario {name!r} occurs {n} times" for name, n in Counter(feature.declared).items() if n > 1)
    yield from (f"the scenario {name!r} has no steps" for name in feature.empty)
    yield from (f"the outline {name!r} has no Examples" for name in feature.without_examples)
    for scenario in feature.scenarios:
        yield from (f"scenario {scenario.name!r}: {problem}" for problem in _scenario_problems(scenario, steps))
    yield from _mark_problems(feature, steps)
    criteria = [register.criteria[tag] for tag in feature.tag_line if tag in register.criteria]
    for criterion in criteria[:1]:
        limits = [Quantity.of(threshold.value, threshold.unit) for threshold in criterion.thresholds]
        numbers = {
            (q.text, q) for s in feature.scenarios if not s.negative for step in s.steps for q in quantities(step.text)
        }
        for text, number in sorted(numbers, key=lambda pair: pair[0]):
            if not any(number.same(limit) for limit in limits):
                yield f"a step says {text}, but the register has no such limit for {criterion.id}"


def lint_suite(features: Iterable[FeatureText], register: Register, steps: Sequence[Definition]) -> Iterator[str]:
    """Contradictions between the features, the register and the step definitions."""
    features = list(features)
    owners: dict[str, list[Path]] = {}
    for feature in features:
        for tag in feature.tag_line:
            if tag in register.criteria:
                owners.setdefault(tag, []).append(feature.path)
    for criterion in register.criteria.values():
        paths = owners.get(criterion.id, [])
        if len(paths) > 1:
            yield f"{criterion.id} has {len(paths)} features: {', '.join(path.name for path in paths)}"
        if not paths and not criterion.planned:
            yield f"{criterion.id} has no feature; write it, or mark the criterion as planned in the register"
        if paths and criterion.planned:
            yield f"{criterion.id} has a feature: remove its mark planned from the register"
    scenarios = [s for feature in features for s in (*feature.scenarios, *feature.control_scenarios)]
    used = {step for scenario in scenarios for step in scenario.steps}
    for definition in steps:
        for parameter in FREE.findall(definition.text):
            yield f"the step definition {definition.where} takes any text for {parameter}: quote it, or list its words"
        if not any(definition.fits(step) for step in used):
            yield f"the step definition {definition.where} ({definition.text!r}) is used by no feature"


def _tag_problems(feature: FeatureText, register: Register) -> Iterator[str]:
    criteria = [tag for tag in feature.tag_line if re.match(CRITERION_ID, tag)]
    if len(criteria) != 1:
        yield f"needs exactly one criterion tag on the line above Feature, found {len(criteria)}"
    for tag in criteria:
        if tag not in register.criteria:
            yield f"the tag @{tag} is not in the register"
        elif not feature.path.name.startswith(tag):
            yield f"the file name must start with {tag}"
    tags = feature.tags.union(*(scenario.tags for scenario in feature.scenarios)) - set(criteria)
    yield from (f"the tag @{tag} is unknown" for tag in sorted(tags - KNOWN_TAGS))


def _mark_problems(feature: FeatureText, steps: Sequence[Definition]) -> Iterator[str]:
    """Problems of marks: every negative scenario has one, no other has, and the scenario without the fault can run."""
    for scenario, control in zip(feature.scenarios, feature.control_scenarios, strict=True):
        changed = scenario.steps != control.steps
        if changed and not scenario.negative:
            yield f"scenario {scenario.name!r} is marked 'without the fault' and not tagged @negative"
        if not changed and scenario.negative:
            yield f"scenario {scenario.name!r} seeds a fault and does not say how it reads 'without the fault'"
        if changed:
            found = _scenario_problems(control, steps)
            yield from (f"scenario {scenario.name!r} without its fault: {problem}" for problem in found)


def _scenario_problems(scenario: ScenarioText, steps: Sequence[Definition]) -> Iterator[str]:
    if scenario.steps and not any(step.kind == "then" for step in scenario.steps):
        yield "has no Then"
    for step in scenario.steps:
        fitting = [definition for definition in steps if definition.fits(step)]
        if not fitting:
            yield f"no step definition fits {step.kind.capitalize()} {step.text!r}"
        if len(fitting) > 1:
            yield f"{step.text!r} is ambiguous: {', '.join(sorted(definition.where for definition in fitting))}"
