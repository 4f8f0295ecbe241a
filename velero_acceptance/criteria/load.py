"""Read and check the register; a malformed file is refused with its reason."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import pydantic
import yaml

from velero_acceptance.core.errors import Refusal
from velero_acceptance.core.files import read_text
from velero_acceptance.core.installation import ROOT
from velero_acceptance.criteria.models import Criterion, Erratum, Requirement

FOLDER = ROOT / "criteria"
ERRATA = "errata.yaml"
# Read by criteria.controls and criteria.waivers.
CONTROLS = "controls.yaml"
WAIVERS = "waivers.yaml"
ORDER = ("REQ", "NFR", "CLI")
# libyaml where it is built in: every start reads the register, which takes ten times longer without.
LOADER: type[yaml.SafeLoader | yaml.CSafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(LOADER):  # type: ignore[misc, valid-type]
    """Refuses a key that occurs twice in a mapping, of which YAML's parsers silently keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        for key in doubles(str(key.value) for key, _ in node.value):
            raise yaml.constructor.ConstructorError(None, None, f"the key {key} occurs twice", node.start_mark)
        return dict(super().construct_mapping(node, deep))


M = TypeVar("M", bound=pydantic.BaseModel)


@dataclass(frozen=True)
class Register:
    """All requirements and errata of the design, with the file each requirement came from."""

    requirements: tuple[Requirement, ...]
    errata: tuple[Erratum, ...]

    @cached_property
    def criteria(self) -> dict[str, Criterion]:
        """Every criterion by id, in the order of the register."""
        return {criterion.id: criterion for requirement in self.requirements for criterion in requirement.criteria}

    @cached_property
    def requirement_of(self) -> dict[str, Requirement]:
        """The requirement that each criterion belongs to."""
        return {criterion.id: requirement for requirement in self.requirements for criterion in requirement.criteria}

    def threshold(self, name: str) -> float:
        """The value that every criterion with a threshold called *name* gives it; KeyError when it is not one value."""
        every = (threshold for criterion in self.criteria.values() for threshold in criterion.thresholds)
        match {threshold.value for threshold in every if threshold.name == name}:
            case values if len(values) == 1:
                return values.pop()
            case values:
                raise KeyError(f"the register gives the threshold {name} {len(values)} values")


def load(folder: Path = FOLDER) -> Register:
    """The register in *folder*; raises Refusal for a file that is missing or malformed."""
    files = sorted(path for path in folder.glob("*.yaml") if path.name not in (ERRATA, CONTROLS, WAIVERS))
    if not files:
        raise Refusal(f"no requirement in {folder}: the register is missing, restore it from Git")
    parsed = (parse(Requirement, path, read_yaml(path)) for path in files)
    requirements = tuple(sorted(parsed, key=lambda requirement: (ORDER.index(requirement.id[:3]), requirement.id)))
    listed = read_yaml(folder / ERRATA)
    if not isinstance(listed, list):
        raise Refusal(f"{folder / ERRATA} must be a list of errata")
    errata = tuple(parse(Erratum, folder / ERRATA, entry) for entry in listed)
    register = Register(requirements, errata)
    for problem in _contradictions(register):
        raise Refusal(f"the register in {folder} contradicts itself: {problem}")
    return register


def schema_text() -> str:
    """JSON Schema of a requirement file, as published in ``criteria/schema.json``."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Requirement.model_json_schema()}
    return json.dumps(schema, indent=2) + "\n"


def _contradictions(register: Register) -> Iterator[str]:
    known = [erratum.id for erratum in register.errata]
    ids = [criterion.id for requirement in register.requirements for criterion in requirement.criteria]
    yield from (f"{name} occurs twice" for name in doubles([*ids, *known]))
    for criterion in register.criteria.values():
        if doubles(threshold.name for threshold in criterion.thresholds):
            yield f"{criterion.id} has two thresholds of one name"
        for name in set(criterion.errata).difference(known):
            yield f"{criterion.id} names erratum {name}, which does not exist"


def doubles(names: Iterable[str]) -> list[str]:
    """Names that occur more than once."""
    return sorted(name for name, count in Counter(names).items() if count > 1)


def read_yaml(path: Path) -> Any:
    """The content of a YAML file; raises Refusal when it cannot be read."""
    try:
        return yaml.load(read_text(path), _Loader)
    except yaml.YAMLError as error:
        raise Refusal(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None


def parse(model: type[M], path: Path, content: Any) -> M:
    """*content* of *path* as *model*; raises Refusal with the first thing that does not fit."""
    try:
        return model.model_validate(content)
    except pydantic.ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"]) or "the file"
        raise Refusal(f"{path} is malformed at {where}: {problem['msg']}") from None
