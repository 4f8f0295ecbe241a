"""The report as a table on the console and as Markdown for a pull request."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from acceptance.evidence.verdicts import Verdict
from acceptance.traceability.report import CriterionRow, MeasurementRow, Report

STYLES = {
    Verdict.VERIFIED: "green",
    Verdict.FAILED: "bold red",
    Verdict.BLOCKED: "red",
    Verdict.INCONCLUSIVE: "yellow",
    Verdict.EXTRAPOLATED: "yellow",
    Verdict.STALE: "yellow",
}


def console_table(report: Report) -> Table:
    """One row a criterion: verdict, what was measured against the limits, what it would have caught."""
    table = Table("criterion", "verdict", "measured", "seeded faults", box=None, pad_edge=False)
    for row in report.criteria:
        style = STYLES.get(row.verdict, "dim")
        table.add_row(
            row.id, Text(row.verdict, style=style), measured(row) or Text(row.reason, style="dim"), proof(row)
        )
    return table


def measured(row: CriterionRow) -> str:
    """Every threshold with its worst value, e.g. ``initiation 0.2 ≤ 30 s``."""
    names = list(dict.fromkeys(measurement.name for measurement in row.measurements))
    return ", ".join(_short(_worst(row, name)) for name in names)


def proof(row: CriterionRow) -> str:
    """What a green row would have caught."""
    if row.verdict not in (Verdict.VERIFIED, Verdict.EXTRAPOLATED):
        return ""
    caught = row.negative_proof
    return f"caught {caught.killed}/{caught.seeded}" if caught.status == "PROVEN" else "UNPROVEN"


def _worst(row: CriterionRow, name: str) -> MeasurementRow:
    return min((m for m in row.measurements if m.name == name), key=lambda measurement: measurement.margin)


def _short(measurement: MeasurementRow) -> str:
    sign = {"<=": "≤", ">=": "≥", "==": "="}.get(measurement.comparator, measurement.comparator)
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
    """The report as Markdown; the first lines say the result."""
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
            f"| {row.id} | {row.verdict} | {_cell(measured(row) or row.reason)} | {proof(row)} |"
            for row in report.criteria
        ),
        "",
    ]
    if summary.leaks:
        lines += ["## Left behind", "", *(f"- {leak}" for leak in summary.leaks), ""]
    if summary.foreign_changes:
        lines += ["## Changed, and not the suite's own", "", *(f"- {change}" for change in summary.foreign_changes), ""]
    shown = [row for row in report.criteria if row.scenarios]
    for row in shown:
        lines += _details(row)
    lines += ["## Environment", "", *(f"- {name}: {value}" for name, value in report.environment.items()), ""]
    return "\n".join(lines)


def _details(row: CriterionRow) -> list[str]:
    lines = [f"## {row.id} {row.verdict}", "", row.text, ""]
    if row.reason:
        lines += [f"*{row.reason}*", ""]
    for scenario in row.scenarios:
        mark = " (seeded fault)" if scenario.negative else ""
        lines.append(f"- **{scenario.name}**{mark}: {scenario.outcome}, {scenario.seconds:.1f} s")
        lines += [f"  - {o.name}: {o.value} {o.unit}".rstrip() for o in scenario.observations]
        if scenario.error:
            last = scenario.steps[-1].text if scenario.steps else "before the first step"
            lines.append(f"  - {last}: {_cell(scenario.error.splitlines()[0])}")
    lines.append("")
    for erratum in row.errata:
        lines.append(f"> Erratum {erratum.id}: the design says “{erratum.says}” {erratum.fact} {erratum.suite}")
    return [*lines, ""]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
