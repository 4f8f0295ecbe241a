"""The diagnosis for people."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from velero_acceptance.core.settings import Profile
from velero_acceptance.preconditions.diagnosis import Diagnosis
from velero_acceptance.preconditions.findings import State

STYLES = {State.FINE: "green", State.NOTE: "yellow", State.BROKEN: "bold red"}
CELLS = {"all": "green", "no": "red", "–": "dim", "read-only": "yellow"}
SHOWN = 6


def show(diagnosis: Diagnosis, console: Console) -> None:
    """Print the diagnosis."""
    for part in _parts(diagnosis):
        console.print(part)


def _parts(diagnosis: Diagnosis) -> Iterator[RenderableType]:
    yield _findings(diagnosis)
    yield ""
    yield _rights(diagnosis)
    yield ""
    yield _rows(diagnosis)
    broken = sum(finding.state is State.BROKEN for finding in diagnosis.findings)
    whole = {p: sum(str(row.profiles[p]) == "all" for row in diagnosis.runnable) for p in Profile}
    counts = ", ".join(f"{count} under {profile}" for profile, count in whole.items())
    yield f"\nOf {len(diagnosis.runnable)} criteria can be verified in full: {counts}."
    if broken:
        yield Text(f"{broken} {'thing is' if broken == 1 else 'things are'} broken: see above.", style="bold red")


def _findings(diagnosis: Diagnosis) -> Table:
    table = Table("topic", "", "found", box=None, pad_edge=False)
    last = ""
    for finding in diagnosis.findings:
        table.add_row(
            "" if finding.topic == last else finding.topic,
            Text(finding.state, STYLES[finding.state]),
            Text(finding.text),
        )
        last = finding.topic
    return table


def _rights(diagnosis: Diagnosis) -> Table:
    table = Table("profile", "rights of the account", box=None, pad_edge=False)
    for profile, lacking in diagnosis.permissions.items():
        if not lacking:
            table.add_row(profile, Text("all that it needs", "green"))
            continue
        more = f" and {len(lacking) - SHOWN} more" if len(lacking) > SHOWN else ""
        table.add_row(profile, Text(f"missing: {', '.join(map(str, lacking[:SHOWN]))}{more}", "yellow"))
    return table


def _rows(diagnosis: Diagnosis) -> Table:
    table = Table("criterion", *Profile, "why not", box=None, pad_edge=False)
    for row in diagnosis.runnable:
        cells = [
            Text(str(row.profiles[profile]), CELLS.get(str(row.profiles[profile]), "yellow")) for profile in Profile
        ]
        table.add_row(row.criterion, *cells, "no feature yet" if row.planned else Text("\n".join(row.reasons)))
    return table
