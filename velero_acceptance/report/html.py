"""traceability.html: the report as one file that opens anywhere, makes no request and prints.

Everything that comes from a run is escaped, and a policy in the page allows no other script or style.
"""

import base64
import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from velero_acceptance.core.units import size
from velero_acceptance.criteria.controls import Control
from velero_acceptance.criteria.models import Erratum
from velero_acceptance.evidence.verdicts import GREEN, NOT_GREEN, ORDER, Verdict, worst
from velero_acceptance.report import formatting
from velero_acceptance.report.build import CriterionRow, MeasurementRow, Report
from velero_acceptance.report.changes import Trend, compare

FOLDER = Path(__file__).with_name("page")
# Limits of what one page shows; traceability.json has everything.
TEXT, LINE, STEPS, SCENARIOS, LISTED = 4000, 400, 60, 40, 80
# The sign of each verdict, in the order of the overview: what holds, what was not run, what is not green.
MARKS = {
    Verdict.VERIFIED: "✓",
    Verdict.EXTRAPOLATED: "≈",
    Verdict.WAIVED: "⚑",
    Verdict.NOT_RUN: "–",
    Verdict.NOT_COVERED: "○",
    Verdict.INCONCLUSIVE: "?",
    Verdict.BLOCKED: "■",
    Verdict.FAILED: "✕",
}
# The bar of a measurement, in pixels; the template draws it.
WIDTH = 160.0
# The length of the bar relative to the greatest number.
ROOM = 1.15
# The least width of a value, so that it is visible.
NARROWEST = 2.0


@dataclass(frozen=True)
class Chart:
    """Positions on a bar of WIDTH, in pixels. *low* and *high*: the interval of a prediction."""

    zone_from: float
    zone_to: float
    limit: float
    value: float
    exact: bool
    low: float | None = None
    high: float | None = None


def chart(measurement: MeasurementRow) -> Chart:
    """The bar of a measurement; it starts at 0, also for negative values."""
    known = measurement.extrapolation
    value = known.prediction if known else measurement.value
    top = max(measurement.limit, value, known.high if known else 0.0) * ROOM or 1.0

    def place(number: float) -> float:
        return round(min(max(number / top, 0.0), 1.0) * WIDTH, 1)

    limit = place(measurement.limit)
    below, above = measurement.comparator.startswith("<"), measurement.comparator.startswith(">")
    return Chart(
        zone_from=limit if above else 0.0,
        zone_to=limit if below else WIDTH if above else 0.0,
        limit=limit,
        value=max(place(value), NARROWEST),
        exact=not (below or above),
        low=place(known.low) if known else None,
        high=place(known.high) if known else None,
    )


@dataclass(frozen=True)
class Headline:
    """The first line: whether the run is green. *tone* is good, bad, unsure or none."""

    tone: str
    text: str
    detail: str


def page(report: Report, before: Report | None = None) -> str:
    """The page; *before* is the run to compare with."""
    style, script = ((FOLDER / name).read_text() for name in ("report.css", "report.js"))
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
        size=size,
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
        WIDTH=WIDTH, STEPS=STEPS, SCENARIOS=SCENARIOS, LISTED=LISTED, GOOD=GREEN, ORDER=list(MARKS), Trend=Trend
    )
    return templates.get_template("report.html.j2").render(
        report=report,
        run=report.run,
        headline=headline(report),
        finished=finished(report),
        attention=sorted(
            (row for row in report.criteria if row.verdict in NOT_GREEN), key=lambda row: ORDER.index(row.verdict)
        ),
        unseen=[row for row in report.criteria if not row.ran],
        groups=[
            (requirement, [row for row in report.criteria if row.requirement == requirement.id])
            for requirement in report.summary.requirements
        ],
        changes=compare(before, report) if before else None,
        before=before,
        controls=[(control, *_evidence(control, report)) for control in report.controls],
        errata=_errata(report),
        style=style,
        script=script,
        policy=f"default-src 'none'; style-src {_digest(style)}; script-src {_digest(script)}; "
        "img-src data:; base-uri 'none'; form-action 'none'",
    )


def finished(report: Report) -> datetime:
    return datetime.fromisoformat(report.run.started).astimezone(UTC) + timedelta(seconds=report.run.seconds)


def headline(report: Report) -> Headline:
    ran = [row for row in report.criteria if row.ran]
    counts = {verdict: sum(row.verdict is verdict for row in report.criteria) for verdict in Verdict}
    wrong = [f"{counts[verdict]} {verdict.lower()}" for verdict in NOT_GREEN if counts[verdict]]
    if leaks := len(report.summary.leaks):
        wrong.append(f"{leaks} left behind")
    if report.run.interrupted:
        wrong.append("the run was interrupted")
    good = sum(row.verdict in GREEN for row in ran)
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
    """The most telling measurement: one that breaks its limit, else a time, else the nearest to its limit."""
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


def _evidence(control: Control, report: Report) -> tuple[list[CriterionRow], Verdict | None]:
    """The criteria that give evidence for a control, and the worst of their verdicts."""
    rows = [row for row in report.criteria if row.id in control.criteria]
    return rows, worst(row.verdict for row in rows) if rows else None


def _errata(report: Report) -> list[tuple[Erratum, list[str]]]:
    """The errata of criteria, each with the ids of its criteria."""
    found: dict[str, tuple[Erratum, list[str]]] = {}
    for row in report.criteria:
        for erratum in row.errata:
            found.setdefault(erratum.id, (erratum, []))[1].append(row.id)
    return [found[name] for name in sorted(found)]


def _digest(text: str) -> str:
    """The source expression by which a content security policy allows *text*."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
