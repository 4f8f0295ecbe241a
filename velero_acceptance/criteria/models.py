"""The entries of the register; the published JSON Schema is generated from these models."""

import operator
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from velero_acceptance.core.settings import Profile

CRITERION_ID = r"^(AC-\d{3}-\d{2}|NFR-[A-Z]+-\d{3}|CLI-[a-z]+(-[a-z]+)*)$"
CriterionId = Annotated[str, StringConstraints(pattern=CRITERION_ID)]

Unit = Literal[
    "s", "days", "percent", "GB", "MB", "MiB", "CPU",
    "backups", "nodes", "pods", "places", "periods", "buckets", "requests", "streams", "keys", "objects", "volumes",
    "claims", "namespaces", "files", "samples", "runs", "secrets", "values", "metrics",
    "bytes", "locations", "settings", "connections", "records", "panels", "alerts",
]  # fmt: skip

COMPARATORS: dict[str, Callable[[float, float], bool]] = {
    "==": operator.eq,
    "<=": operator.le,
    "<": operator.lt,
    ">=": operator.ge,
    ">": operator.gt,
}


class StrictModel(BaseModel):
    """A model that refuses unknown keys: a misspelt one would silently weaken a criterion."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Pattern(StrEnum):
    """EARS patterns (Mavin et al., RE'09)."""

    UBIQUITOUS = "ubiquitous"
    EVENT = "event"
    STATE = "state"
    OPTIONAL = "optional"
    UNWANTED = "unwanted"


class Ears(StrictModel):
    """The criterion in the design's words, completed to an EARS sentence."""

    pattern: Pattern
    text: str


class Clock(StrictModel):
    """What starts and what stops the measurement of a time."""

    start: str
    stop: str


class Threshold(StrictModel):
    """One measured quantity and its limit. ``decides: false`` is reported and fails nothing."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
    comparator: Literal["==", "<=", "<", ">=", ">"]
    value: float
    unit: Unit
    clock: Clock | None = None
    decides: bool = True

    @model_validator(mode="after")
    def _times_have_a_clock(self) -> "Threshold":
        if self.unit == "s" and self.clock is None:
            raise ValueError(f"threshold {self.name} is a time and needs a clock with start and stop")
        return self

    def holds(self, value: float) -> bool:
        return COMPARATORS[self.comparator](value, self.value)

    def margin(self, value: float) -> float:
        """Distance to the limit in the threshold's unit, positive on the good side."""
        if self.comparator == "==":
            return -abs(value - self.value)
        return self.value - value if self.comparator.startswith("<") else value - self.value


class Verification(StrictModel):
    """How the criterion is verified; *accelerators* are the shortcuts in time it may use."""

    method: Literal["test", "inspection", "demonstration", "analysis"]
    profile: Profile
    accelerators: tuple[str, ...] = ()


class Criterion(StrictModel):
    """One row of the report."""

    id: CriterionId
    design_id: str
    ears: Ears
    component: str
    adr: tuple[Annotated[str, StringConstraints(pattern=r"^ADR-\d{3}$")], ...] = ()
    risk: Literal["high", "medium", "low"]
    verification: Verification
    thresholds: Annotated[tuple[Threshold, ...], Field(min_length=1)]
    errata: tuple[str, ...] = ()
    planned: bool = Field(default=False, description="no feature yet; one that exists contradicts this mark")

    def threshold(self, name: str) -> Threshold:
        """The threshold called *name*; KeyError names the ones there are."""
        for threshold in self.thresholds:
            if threshold.name == name:
                return threshold
        known = ", ".join(threshold.name for threshold in self.thresholds)
        raise KeyError(f"{self.id} has no threshold {name!r} in the register, only {known}")


class Requirement(StrictModel):
    """One file of the register: a requirement of the design with its criteria."""

    id: Annotated[str, StringConstraints(pattern=r"^(REQ-\d{3}|NFR|CLI)$")]
    design_id: str
    title: str
    criteria: Annotated[tuple[Criterion, ...], Field(min_length=1)]


class Erratum(StrictModel):
    """Where the design cannot be taken as written, and what the suite does instead."""

    id: Annotated[str, StringConstraints(pattern=r"^E-\d{2}$")]
    says: str
    fact: str
    evidence: str
    suite: str
