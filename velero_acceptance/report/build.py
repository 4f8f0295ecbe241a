"""The report as data, built from register, feature files and records; published as JSON Schema."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from velero_acceptance.criteria.controls import Control
from velero_acceptance.criteria.load import Register
from velero_acceptance.criteria.models import Erratum, Threshold
from velero_acceptance.criteria.waivers import Waiver, Waivers, in_force
from velero_acceptance.evidence.records import (
    Artefact,
    Extrapolation,
    Measurement,
    Observation,
    Outcome,
    Record,
    StepTime,
)
from velero_acceptance.evidence.verdicts import NOT_GREEN, Verdict, judge, negative_proof, worst
from velero_acceptance.gherkin.documents import FeatureText
from velero_acceptance.report.kill_matrix import MutantProof

# A higher second number adds fields; a higher first one means that older readers cannot read it.
SCHEMA_VERSION = "2.2"
SCHEMA_FILE = Path(__file__).with_name("traceability.schema.json")


class Row(BaseModel):
    """Base of the report's parts: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid")


class MeasurementRow(Row):
    scenario: str
    name: str
    value: float
    unit: str
    comparator: str
    limit: float
    margin: float
    holds: bool
    decides: bool
    artefact: str | None
    extrapolation: Extrapolation | None


class ScenarioRow(Row):
    """One scenario. *cluster*: its context or lab; *faults_seen*: values that broke their limit by a seeded fault."""

    name: str
    node: str
    outcome: Outcome
    seconds: float
    negative: bool
    passive: bool
    error: str
    steps: list[StepTime]
    accelerators: list[str]
    observations: list[Observation]
    started: datetime | None = None
    cluster: str = ""
    faults_seen: list[Measurement] = []


class NegativeProof(Row):
    """Seeded faults, and those that the criterion's checks detected."""

    status: Literal["PROVEN", "UNPROVEN"]
    killed: int
    seeded: int
    scenarios: list[str]


class CriterionRow(Row):
    """A criterion of the register. *measurements* are those without a seeded fault."""

    id: str
    design_id: str
    requirement: str
    text: str
    method: str
    risk: str
    verdict: Verdict
    reason: str
    scenarios: list[ScenarioRow]
    measurements: list[MeasurementRow]
    artefacts: list[Artefact]
    errata: list[Erratum]
    negative_proof: NegativeProof
    feature: str = ""
    thresholds: list[Threshold] = []
    waiver: Waiver | None = None
    component: str = ""
    adr: list[str] = []
    mutants: MutantProof | None = None

    @property
    def ran(self) -> bool:
        """Whether the verdict comes from scenarios that ran."""
        return self.verdict not in (Verdict.NOT_RUN, Verdict.NOT_COVERED)

    @property
    def evidence_from(self) -> datetime | None:
        """When its oldest scenario was started."""
        return min((scenario.started for scenario in self.scenarios if scenario.started), default=None)

    def decisive(self) -> list[MeasurementRow]:
        """Each measured threshold once, with its worst value."""
        names = dict.fromkeys(measurement.name for measurement in self.measurements)
        return [min((m for m in self.measurements if m.name == name), key=lambda m: m.margin) for name in names]


class RequirementRow(Row):
    id: str
    title: str
    verdict: Verdict


class Summary(Row):
    """Counts. *leaks*: what the run left behind; *foreign_changes*: what it changed outside the suite."""

    criteria: int
    verdicts: dict[str, int]
    requirements: list[RequirementRow]
    leaks: list[str]
    foreign_changes: list[str]


class RunInfo(Row):
    id: str
    started: str
    seconds: float
    target: str
    profile: str
    command: str
    commit: str
    exit_status: int
    interrupted: bool


class Report(Row):
    """traceability.json."""

    schema_version: str = SCHEMA_VERSION
    run: RunInfo
    environment: dict[str, str]
    summary: Summary
    criteria: list[CriterionRow]
    controls: list[Control] = []


