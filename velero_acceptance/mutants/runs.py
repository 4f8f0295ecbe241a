"""Run the rows that a mutant names, and compare their colours with what it expects."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from velero_acceptance.core.errors import AcceptanceError
from velero_acceptance.core.installation import ROOT
from velero_acceptance.core.programs import execute
from velero_acceptance.core.waiting import Deadline
from velero_acceptance.evidence.verdicts import Verdict
from velero_acceptance.mutants.faults import DeployedSystem, seeded, wait_healthy
from velero_acceptance.mutants.models import Mutant
from velero_acceptance.report.kill_matrix import MutantResult, RowResult

# The longest that a run against a broken deployment may take.
MOST_SECONDS = 180.0
# Of timed runs: what a fault costs shows in less data, but restores of even less take no longer the more there is.
DATA_SIZE = "128MiB"


def judge_mutant(mutant: Mutant, system: DeployedSystem, reports: Path, digests: Mapping[str, str]) -> MutantResult:
    """Seed the fault, run its rows, undo it, and wait until the system is healthy again.

    Raises AcceptanceError when the fault cannot be made or undone, or the run gives no report.
    """
    name = f"{mutant.id[:16].rstrip('-')}-{datetime.now(UTC):%H%M%S}"
    try:
        with seeded(mutant, system):
            clock = Deadline(0)
            printed = _pytest(mutant.rows, name, system)
            seconds = clock.elapsed
    finally:
        wait_healthy(system)
    report = reports / name / "traceability.json"
    if not report.exists():
        raise AcceptanceError(f"the run gave no report: {(printed.strip().splitlines() or ['it said nothing'])[-1]}")
    content = json.loads(report.read_text())
    return MutantResult(
        mutant.id,
        mutant.title,
        mutant.harmless,
        system.velero.image().rpartition(":")[2],
        str(system.environment.uploader),
        f"{datetime.now(UTC):%Y-%m-%d}",
        round(seconds, 1),
        tuple(_results(mutant, content["criteria"])),
        {row: digests[row] for row in mutant.rows},
    )


def _pytest(rows: Iterable[str], name: str, system: DeployedSystem) -> str:
    """Run the scenarios of *rows* without their own controls; return what pytest printed."""
    chosen = f"({' or '.join(rows)}) and not negative"
    call = ["-m", "pytest", "features", f"--target={system.environment.target}", f"--run-id={name}"]
    environment = {key: value for key, value in os.environ.items() if key != "ACCEPTANCE_RUN_ID"}
    limit = system.timeouts["mutant_run"]
    return execute(
        sys.executable,
        *call,
        "--stop-at-verdict",
        f"--data-size={DATA_SIZE}",
        "-q",
        "-m",
        chosen,
        timeout=limit,
        folder=ROOT,
        environment=environment,
    ).text


def _results(mutant: Mutant, criteria: Iterable[Mapping[str, Any]]) -> Iterable[RowResult]:
    found = {item["id"]: item for item in criteria}
    for row in mutant.rows:
        item = found[row]
        yield RowResult(row, "red" if row in mutant.red else "green", *_colour(item))


def _colour(item: Mapping[str, Any]) -> tuple[str, str]:
    """red, green, or the verdict that is neither; and the first sentence of why."""
    outcomes = {scenario["outcome"] for scenario in item["scenarios"] if scenario["outcome"] != "skipped"}
    if item["verdict"] == Verdict.FAILED:
        return "red", str(item["reason"])
    if outcomes == {"passed"}:
        return "green", ""
    return str(item["verdict"]).lower(), str(item["reason"])
