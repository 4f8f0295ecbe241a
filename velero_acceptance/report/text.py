"""The report as a table on the console and as Markdown for a pull request."""

from __future__ import annotations

from collections.abc import Iterable

from rich.table import Table
from rich.text import Text

from velero_acceptance.evidence.verdicts import ORDER, Verdict
from velero_acceptance.report import formatting
from velero_acceptance.report.build import CriterionRow, MeasurementRow, Report

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
    if row.verdict not in (Verdict.VERIFIED, Verdict.EXTRAPOLATED):
        return ""
    caught = row.negative_proof
    return f"caught {caught.killed}/{caught.seeded}" if caught.status == "PROVEN" else "UNPROVEN"


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
    run, summary = report.run, report.summary
    counts = ", ".join(f"{count} {verdict}" for verdict, count in summary.verdicts.items())
    lines = [
        f"# Acceptance run {run.id}",
        "",
        f"{summary.criteria} criteria: {counts}.",
        f"Target {run.target}, profile {run.profile}, {run.seconds:.0f} s, started {run.started}.",
        "",
        "| requirement | | verdict |",
        "|---|---|---|",
        *(f"| {r.id} | {r.title} | {r.verdict} |" for r in summary.requirements),
        "",
        "| criterion | verdict | measured | seeded faults |",
        "|---|---|---|---|",
        *(
            f"| {row.id} | {row.verdict} | {_cell(measured(row) or formatting.cut(row.reason, TEXT))} | {proof(row)} |"
            for row in report.criteria
        ),
        "",
    ]
    if summary.leaks:
        shown = summary.leaks[:LISTED]
        more = [f"- and {len(summary.leaks) - LISTED} more"] if len(summary.leaks) > LISTED else []
        lines += ["## Left behind", "", *(f"- {formatting.cut(leak, TEXT)}" for leak in shown), *more, ""]
    if summary.foreign_changes:
        shown = [f"- {formatting.cut(change, TEXT)}" for change in summary.foreign_changes[:LISTED]]
        lines += ["## Changed outside the suite", "", *shown, ""]
    known = (f"- {name}: {formatting.cut(value, TEXT)}" for name, value in report.environment.items())
    lines += ["## Environment", "", *known, ""]
    # What is not green comes first, so that it is not cut off.
    ran = sorted((row for row in report.criteria if row.scenarios), key=lambda row: ORDER.index(row.verdict))
    return _fitting("\n".join(lines), ["\n".join(_details(row)) for row in ran])


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


def _details(row: CriterionRow) -> list[str]:
    lines = [f"## {row.id} {row.verdict}", "", row.text, ""]
    if row.reason:
        lines += [f"*{formatting.cut(row.reason, TEXT)}*", ""]
    for scenario in row.scenarios:
        mark = " (seeded fault)" if scenario.negative else ""
        lines.append(f"- **{scenario.name}**{mark}: {scenario.outcome}, {scenario.seconds:.1f} s")
        lines += [f"  - {o.name}: {o.value} {o.unit}".rstrip() for o in scenario.observations]
        if scenario.error:
            last = scenario.steps[-1].text if scenario.steps else "before the first step"
            lines.append(f"  - {last}: {_cell(formatting.cut(scenario.error.splitlines()[0], TEXT))}")
    lines.append("")
    for erratum in row.errata:
        lines.append(f"> Erratum {erratum.id}: the design says “{erratum.says}” {erratum.fact} {erratum.suite}")
    return [*lines, ""]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
