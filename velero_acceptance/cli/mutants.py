"""`acceptance mutants`: seed faults in the lab, one after the other, and see whether the suite turns red."""

from __future__ import annotations

import signal
from collections.abc import Collection
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from velero_acceptance.cli.target import AnyTarget, TargetClients
from velero_acceptance.core.errors import AcceptanceError, Refusal
from velero_acceptance.core.installation import ROOT

if TYPE_CHECKING:
    from velero_acceptance.mutants.faults import DeployedSystem
    from velero_acceptance.mutants.models import Mutant

console = Console(highlight=False)
PAGE = ROOT / "docs/kill-matrix.md"
THIRDS = 3


def mutants(
    names: Annotated[list[str] | None, typer.Argument(help="Mutants by id; without any all of them.")] = None,
    listed: Annotated[bool, typer.Option("--list", help="Only print them, with the rows they name.")] = False,
    third: Annotated[
        int | None, typer.Option(help="Only every third, counted by the day of the year from this number.", min=0)
    ] = None,
    record: Annotated[
        bool, typer.Option("--record", help="Keep the results in mutants/kill-matrix.json and docs/kill-matrix.md.")
    ] = False,
    target: AnyTarget = None,
) -> None:
    """Seed the faults of mutants/ in the lab or the kind cluster, run the rows they name, and undo them.

    A harmful one must turn its rows red, a harmless one must leave them green. Exit code 1 when one does not.
    """
    from velero_acceptance.criteria.load import load
    from velero_acceptance.mutants.models import load_mutants

    known = load_mutants(set(load().criteria))
    if unknown := [name for name in names or [] if name not in known]:
        raise Refusal(f"there is no mutant {unknown[0]}: `acceptance mutants --list` names them")
    chosen = [known[name] for name in names or known]
    if third is not None:
        chosen = [mutant for number, mutant in enumerate(chosen) if number % THIRDS == third % THIRDS]
    if listed:
        _print(chosen)
        return
    _run(chosen, known, _system(target), record=record)


def _print(chosen: list[Mutant]) -> None:
    table = Table("mutant", "fault", "red", "green", box=None)
    for mutant in chosen:
        table.add_row(mutant.id, mutant.title, " ".join(mutant.red), " ".join(mutant.green))
    console.print(table)


def _run(chosen: list[Mutant], known: Collection[str], system: DeployedSystem, *, record: bool) -> None:
    from velero_acceptance.gherkin.digests import digests
    from velero_acceptance.mutants.runs import MOST_SECONDS, judge_mutant
    from velero_acceptance.report.kill_matrix import FILE, RECORD, load_matrix, markdown, save_matrix

    # As Ctrl-C, or the fault that is seeded would stay.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    row_digests = digests()
    reports = ROOT / "reports"
    path = RECORD if record else reports / FILE
    results, wrong = load_matrix(path), []
    here = [mutant for mutant in chosen if mutant.uploader in (None, system.environment.uploader)]
    if left := len(chosen) - len(here):
        console.print(f"{left} are for another uploader than {system.environment.uploader}, and left out")
    for number, mutant in enumerate(here, start=1):
        console.print(f"{number}/{len(here)} {mutant.id}: {mutant.title}")
        try:
            result = judge_mutant(mutant, system, reports, row_digests)
        except AcceptanceError as error:
            wrong.append(mutant.id)
            console.print(f"  could not be judged: {error}", soft_wrap=True)
            continue
        results[mutant.id] = result
        save_matrix(path, results)
        for row in result.rows:
            mark = "" if row.right else f", expected {row.expected}"
            console.print(f"  {row.criterion} {row.seen}{mark}  {row.reason}", soft_wrap=True)
        late = f", more than {MOST_SECONDS:.0f} s" if result.seconds > MOST_SECONDS else ""
        console.print(f"  {'as expected' if result.caught else 'NOT as expected'}, {result.seconds:.0f} s{late}")
        if not result.caught:
            wrong.append(mutant.id)
    if record:
        PAGE.write_text(markdown(results, known))
    console.print(f"{len(here) - len(wrong)} of {len(here)} mutants as expected; the matrix is {path}")
    if wrong:
        raise AcceptanceError(f"not as expected: {', '.join(wrong)}")


def _system(target: str | None) -> DeployedSystem:
    """The lab or the kind cluster; raises Refusal for a cluster that is somebody's own."""
    from lab.facts import load
    from velero_acceptance.core.settings import Target
    from velero_acceptance.mutants.faults import DeployedSystem
    from velero_acceptance.target.selection import cluster_of

    place = TargetClients(target)
    if place.settings.target is Target.CURRENT:
        raise Refusal("mutants break the deployed system: they run on the lab or the kind cluster, not on yours")
    cluster = cluster_of(place.settings.target)
    facts = load(cluster.settings)
    if facts is None:
        raise Refusal(f"the {cluster.what} is not up: run `{cluster.command}`")
    return DeployedSystem(
        place.environment, place.timeouts, place.kubernetes, place.velero, place.bucket, cluster, facts
    )
