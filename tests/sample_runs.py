"""Report folders as a run leaves them, made by the suite's own code from records written here."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from velero_acceptance.core.errors import CriterionNotMet
from velero_acceptance.core.redaction import Redactor
from velero_acceptance.criteria import controls
from velero_acceptance.criteria.load import load
from velero_acceptance.criteria.waivers import Waivers
from velero_acceptance.evidence.recorder import Evidence
from velero_acceptance.evidence.records import Outcome, Record, StepTime, load_all
from velero_acceptance.gherkin.documents import read_all
from velero_acceptance.report import outputs
from velero_acceptance.report.build import CriterionRow, Report, RunInfo, build

STARTED = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
REGISTER, FEATURES = load(), read_all()
CONTROLS = controls.load(REGISTER).controls


def scenarios(
    folder: Path, criterion: str, value: float, *, started: datetime = STARTED, error: str = "", note: str = "seen"
) -> None:
    """Records of every scenario of *criterion*: *value* is measured, and a seeded fault is seen."""
    known = REGISTER.criteria[criterion]
    threshold = known.thresholds[0]
    feature = next(feature for feature in FEATURES if criterion in feature.tag_line)
    for number, scenario in enumerate(feature.scenarios):
        record = Record(
            node=f"features/{feature.path.name}::{number}",
            criterion=criterion,
            feature=feature.path.name,
            scenario=scenario.name,
            negative=scenario.negative,
            cluster="lab-2",
            started=started + timedelta(seconds=number),
            seconds=1.5,
            outcome=Outcome.PASSED,
            steps=[StepTime(text=f"{step.kind} {step.text}", seconds=0.5) for step in scenario.steps],
        )
        evidence = Evidence(record, known, folder, f"scenario-{number}", Redactor())
        if scenario.negative:
            evidence.expect_violation(threshold.name, None, artefact=note)
        else:
            _measure(evidence, threshold.name, value, note)
        evidence.observe("throughput", 42.0, "MB/s")
        if error and number == 0:
            record.outcome, record.error = Outcome.FAILED, error
        record.save(folder / "records", f"{criterion}-{number}")


def _measure(evidence: Evidence, name: str, value: float, note: str) -> None:
    try:
        evidence.measure(name, value, artefact=note)
    except CriterionNotMet as broken:
        evidence.record.outcome, evidence.record.error = Outcome.FAILED, str(broken)


def report_of(
    folder: Path,
    *,
    started: datetime = STARTED,
    target: str = "lab",
    leaks: tuple[str, ...] = (),
    waivers: Waivers | None = None,
    environment: dict[str, str] | None = None,
    interrupted: bool = False,
) -> Report:
    """The report of the records in *folder*; its exit code follows the verdicts."""
    report = build(
        REGISTER,
        FEATURES,
        load_all(folder / "records"),
        run=RunInfo(
            id=folder.name,
            started=started.isoformat(timespec="seconds"),
            seconds=60,
            target=target,
            profile="disrupt",
            command="pytest features",
            commit="0123456789abcdef0123456789abcdef01234567",
            exit_status=2 if interrupted else 0,
            interrupted=interrupted,
        ),
        environment=environment or {"Velero": "v1.16.2"},
        leaks=leaks,
        controls=CONTROLS,
        waivers=waivers,
    )
    if leaks or any(row.verdict == "FAILED" for row in report.criteria):
        report.run.exit_status = report.run.exit_status or 1
    return report


def run(
    reports: Path, name: str, value: float = 3, *, started: datetime = STARTED, target: str = "lab", error: str = ""
) -> Path:
    """The whole folder of a run in which AC-003-01 measured *value* (30 s is the limit)."""
    folder = reports / name
    folder.mkdir(parents=True)
    scenarios(folder, "AC-003-01", value, started=started, error=error)
    (folder / "junit.xml").write_text("<testsuites/>\n")
    outputs.write_all(report_of(folder, started=started, target=target), folder)
    return folder


def row_of(report: Report, criterion: str) -> CriterionRow:
    """The row of a criterion."""
    return next(row for row in report.criteria if row.id == criterion)
