"""traceability.html without a browser: what it says, that it is escaped, alone and bounded.

lab/tests/test_pages.py clicks through it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.sample_runs import STARTED, report_of, row_of, scenarios
from velero_acceptance.criteria.load import load
from velero_acceptance.evidence.records import Artefact, Extrapolation, Observation, Outcome, StepTime, load_all
from velero_acceptance.report import formatting
from velero_acceptance.report.build import MeasurementRow, Report
from velero_acceptance.report.html import WIDTH, chart, headline, page

PLANTED = "<script>alert('planted')</script>\"'><img src=x onerror=planted()>"
BIGGEST = 4_000_000


class Elements(HTMLParser):
    """Every element of a page with its attributes, and the text of script and style."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.inline: dict[str, str] = {}
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attributes}))
        self._inside = tag if tag in ("script", "style") else ""

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.inline[self._inside] = self.inline.get(self._inside, "") + data

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002  the signature is HTMLParser's
        self._inside = ""

    def ids(self) -> set[str]:
        return {attributes["id"] for _, attributes in self.found if "id" in attributes}


def requests(text: str) -> list[str]:
    """What a page would ask somebody else for, or run that is not its own."""
    elements = Elements(text)
    found = [tag for tag, _ in elements.found if tag in ("link", "img", "iframe", "object", "embed", "base", "form")]
    for tag, attributes in elements.found:
        for name, value in attributes.items():
            runs = name in ("src", "srcset", "data", "action", "style", "xlink:href") or name.startswith("on")
            leaves = name == "href" and re.match(r"\s*(//|[a-z][a-z0-9+.-]*:)", value, re.I)
            if runs or leaves:
                found.append(f"{tag} {name}={value}")
    inline = "".join(elements.inline.values())
    return found + re.findall(r"url\(|@import|fetch\(|XMLHttpRequest|WebSocket|import\(", inline)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    scenarios(tmp_path, "AC-003-01", 3)
    return tmp_path


@pytest.fixture
def report(folder: Path) -> Report:
    return report_of(folder)


def test_the_first_heading_says_whether_it_is_green(report: Report) -> None:
    assert headline(report).text == "Green"
    assert "1 of 1 criteria that were run hold; the register has 45." in page(report)


def test_each_scenario_says_where_it_ran(report: Report) -> None:
    assert page(report).count("Ran on the cluster lab-2.") == len(row_of(report, "AC-003-01").scenarios)


def test_what_is_not_green_is_said_first(tmp_path: Path) -> None:
    scenarios(tmp_path, "AC-003-01", 31)
    found = report_of(tmp_path, leaks=("Backup acc-x",))
    assert headline(found).text == "Not green: 1 failed, 1 left behind"
    text = page(found)
    assert text.index("Backup acc-x") < text.index('id="criteria"')
    assert text.index("initiation is 31 s") < text.index('id="criteria"')


def test_an_interrupted_run_is_not_green_and_shows_what_there_is(folder: Path) -> None:
    record = load_all(folder / "records")[0]
    record.outcome, record.steps = Outcome.INTERRUPTED, record.steps[:1]
    record.save(folder / "records", "AC-003-01-0")
    found = report_of(folder, interrupted=True)
    assert headline(found).text == "Not green: 1 inconclusive, the run was interrupted"
    assert "o-interrupted" in page(found)


def test_a_run_of_nothing_is_not_green(tmp_path: Path) -> None:
    assert headline(report_of(tmp_path)).text == "Nothing was run"


def test_an_exit_code_without_a_red_row_is_not_green(report: Report) -> None:
    report.run.exit_status = 3
    assert headline(report).text == "Not green: the run ended with exit code 3"


def test_a_criterion_shows_its_whole_chain(report: Report) -> None:
    text = page(report)
    row = row_of(report, "AC-003-01")
    for shown in (
        row.text, "initiation", "≤ 30 s", "27 s (90%)", "An idle Velero starts a backup immediately",
        "1/1 faults caught",
        "initiation: never, which breaks ≤ 30 s", row.artefacts[0].sha256, f'href="{row.artefacts[0].path}"', "E-15",
        "SOC2-A1.2", "42 MB/s", "0.50 s",
    ):  # fmt: skip
        assert shown in text, shown


def test_every_link_within_the_page_leads_somewhere(report: Report) -> None:
    elements = Elements(page(report))
    targets = {a["href"][1:] for _, a in elements.found if a.get("href", "").startswith("#")}
    assert targets and targets <= elements.ids()
    assert set(load().criteria) <= elements.ids()


def test_nothing_of_a_run_becomes_markup(folder: Path) -> None:
    records = load_all(folder / "records")
    for number, record in enumerate(records):
        record.scenario = record.error = record.node = PLANTED
        record.outcome = Outcome.FAILED
        record.steps = [StepTime(text=PLANTED)]
        record.observations = [Observation(name=PLANTED, value=PLANTED, unit=PLANTED)]
        record.artefacts = [Artefact(path=f"javascript:{PLANTED}", sha256=PLANTED, size=1)]
        record.accelerators = [PLANTED]
        record.save(folder / "records", f"AC-003-01-{number}")
    found = report_of(folder, leaks=(PLANTED,), environment={PLANTED: PLANTED})
    found.run.command = found.run.commit = found.run.id = found.run.profile = PLANTED
    text = page(found, found.model_copy(deep=True))
    elements = Elements(text)
    assert [tag for tag, _ in elements.found].count("script") == 1
    assert requests(text) == []
    assert "planted" in text


