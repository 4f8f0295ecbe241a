"""The record of one scenario, a JSON file in ``reports/<run>/records``."""

from datetime import datetime
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel

from velero_acceptance.core.files import write_whole


class Outcome(StrEnum):
    """How a scenario ended. INTERRUPTED until it has ended."""

    PASSED = "passed"
    FAILED = "failed"
    BLOCKED = "blocked"
    INCONCLUSIVE = "inconclusive"
    SKIPPED = "skipped"
    INTERRUPTED = "interrupted"


class Extrapolation(BaseModel):
    """What a value was predicted from: *reached* of what the threshold *amount* asks for (*at*)."""

    amount: str
    unit: str
    at: float
    reached: float
    prediction: float
    low: float
    high: float


class Measurement(BaseModel):
    """A measured value against a limit of the register. *refuted*: seen to break it, as intended.

    With an *extrapolation* the value is the upper bound of what was predicted.
    """

    name: str
    value: float | None  # None: the event never came (only where a fault was seeded)
    unit: str
    comparator: str
    limit: float
    margin: float | None
    holds: bool
    decides: bool = True
    refuted: bool = False
    artefact: str | None = None
    extrapolation: Extrapolation | None = None


class Observation(BaseModel):
    """A value without a limit, for the reader."""

    name: str
    value: float | str
    unit: str = ""


class StepTime(BaseModel):
    """A step that was begun, and how long it took, in seconds."""

    text: str
    seconds: float = 0.0


class Artefact(BaseModel):
    """A file of evidence, by its path in the run's folder."""

    path: str
    sha256: str
    size: int


class Record(BaseModel):
    """One scenario: what it was, how it ended, what it measured."""

    node: str
    criterion: str
    feature: str
    scenario: str
    negative: bool
    # It only observed, which is less than the criterion asks for.
    passive: bool = False
    # Its context or lab: a run with workers has several labs.
    cluster: str = ""
    started: datetime
    seconds: float = 0.0
    outcome: Outcome = Outcome.INTERRUPTED
    error: str = ""
    steps: list[StepTime] = []
    measurements: list[Measurement] = []
    observations: list[Observation] = []
    artefacts: list[Artefact] = []
    accelerators: list[str] = []

    def save(self, folder: Path, name: str) -> None:
        write_whole(folder / f"{name}.json", self.model_dump_json(indent=1))


def load_all(folder: Path) -> list[Record]:
    """Every record of a run, in the order the scenarios started."""
    records = (Record.model_validate_json(path.read_text()) for path in folder.glob("*.json"))
    return sorted(records, key=lambda record: record.started)
