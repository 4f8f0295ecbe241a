"""Feature files as documents: tags, scenarios and expanded steps, parsed without pytest."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from gherkin.errors import CompositeParserException, ParserError
from gherkin.parser import Parser
from gherkin.pickles.compiler import Compiler

from velero_acceptance.core.errors import Refusal
from velero_acceptance.core.installation import ROOT
from velero_acceptance.gherkin.without_faults import MarkWithoutStep, without_faults

FEATURES = ROOT / "features"
# Gherkin's own word for the kind of a step, as pytest-bdd names it.
KINDS = {"Context": "given", "Action": "when", "Outcome": "then"}


class MalformedFeature(Refusal):
    """The file is not Gherkin; the message says where."""


@dataclass(frozen=True)
class StepText:
    """One step as it will run, with the values of its example filled in."""

    kind: str
    text: str


@dataclass(frozen=True)
class ScenarioText:
    """One scenario as it will run: an outline gives one for each example."""

    name: str
    tags: frozenset[str]
    steps: tuple[StepText, ...]
    # The name in the file, which those of an outline share.
    written: str = ""

    @property
    def negative(self) -> bool:
        return "negative" in self.tags


@dataclass(frozen=True)
class FeatureText:
    """A feature file. *declared*: names as written, also duplicates; *control_scenarios*: those without the fault."""

    path: Path
    name: str
    tags: frozenset[str]
    tag_line: tuple[str, ...]
    declared: tuple[str, ...]
    empty: tuple[str, ...]
    without_examples: tuple[str, ...]
    scenarios: tuple[ScenarioText, ...]
    control_scenarios: tuple[ScenarioText, ...]

    @property
    def deciding(self) -> int:
        """How many scenarios a verdict needs: without those that take hours (@soak) or only observe (@passive)."""
        active = [scenario for scenario in self.scenarios if "passive" not in scenario.tags]
        return sum("soak" not in scenario.tags for scenario in active) or len(active)


def read(path: Path) -> FeatureText:
    """Parse a feature file; raises MalformedFeature."""
    try:
        return _read(path, path.read_text(encoding="utf-8"))
    except OSError as error:
        raise MalformedFeature(f"it cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise MalformedFeature("it cannot be read: it is not UTF-8 text") from None


@cache
def _read(path: Path, text: str) -> FeatureText:
    """Parsed once a process for the same text: a run reads every file several times."""
    document = _parsed(text)
    feature = document["feature"]
    try:
        control_text = without_faults(text)
    except MarkWithoutStep as error:
        raise MalformedFeature(str(error)) from None
    scenarios = _pickles(document, path)
    written = list(_scenarios(feature["children"]))
    return FeatureText(
        path=path,
        name=feature["name"],
        tags=frozenset(_tags(feature)),
        tag_line=tuple(_tags(feature, line=feature["location"]["line"] - 1)),
        declared=tuple(scenario["name"] for scenario in written),
        empty=tuple(scenario["name"] for scenario in written if not scenario["steps"]),
        without_examples=tuple(
            scenario["name"]
            for scenario in written
            if "Outline" in scenario["keyword"] and not any(e.get("tableBody") for e in scenario["examples"])
        ),
        scenarios=scenarios,
        control_scenarios=scenarios if control_text == text else _pickles(_parsed(control_text), path),
    )


def read_all() -> list[FeatureText]:
    """Every feature file of the project, by path; raises MalformedFeature, which names the file."""
    return [_named(path) for path in sorted(FEATURES.rglob("*.feature"))]


def _named(path: Path) -> FeatureText:
    try:
        return read(path)
    except MalformedFeature as error:
        raise MalformedFeature(f"{path.name}: {error}") from None


def _parsed(text: str) -> Any:
    try:
        document: Any = Parser().parse(text)
    except (ParserError, CompositeParserException) as error:
        raise MalformedFeature(" ".join(str(error).split())) from None
    if document.get("feature") is None:
        raise MalformedFeature("there is no Feature in it")
    return document


def _pickles(document: Any, path: Path) -> tuple[ScenarioText, ...]:
    document["uri"] = str(path)
    written = {scenario["id"]: scenario["name"] for scenario in _scenarios(document["feature"]["children"])}
    return tuple(_pickle(pickle, written[pickle["astNodeIds"][0]]) for pickle in Compiler().compile(document))


def _scenarios(children: list[Any]) -> Iterator[Any]:
    for child in children:
        if "scenario" in child:
            yield child["scenario"]
        elif "rule" in child:
            yield from _scenarios(child["rule"]["children"])


def _tags(node: Any, line: int | None = None) -> list[str]:
    """The tags of a node, or only those on one line."""
    tags = [tag for tag in node["tags"] if line is None or tag["location"]["line"] == line]
    return [tag["name"].removeprefix("@") for tag in tags]


def _pickle(pickle: Any, written: str) -> ScenarioText:
    return ScenarioText(
        name=pickle["name"],
        tags=frozenset(_tags(pickle)),
        steps=tuple(StepText(KINDS.get(step.get("type", ""), "given"), step["text"]) for step in pickle["steps"]),
        written=written,
    )