@pytest.mark.parametrize(
    "planted",
    [
        '<img src="https://example.org/x.png">',
        '<a href="HTTPS://example.org">x</a>',
        '<a href="javascript:x()">x</a>',
        '<p onclick="x()">x</p>',
        '<p style="color: red">x</p>',
        "<style>p { background: url(x.png) }</style>",
        "<script>fetch('x')</script>",
    ],
)
def test_a_page_that_asks_for_something_is_noticed(report: Report, planted: str) -> None:
    assert requests(page(report).replace("</main>", f"{planted}</main>"))


def test_the_page_asks_for_nothing_and_lets_nothing_else_in(report: Report) -> None:
    text = page(report)
    assert requests(text) == []
    elements = Elements(text)
    policy = next(a["content"] for _, a in elements.found if a.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy
    for what, content in elements.inline.items():
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{what}-src 'sha256-{digest}'" in policy


def test_a_huge_run_gives_a_bounded_page(folder: Path) -> None:
    """Each of these alone would be tens of megabytes."""
    report = report_of(folder, leaks=("x" * 10_000,) * 5000, environment={str(n): "x" * 10_000 for n in range(50)})
    row = row_of(report, "AC-003-01")
    scenario = row.scenarios[0]
    scenario.error = "x" * 5_000_000
    scenario.steps = [StepTime(text="x" * 2000)] * 3000
    scenario.observations = [Observation(name="n", value="x" * 2000)] * 3000
    row.artefacts = row.artefacts * 5000
    row.measurements = row.measurements * 5000
    row.scenarios = [*row.scenarios, *[scenario] * 500]
    text = page(report)
    assert len(text) < BIGGEST
    assert "more are in traceability.json" in text and "cut: 5,000,000 characters in all" in text


def test_the_page_compares_with_the_run_before(folder: Path, tmp_path: Path) -> None:
    before = report_of(folder)
    scenarios(tmp_path / "later", "AC-003-01", 31)
    text = page(report_of(tmp_path / "later", started=STARTED + timedelta(days=1)), before)
    assert "VERIFIED → FAILED" in text and 'class="trend worse"' in text
    assert "No earlier run" in page(before)


def test_a_report_of_the_first_schema_is_shown(report: Report) -> None:
    content = json.loads(report.model_dump_json())
    content["schema_version"] = "1.0"
    del content["controls"]
    for row in content["criteria"]:
        for key in ("feature", "thresholds", "waiver"):
            del row[key]
        for scenario in row["scenarios"]:
            del scenario["started"], scenario["faults_seen"]
    text = page(Report.model_validate(content))
    assert "AC-003-01" in text and "Evidence by control" not in text


def measurement(value: float, comparator: str, limit: float, **change: object) -> MeasurementRow:
    shared = {"scenario": "s", "name": "n", "unit": "s", "margin": limit - value, "holds": True, "decides": True}
    content = {**shared, "value": value, "comparator": comparator, "limit": limit, "artefact": None}
    return MeasurementRow.model_validate({**content, "extrapolation": None, **change})


@pytest.mark.parametrize(
    ("comparator", "value", "limit"), [("<=", 3, 30), ("<=", 300, 30), (">=", 9, 6), ("==", 0, 0), ("<=", -5, 30)]
)
def test_a_chart_stays_within_its_bar(comparator: str, value: float, limit: float) -> None:
    found = chart(measurement(value, comparator, limit))
    assert all(0 <= x <= WIDTH for x in (found.zone_from, found.zone_to, found.limit, found.value))
    if value > limit:
        assert found.value > found.limit


def test_the_permitted_side_is_that_of_the_comparator() -> None:
    below, above = chart(measurement(3, "<=", 30)), chart(measurement(9, ">=", 6))
    assert (below.zone_from, below.zone_to) == (0, below.limit)
    assert (above.zone_from, above.zone_to) == (above.limit, WIDTH)
    assert chart(measurement(100, "==", 100)).exact


def test_a_prediction_shows_its_interval() -> None:
    known = Extrapolation(amount="data_size", unit="GB", at=10, reached=0.3, prediction=400, low=300, high=1200)
    found = chart(measurement(1200, "<=", 900, extrapolation=known.model_dump()))
    assert found.low is not None and found.high is not None
    assert found.low < found.value < found.limit < found.high <= WIDTH


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (0.018, "s", "0.018 s"), (900, "s", "900 s"), (7200, "s", "2 h"), (2592000, "s", "30 days"),
        (100, "percent", "100 %"), (12345, "files", "12,345 files"), (0, "volumes", "0 volumes"),
    ],
)  # fmt: skip
def test_numbers_are_told_in_their_unit(value: float, unit: str, shown: str) -> None:
    assert formatting.quantity(value, unit) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.04, "0.04 s"), (4.2, "4.2 s"), (42.4, "42 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")]
)
def test_durations_are_short(seconds: float, shown: str) -> None:
    assert formatting.duration(seconds) == shown
