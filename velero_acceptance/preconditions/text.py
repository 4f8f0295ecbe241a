"""The diagnosis as tables on the console."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from velero_acceptance.core.settings import Profile
from velero_acceptance.preconditions.diagnosis import Diagnosis
from velero_acceptance.preconditions.findings import State

STYLES = {State.FINE: "green", State.NOTE: "yellow", State.BROKEN: "bold red"}
CELLS = {"all": "green", "no": "red", "–": "dim"}
SHOWN = 6


def show(diagnosis: Diagnosis, console: Console) -> None:
    for table in (_findings(diagnosis), _rights(diagnosis), _rows(diagnosis)):
        console.print(table, end="\n\n")
    whole = {p: sum(str(row.profiles[p]) == "all" for row in diagnosis.runnable) for p in Profile}
    counts = ", ".join(f"{count} under {profile}" for profile, count in whole.items())
    console.print(f"Of {len(diagnosis.runnable)} criteria can be verified in full: {counts}.")
    if broken := sum(finding.state is State.BROKEN for finding in diagnosis.findings):
        text = f"{broken} {'thing is' if broken == 1 else 'things are'} broken: see above."
        console.print(Text(text, style="bold red"))


def _findings(diagnosis: Diagnosis) -> Table:
    table = Table("topic", "", "found", box=None, pad_edge=False)
    last = ""
    for finding in diagnosis.findings:
        topic = "" if finding.topic == last else finding.topic
        table.add_row(topic, Text(finding.state, STYLES[finding.state]), Text(finding.text))
        last = finding.topic
    return table


def _rights(diagnosis: Diagnosis) -> Table:
    table = Table("profile", "rights of the account", box=None, pad_edge=False)
    for profile, denied in diagnosis.permissions.items():
        if not denied:
            table.add_row(profile, Text("all that it needs", "green"))
            continue
        more = f" and {len(denied) - SHOWN} more" if len(denied) > SHOWN else ""
        table.add_row(profile, Text(f"missing: {', '.join(map(str, denied[:SHOWN]))}{more}", "yellow"))
    return table


def _rows(diagnosis: Diagnosis) -> Table:
    table = Table("criterion", *Profile, "why not", box=None, pad_edge=False)
    for row in diagnosis.runnable:
        shown = (str(row.profiles[profile]) for profile in Profile)
        cells = [Text(cell, CELLS.get(cell, "yellow")) for cell in shown]
        table.add_row(row.criterion, *cells, "no feature yet" if row.planned else Text("\n".join(row.reasons)))
    return table
