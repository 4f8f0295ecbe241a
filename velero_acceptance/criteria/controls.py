"""Which criteria give evidence for which control of a standard; evidence, not a claim of compliance."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from pydantic import Field

from velero_acceptance.core.errors import Refusal
from velero_acceptance.core.waivers import Text
from velero_acceptance.criteria.load import CONTROLS, FOLDER, Register, doubles, parse, read_yaml
from velero_acceptance.criteria.models import CriterionId, StrictModel


class Control(StrictModel):
    """One control: what it asks for, in our words, what gives evidence for it, and what no criterion shows."""

    id: str
    framework: str
    title: str
    asks: str
    criteria: Annotated[tuple[CriterionId, ...], Field(min_length=1)]
    open: str


class UnmappedCriterion(StrictModel):
    """Criteria that no control asks for, and why."""

    criteria: Annotated[tuple[CriterionId, ...], Field(min_length=1)]
    why: Text


class Mapping(StrictModel):
    controls: tuple[Control, ...]
    unmapped: tuple[UnmappedCriterion, ...] = ()


def load(register: Register, folder: Path = FOLDER) -> Mapping:
    """The mapping; raises Refusal when it is malformed or does not fit *register*."""
    path = folder / CONTROLS
    mapping = parse(Mapping, path, read_yaml(path))
    for problem in problems(mapping, register):
        raise Refusal(f"{path}: {problem}")
    return mapping


def problems(mapping: Mapping, register: Register) -> Iterator[str]:
    """Every way in which the mapping contradicts the register or itself."""
    mapped = {name for control in mapping.controls for name in control.criteria}
    unmapped = {name for entry in mapping.unmapped for name in entry.criteria}
    yield from (f"{name} occurs twice" for name in doubles(control.id for control in mapping.controls))
    for control in mapping.controls:
        yield from (f"{control.id} names {name} twice" for name in doubles(control.criteria))
    known = mapped | unmapped
    yield from (f"{name} is not in the register" for name in sorted(known - register.criteria.keys()))
    yield from (f"{name} is neither mapped nor unmapped" for name in register.criteria if name not in known)
    yield from (f"{name} is both mapped and unmapped" for name in sorted(mapped & unmapped))


def markdown(mapping: Mapping) -> str:
    """The mapping as the table of docs/controls.md."""
    lines = ["| control | asks for | evidence | not shown |", "|---|---|---|---|"]
    for control in mapping.controls:
        name = f"**{control.id}** {control.title} ({control.framework})"
        lines.append(f"| {name} | {control.asks} | {', '.join(control.criteria)} | {control.open} |")
    return "\n".join(lines) + "\n"
