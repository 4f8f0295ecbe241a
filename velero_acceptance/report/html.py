"""traceability.html: the report as one file that opens anywhere, makes no request and prints.

Everything that comes from a run is escaped, and a policy in the page lets no other script or style in.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from velero_acceptance.criteria.controls import Control
from velero_acceptance.criteria.models import Erratum
from velero_acceptance.evidence.verdicts import ORDER, Verdict, worst
from velero_acceptance.report import formatting
from velero_acceptance.report.build import CriterionRow, MeasurementRow, Report, RequirementRow
from velero_acceptance.report.changes import Trend, compare
from velero_acceptance.report.charts import WIDTH, chart

FOLDER = Path(__file__).with_name("page")
# Bounds of what one page shows; the whole is in traceability.json.
TEXT, LINE, STEPS, SCENARIOS, LISTED = 4000, 400, 60, 40, 80
GOOD = (Verdict.VERIFIED, Verdict.EXTRAPOLATED, Verdict.WAIVED)
# The sign of each verdict, in the order of the overview: what holds, what was not looked at, what is not green.
MARKS = {
    Verdict.VERIFIED: "✓",
    Verdict.EXTRAPOLATED: "≈",
    Verdict.WAIVED: "⚑",
    Verdict.NOT_RUN: "–",
    Verdict.NOT_COVERED: "○",
    Verdict.STALE: "◷",
    Verdict.INCONCLUSIVE: "?",
    Verdict.BLOCKED: "■",
    Verdict.FAILED: "✕",
}


@dataclass(frozen=True)
class Headline:
    """The first line: is it green. *tone* is good, bad, unsure or none."""

    tone: str
    text: str
    detail: str


def page(report: Report, before: Report | None = None) -> str:
    """The page; *before* is the run that it is compared with."""
    changes = compare(before, report) if before else None
    style, script = _inline("report.css"), _inline("report.js")
    return (
        _templates()
        .get_template("report.html.j2")
        .render(
            report=report,
            run=report.run,
            headline=headline(report),
            finished=finished(report),
            attention=_attention(report),
            unseen=[row for row in report.criteria if not row.ran],
            groups=_groups(report),
            changes=changes,
            before=before,
            controls=[(control, *_evidence(control, report)) for control in report.controls],
            errata=_errata(report),
            style=style,
            script=script,
            policy=f"default-src 'none'; style-src {_digest(style)}; script-src {_digest(script)}; "
            "img-src data:; base-uri 'none'; form-action 'none'",
        )
    )


def finished(report: Report) -> datetime:
    """When the run ended: the youngest its evidence can be."""
    return datetime.fromisoformat(report.run.started).astimezone(UTC) + timedelta(seconds=report.run.seconds)


def headline(report: Report) -> Headline:
    """One sentence for somebody who was not there."""
    ran = [row for row in report.criteria if row.ran]
    counts = {verdict: sum(row.verdict is verdict for row in report.criteria) for verdict in Verdict}
    wrong = [f"{count} {verdict.lower()}" for verdict, count in counts.items() if count and verdict not in GOOD]
    wrong = [text for text in wrong if not text.endswith(("not-run", "not-covered"))]
    if leaks := len(report.summary.leaks):
        wrong.append(f"{leaks} left behind")
    if report.run.interrupted:
        wrong.append("the run was interrupted")
    good = sum(row.verdict in GOOD for row in ran)
    detail = f"{good} of {len(ran)} criteria that were run hold; the register has {len(report.criteria)}."
    if wrong:
        only_unsure = not (counts[Verdict.FAILED] or counts[Verdict.BLOCKED] or leaks or report.run.interrupted)
        return Headline("unsure" if only_unsure else "bad", f"Not green: {', '.join(wrong)}", detail)
    if not ran:
        return Headline("none", "Nothing was run", detail)
    if report.run.exit_status:
        return Headline("bad", f"Not green: the run ended with exit code {report.run.exit_status}", detail)
    marks = ", ".join(f"{counts[v]} {v.lower()}" for v in (Verdict.EXTRAPOLATED, Verdict.WAIVED) if counts[v])
    return Headline("good", f"Green{f', {marks}' if marks else ''}", detail)


def tightest(row: CriterionRow) -> MeasurementRow | None:
    """The measurement that says most: one that breaks its limit, else a time, else the nearest to its limit."""
    ranged = [m for m in row.decisive() if m.comparator != "==" and m.decides]
    return min(ranged, key=lambda m: (m.holds, m.unit != "s", _share(m)), default=None)


def margin(measurement: MeasurementRow) -> str:
    """The distance to the limit, in its unit and as a share of it."""
    if measurement.comparator == "==":
        return "exact" if measurement.holds else formatting.quantity(measurement.margin, measurement.unit)
    share = f" ({_share(measurement):.0%})" if abs(_share(measurement)) < 10 else ""
    return formatting.quantity(measurement.margin, measurement.unit) + share


def _share(measurement: MeasurementRow) -> float:
    return measurement.margin / abs(measurement.limit) if measurement.limit else measurement.margin


def _attention(report: Report) -> list[CriterionRow]:
    """What was run and does not hold, the worst first."""
    rows = [row for row in report.criteria if row.ran and row.verdict not in GOOD]
    return sorted(rows, key=lambda row: ORDER.index(row.verdict))


def _groups(report: Report) -> list[tuple[RequirementRow, list[CriterionRow]]]:
    return [
        (requirement, [row for row in report.criteria if row.requirement == requirement.id])
        for requirement in report.summary.requirements
    ]


def _evidence(control: Control, report: Report) -> tuple[list[CriterionRow], Verdict | None]:
    """The rows that give evidence for a control, and the worst of their verdicts."""
    rows = [row for row in report.criteria if row.id in control.criteria]
    return rows, worst(row.verdict for row in rows) if rows else None


def _errata(report: Report) -> list[tuple[Erratum, list[str]]]:
    """The errata that touch a criterion, each with the criteria it touches."""
    known = {erratum.id: erratum for row in report.criteria for erratum in row.errata}
    touched = {name: [row.id for row in report.criteria if name in {e.id for e in row.errata}] for name in known}
    return [(known[name], touched[name]) for name in sorted(known)]


def _templates() -> Environment:
    templates = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters.update(
        quantity=formatting.quantity,
        number=formatting.number,
        duration=formatting.duration,
        size=formatting.size,
        sign=formatting.sign,
        cut=lambda text: formatting.cut(text, TEXT),
        line=lambda text: formatting.cut(text, LINE),
        spaced=lambda name: name.replace("_", " "),
        chart=chart,
        margin=margin,
        tightest=tightest,
        href=quote,
        mark=lambda verdict: MARKS[Verdict(verdict)],
        utc=lambda moment: f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC",
        iso=lambda moment: moment.astimezone(UTC).isoformat(timespec="seconds"),
    )
    templates.globals.update(
        WIDTH=WIDTH, STEPS=STEPS, SCENARIOS=SCENARIOS, LISTED=LISTED, GOOD=GOOD, ORDER=list(MARKS), Trend=Trend
    )
    return templates


def _inline(name: str) -> str:
    return (FOLDER / name).read_text()


def _digest(text: str) -> str:
    """The source expression by which a content security policy lets *text* in."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
