"""What changed between two runs: verdicts, measurements, seeded faults detected, resources left behind."""

from dataclasses import dataclass, field
from enum import StrEnum

from velero_acceptance.evidence.verdicts import ORDER
from velero_acceptance.report.build import CriterionRow, MeasurementRow, Report

# A measurement moved if it did by more than this share of its limit or, if greater, of its old value.
MOVED = 0.1


class Trend(StrEnum):
    """The direction of a change. A criterion that only one of the runs ran is not compared."""

    WORSE = "worse"
    BETTER = "better"
    SAME = "same"
    NOT_COMPARED = "not compared"


@dataclass(frozen=True)
class MeasurementChange:
    """A threshold's worst value in both runs."""

    name: str
    unit: str
    before: float
    after: float
    trend: Trend


@dataclass(frozen=True)
class Change:
    """A criterion that changed: its verdicts, or ``not in the register`` for a run without it."""

    criterion: str
    before: str
    after: str
    trend: Trend
    moved: list[MeasurementChange] = field(default_factory=list)
    # "3/3 to 2/3", when fewer or more seeded faults were detected.
    caught: str = ""


@dataclass(frozen=True)
class Changes:
    """All changes, and how many more resources the second run left behind (negative: fewer)."""

    before: str
    after: str
    criteria: list[Change]
    leaks: int

    @property
    def worse(self) -> bool:
        return self.leaks > 0 or any(change.trend is Trend.WORSE for change in self.criteria)

    def of(self, trend: Trend) -> list[Change]:
        return [change for change in self.criteria if change.trend is trend]


def compare(before: Report, after: Report) -> Changes:
    """The criteria that differ, worse ones first."""
    old = {row.id: row for row in before.criteria}
    new = {row.id: row for row in after.criteria}
    found = [_change(name, old.get(name), new.get(name)) for name in {**old, **new}]
    changed = [change for change in found if change.trend is not Trend.SAME or change.moved or change.caught]
    return Changes(
        before=before.run.id,
        after=after.run.id,
        criteria=sorted(changed, key=lambda change: list(Trend).index(change.trend)),
        leaks=len(after.summary.leaks) - len(before.summary.leaks),
    )


def _change(name: str, old: CriterionRow | None, new: CriterionRow | None) -> Change:
    if old is None or new is None:
        there = "not in the register"
        verdicts = (old.verdict if old else there, new.verdict if new else there)
        return Change(name, *verdicts, Trend.NOT_COMPARED)
    if not (old.ran and new.ran):
        trend = Trend.SAME if old.verdict is new.verdict else Trend.NOT_COMPARED
        return Change(name, old.verdict, new.verdict, trend)
    return Change(
        name,
        old.verdict,
        new.verdict,
        _trend(old, new),
        [moved for m in new.decisive() if (moved := _moved(old, m))],
        "" if _proof(old) == _proof(new) else f"{_proof(old)} to {_proof(new)}",
    )


def _trend(old: CriterionRow, new: CriterionRow) -> Trend:
    """By verdict; if that stayed, by whether the seeded faults are still detected."""
    before, after = ORDER.index(old.verdict), ORDER.index(new.verdict)
    if before == after:
        proven = ("UNPROVEN", "PROVEN")
        before, after = proven.index(old.negative_proof.status), proven.index(new.negative_proof.status)
    if before == after:
        return Trend.SAME
    return Trend.BETTER if after > before else Trend.WORSE


def _proof(row: CriterionRow) -> str:
    return f"{row.negative_proof.killed}/{row.negative_proof.seeded}"


def _moved(old: CriterionRow, new: MeasurementRow) -> MeasurementChange | None:
    """How the worst value of a threshold moved, if it did noticeably."""
    was = next((m for m in old.decisive() if m.name == new.name), None)
    if was is None:
        return None
    if abs(new.value - was.value) <= MOVED * max(abs(new.limit), abs(was.value)) and was.holds == new.holds:
        return None
    trend = Trend.BETTER if new.margin > was.margin else Trend.WORSE
    return MeasurementChange(new.name, new.unit, was.value, new.value, trend)
