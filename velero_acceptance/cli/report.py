"""Commands about the reports of finished runs: make pages again, compare, verify."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from velero_acceptance.core.errors import EXIT_FAILED

if TYPE_CHECKING:
    from velero_acceptance.report.changes import Changes

app = typer.Typer(no_args_is_help=True, help="Reports of finished runs.")
# A file or a pipe has no width.
console = Console(highlight=False, width=None if sys.stdout.isatty() else 150)
RunFolder = Annotated[str, typer.Argument(help="A report folder, or its name below reports/.")]
STYLES = {"worse": "red", "better": "green"}


def _folder(run: str) -> Path:
    from velero_acceptance.core.settings import Settings
    from velero_acceptance.report.folders import folder_of

    return folder_of(run, Settings.read().reports)


@app.command()
def html(run: RunFolder = "latest") -> None:
    """Make traceability.html again from traceability.json."""
    from velero_acceptance.report import folders, outputs

    folder = _folder(run)
    console.print(f"made {outputs.write_html(folders.read(folder), folder)}", soft_wrap=True)


@app.command()
def allure(run: RunFolder = "latest") -> None:
    """Make allure.html from the run's Allure results, with npm's allure; needs Node 20 or later."""
    from velero_acceptance.report.allure import generate

    console.print(f"made {generate(_folder(run))}", soft_wrap=True)


@app.command()
def diff(before: RunFolder, after: RunFolder) -> None:
    """Show what changed between two runs; exit code 1 when something got worse."""
    from velero_acceptance.report import folders
    from velero_acceptance.report.changes import compare

    changes = compare(folders.read(_folder(before)), folders.read(_folder(after)))
    console.print(_table(changes))
    if changes.leaks:
        count = f"{abs(changes.leaks)} {'more' if changes.leaks > 0 else 'fewer'}"
        console.print(f"left behind: {count}", style="red" if changes.leaks > 0 else "green")
    console.print("something got worse" if changes.worse else "nothing got worse")
    raise typer.Exit(EXIT_FAILED if changes.worse else 0)


@app.command()
def controls() -> None:
    """Print which criteria give evidence for which control, as a Markdown table."""
    from velero_acceptance.criteria import controls as mapping
    from velero_acceptance.criteria.load import load

    sys.stdout.write(mapping.markdown(mapping.load(load())))


def verify(
    run: RunFolder = "latest",
    key: Annotated[Path | None, typer.Option(help="The signer's public key; your own without.")] = None,
) -> None:
    """Verify a run's signature, the digest of every file of evidence, and the chain to the runs before it.

    Exit code 1 when something was altered, 2 when there is nothing to verify with.
    """
    from velero_acceptance.report.attestation import keys
    from velero_acceptance.report.attestation.verify import verify as verified

    found = verified(_folder(run), keys.verifier(key or keys.public_path()))
    if found.run:
        console.print(found.run, markup=False)
    for problem in found.problems:
        print(f"acceptance: {problem}", file=sys.stderr)
    if found.problems:
        raise typer.Exit(EXIT_FAILED)
    console.print(f"signature, {found.files} files and a chain of {found.runs} runs verified")
    for note in found.notes:
        console.print(note)


def _table(changes: Changes) -> Table:
    table = Table(
        "", "criterion", changes.before, changes.after, "measurements, faults caught", box=None, pad_edge=False
    )
    for change in changes.criteria:
        details = [f"{m.name} {m.before:.4g} → {m.after:.4g} {m.unit} ({m.trend})" for m in change.moved]
        details += [f"faults caught {change.caught}"] if change.caught else []
        style = STYLES.get(change.trend, "dim")
        table.add_row(change.trend, change.criterion, change.before, change.after, "\n".join(details), style=style)
    return table