def build(
    register: Register,
    features: Sequence[FeatureText],
    records: Sequence[Record],
    *,
    run: RunInfo,
    environment: Mapping[str, str],
    leaks: Sequence[str],
    controls: Sequence[Control] = (),
    waivers: Waivers | None = None,
    foreign_changes: Sequence[str] = (),
    mutants: Mapping[str, MutantProof] | None = None,
) -> Report:
    """The report on every criterion of the register."""
    by_tag = {tag: feature for feature in features for tag in feature.tag_line}
    day = datetime.fromisoformat(run.started).date()
    rows = [
        _row(register, name, by_tag.get(name), records, in_force(waivers or {}, name, day), (mutants or {}).get(name))
        for name in register.criteria
    ]
    verdicts = [row.verdict for row in rows]
    requirements = [
        RequirementRow(
            id=requirement.id,
            title=requirement.title,
            verdict=worst(row.verdict for row in rows if row.requirement == requirement.id),
        )
        for requirement in register.requirements
    ]
    summary = Summary(
        criteria=len(rows),
        verdicts={verdict: verdicts.count(verdict) for verdict in Verdict if verdict in verdicts},
        requirements=requirements,
        leaks=list(leaks),
        foreign_changes=list(foreign_changes),
    )
    return Report(run=run, environment=dict(environment), summary=summary, criteria=rows, controls=list(controls))


def _row(
    register: Register,
    name: str,
    feature: FeatureText | None,
    records: Sequence[Record],
    waiver: Waiver | None,
    mutants: MutantProof | None,
) -> CriterionRow:
    criterion = register.criteria[name]
    own = [record for record in records if record.criterion == name]
    verdict, reason = judge(criterion, feature.deciding if feature else 0, own)
    if waiver and verdict in NOT_GREEN:  # NOT-RUN and NOT-COVERED stay, waived or not
        verdict, reason = Verdict.WAIVED, f"{waiver.sentence} ({verdict}: {reason})"
    if mutants and mutants.stale and verdict is Verdict.VERIFIED:
        verdict, reason = Verdict.STALE, f"it has changed since its mutants were caught on {mutants.since}"
    errata = {erratum.id: erratum for erratum in register.errata}
    return CriterionRow(
        id=name,
        design_id=criterion.design_id,
        requirement=register.requirement_of[name].id,
        text=criterion.ears.text,
        method=criterion.verification.method,
        risk=criterion.risk,
        verdict=verdict,
        reason=reason,
        scenarios=[_scenario(record) for record in own],
        measurements=[
            MeasurementRow(scenario=record.scenario, **m.model_dump(exclude={"refuted"}))
            for record in own
            for m in record.measurements
            if not m.refuted
        ],
        artefacts=[artefact for record in own for artefact in record.artefacts],
        errata=[errata[name] for name in criterion.errata],
        negative_proof=NegativeProof.model_validate(negative_proof(own)),
        feature=feature.name if feature else "",
        thresholds=list(criterion.thresholds),
        waiver=waiver,
        component=criterion.component,
        adr=list(criterion.adr),
        mutants=mutants,
    )


def _scenario(record: Record) -> ScenarioRow:
    shared = {key: value for key, value in dict(record).items() if key in ScenarioRow.model_fields}
    faults = [measurement for measurement in record.measurements if measurement.refuted]
    return ScenarioRow(name=record.scenario, faults_seen=faults, **shared)


def schema_text() -> str:
    """JSON Schema of traceability.json, as published in SCHEMA_FILE."""
    content = Report.model_json_schema(mode="serialization")
    return json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", **content}, indent=2) + "\n"


def write_json(report: Report, path: Path) -> None:
    """Write traceability.json, validated against the published schema."""
    import jsonschema

    content = json.loads(report.model_dump_json())
    # A test checks that the schema itself is valid, so not every run does.
    jsonschema.Draft202012Validator(json.loads(SCHEMA_FILE.read_text())).validate(content)
    path.write_text(json.dumps(content, indent=1) + "\n")
