"""The report as a table on the console and as Markdown for a pull request."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from velero_acceptance.evidence.verdicts import ORDER, Verdict
from velero_acceptance.report import formatting
from velero_acceptance.report.build import CriterionRow, MeasurementRow, Report

FOLDER = Path(__file__).with_name("page")
# GitHub accepts comments of up to 65,536 characters; the rest is for text around the report.
LONGEST = 65_000
# The longest line, and the longest list of resources left behind.
TEXT, LISTED = 500, 50
STYLES = {
    Verdict.VERIFIED: "green",
    Verdict.FAILED: "bold red",
    Verdict.BLOCKED: "red",
    Verdict.INCONCLUSIVE: "yellow",
    Verdict.EXTRAPOLATED: "yellow",
}


def console_table(report: Report) -> Table:
    """One row for each criterion: verdict, measurements against their limits, seeded faults."""
    table = Table("criterion", "verdict", "measured", "seeded faults", box=None, pad_edge=False)
    for row in report.criteria:
        style = STYLES.get(row.verdict, "dim")
        table.add_row(
            row.id, Text(row.verdict, style=style), measured(row) or Text(row.reason, style="dim"), proof(row)
        )
    return table


def measured(row: CriterionRow) -> str:
    """Every threshold with its worst value, e.g. ``initiation 0.2 ≤ 30 s``."""
    return ", ".join(map(_short, row.decisive()))


def proof(row: CriterionRow) -> str:
    """The proof that a green row's checks detect faults."""
    if row.verdict not in (Verdict.VERIFIED, Verdict.EXTRAPOLATED, Verdict.STALE):
        return ""
    caught, mutants = row.negative_proof, row.mutants
    own = f"caught {caught.killed}/{caught.seeded}" if caught.status == "PROVEN" else "UNPROVEN"
    return f"{own}, mutants {mutants.caught}/{mutants.seeded}" if mutants else own


def _short(measurement: MeasurementRow) -> str:
    sign = formatting.sign(measurement.comparator)
    if known := measurement.extrapolation:
        interval = f"({known.low:.0f} to {known.high:.0f}, from {known.reached:.3g} {known.unit})"
        limit = f"{measurement.limit:g} {measurement.unit}"
        return f"{measurement.name} {known.prediction:.0f} {interval} {sign} {limit}{'' if measurement.holds else ' ✗'}"
    value = f"{measurement.value:.4g}"
    if measurement.comparator == "==" and measurement.holds:
        return f"{measurement.name} {value} {measurement.unit}"
    note = "" if measurement.holds else " ✗" if measurement.decides else " (reported)"
    return f"{measurement.name} {value} {sign} {measurement.limit:g} {measurement.unit}{note}"


def markdown(report: Report) -> str:
    """The report as Markdown, with the result first; it fits in a comment of a pull request."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # collection does not need it

    templates = Environment(
        loader=FileSystemLoader(FOLDER), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    templates.filters.update(
        measured=measured,
        proof=proof,
        cut=lambda text: formatting.cut(text, TEXT),
        cell=lambda text: text.replace("|", "\\|").replace("\n", " "),
    )
    templates.globals.update(LISTED=LISTED)
    macros: Any = templates.get_template("report.md.j2").module
    # What is not green comes first, so that it is not cut off.
    ran = sorted((row for row in report.criteria if row.scenarios), key=lambda row: ORDER.index(row.verdict))
    return _fitting(macros.head(report), [macros.details(row) for row in ran])


def _fitting(head: str, parts: Iterable[str]) -> str:
    """*head* and as many of *parts* as fit, with a note about the others."""
    note = "\n*The details of {} more criteria did not fit; traceability.html has them.*\n"
    text, left_out = head[: LONGEST - len(note)], 0
    for part in parts:
        if left_out or len(text) + len(part) + len(note) > LONGEST:
            left_out += 1
        else:
            text += f"\n{part}"
    return text + note.format(left_out) if left_out else text
