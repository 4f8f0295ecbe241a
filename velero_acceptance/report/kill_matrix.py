"""The kill matrix: mutants by criteria, as JSON and as a Markdown page."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from velero_acceptance.core.errors import Refusal
from velero_acceptance.core.files import write_whole
from velero_acceptance.core.installation import ROOT

FILE = "kill-matrix.json"
# Of the last whole run, committed with the mutants.
RECORD = ROOT / "mutants" / FILE


@dataclass(frozen=True)
class RowResult:
    """A row under a mutant: the colour that was expected, what was seen, and why."""

    criterion: str
    expected: str
    seen: str
    reason: str = ""

    @property
    def right(self) -> bool:
        return self.expected == self.seen


@dataclass(frozen=True)
class MutantResult:
    """What became of a mutant; *seconds* are those of the run alone."""

    mutant: str
    title: str
    harmless: bool
    velero: str
    uploader: str
    date: str
    seconds: float
    rows: tuple[RowResult, ...] = field(default_factory=tuple)
    # Digest of text, steps and limits of each row, by which a later change is found.
    digests: Mapping[str, str] = field(default_factory=dict)

    @property
    def caught(self) -> bool:
        """Whether every row had the expected colour."""
        return all(row.right for row in self.rows)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(content: Mapping[str, Any]) -> MutantResult:
        return MutantResult(**{**content, "rows": tuple(RowResult(**row) for row in content["rows"])})


class MutantProof(BaseModel):
    """How many mutants must turn a criterion red, and did: *since* the oldest result, with these releases of Velero.

    *stale*: its text, its limits, its scenarios or their steps have changed since.
    """

    model_config = ConfigDict(extra="forbid")

    caught: int
    seeded: int
    since: str
    velero: list[str]
    stale: bool


def load_matrix(path: Path) -> dict[str, MutantResult]:
    """The last result of each mutant, by its id; none when there is no file yet. Raises Refusal for a malformed one."""
    if not path.exists():
        return {}
    try:
        return {item["mutant"]: MutantResult.from_json(item) for item in json.loads(path.read_text())}
    except (ValueError, TypeError, KeyError):
        raise Refusal(f"{path} is not a kill matrix: delete it, or restore it from Git") from None


def save_matrix(path: Path, results: Mapping[str, MutantResult]) -> None:
    content = [results[name].to_json() for name in sorted(results)]
    write_whole(path, json.dumps(content, indent=1) + "\n")


def mutant_proofs(results: Mapping[str, MutantResult], digests: Mapping[str, str]) -> dict[str, MutantProof]:
    """What the last results say about each criterion; *digests* are those of today."""
    return {name: proof for name, today in digests.items() if (proof := _proof(name, results.values(), today))}


def _proof(criterion: str, results: Iterable[MutantResult], today: str) -> MutantProof | None:
    """The mutants that must turn a criterion red; None when there is none."""
    seen = [(result, row) for result in results for row in result.rows if row.criterion == criterion]
    harmful = [(result, row) for result, row in seen if row.expected == "red"]
    if not harmful:
        return None
    return MutantProof(
        caught=sum(row.right for _, row in harmful),
        seeded=len(harmful),
        since=min(result.date for result, _ in harmful),
        velero=sorted({result.velero for result, _ in harmful}),
        stale=any(result.digests.get(criterion) != today for result, _ in harmful),
    )


def markdown(results: Mapping[str, MutantResult], known: Collection[str]) -> str:
    """The page: what was run of the *known* mutants, each with its rows, and the criteria with their mutants."""
    done = [results[name] for name in sorted(results)]
    harmful = [result for result in done if not result.harmless]
    harmless = [result for result in done if result.harmless]
    criteria = sorted({row.criterion for result in done for row in result.rows})
    lines = [
        "# Kill matrix",
        "",
        "Each mutant is a fault of the deployed system, seeded through Git, the API, S3 or a program in between.",
        "The rows it names run against it, without their own controls. `acceptance mutants --record`",
        "writes this page; the files of [mutants/](../mutants) say how each fault is made.",
        "",
        f"- Harmful: {sum(r.caught for r in harmful)} of {len(harmful)} seen as expected.",
        f"- Harmless: {sum(r.caught for r in harmless)} of {len(harmless)} left every row green.",
        f"- Without a result so far: {len(set(known) - set(results))} of {len(known)}.",
        "",
        "## Mutants",
        "",
        "| mutant | fault | rows | Velero | date | s |",
        "|---|---|---|---|---|---|",
        *(_line(result) for result in done),
        "",
        "## Criteria",
        "",
        "| criterion | turned red by | stayed green under |",
        "|---|---|---|",
        *(_criterion(criterion, done) for criterion in criteria),
        "",
    ]
    return "\n".join(lines)


def _line(result: MutantResult) -> str:
    rows = ", ".join(
        f"{row.criterion} {row.seen}" + ("" if row.right else f" (**expected {row.expected}**)") for row in result.rows
    )
    velero = f"{result.velero}, {result.uploader}"
    return f"| `{result.mutant}` | {result.title} | {rows} | {velero} | {result.date} | {result.seconds:.0f} |"


def _criterion(criterion: str, done: Iterable[MutantResult]) -> str:
    def names(colour: str) -> str:
        found = [
            f"`{result.mutant}`"
            for result in done
            for row in result.rows
            if row.criterion == criterion and row.seen == row.expected == colour
        ]
        return ", ".join(found) or "–"

    return f"| {criterion} | {names('red')} | {names('green')} |"
