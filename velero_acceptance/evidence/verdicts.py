"""Verdicts on criteria, from the records of their scenarios; each with its reason."""

from collections.abc import Iterable, Sequence
from enum import StrEnum

from velero_acceptance.criteria.models import Criterion
from velero_acceptance.evidence.records import Measurement, Outcome, Record


class Verdict(StrEnum):
    """The result for a criterion, from worst to best.

    STALE: VERIFIED, but not proven any more: the row has changed since its mutants were last caught.
    """

    FAILED = "FAILED"
    BLOCKED = "BLOCKED"
    INCONCLUSIVE = "INCONCLUSIVE"
    STALE = "STALE"
    EXTRAPOLATED = "EXTRAPOLATED"
    NOT_RUN = "NOT-RUN"
    NOT_COVERED = "NOT-COVERED"
    WAIVED = "WAIVED"
    VERIFIED = "VERIFIED"


ORDER = list(Verdict)
GREEN = (Verdict.VERIFIED, Verdict.EXTRAPOLATED, Verdict.WAIVED, Verdict.STALE)
NOT_GREEN = (Verdict.FAILED, Verdict.BLOCKED, Verdict.INCONCLUSIVE)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The verdict of a requirement: the worst of its criteria."""
    return min(verdicts, key=ORDER.index)


def judge(criterion: Criterion, scenarios: int, records: Sequence[Record]) -> tuple[Verdict, str]:
    """The verdict on a criterion with *scenarios* scenarios in its feature (0: it has none), and its reason."""
    if scenarios == 0:
        return Verdict.NOT_COVERED, "no feature yet"
    ran = [record for record in records if record.outcome not in (Outcome.SKIPPED, Outcome.INTERRUPTED)]
    if not ran:
        return Verdict.NOT_RUN, "no scenario was run" if not records else "no scenario ended"
    for verdict in NOT_GREEN:
        outcome = Outcome[verdict.name]
        if wrong := [record for record in ran if record.outcome is outcome]:
            return verdict, f"{wrong[0].scenario}: {wrong[0].error.splitlines()[0] if wrong[0].error else outcome}"
    active = [record for record in ran if not record.passive]
    if not active:
        return Verdict.INCONCLUSIVE, f"only passive scenarios ran (0 of {scenarios})"
    if len(active) < scenarios:
        return Verdict.INCONCLUSIVE, f"{len(active)} of {scenarios} scenarios were run"
    return _measured(criterion, active)


def _measured(criterion: Criterion, ran: Sequence[Record]) -> tuple[Verdict, str]:
    """The verdict of a criterion whose scenarios all ran and passed."""
    found = [m for record in ran for m in record.measurements if not m.refuted]
    predicted = [m for m in found if m.extrapolation]
    known = {m.name for m in found} | {m.extrapolation.amount for m in predicted if m.extrapolation}
    missing = [t.name for t in criterion.thresholds if t.decides and t.name not in known]
    if missing:
        return Verdict.INCONCLUSIVE, f"{missing[0]} was not measured"
    if predicted:
        return Verdict.EXTRAPOLATED, "; ".join(map(extrapolated, predicted))
    used = sorted({name for record in ran for name in record.accelerators})
    return Verdict.VERIFIED, f"mechanism evidence, accelerated: {', '.join(used)}" if used else ""


def extrapolated(measurement: Measurement) -> str:
    """A prediction, its basis and its confidence, in one sentence."""
    known = measurement.extrapolation
    assert known is not None
    return (
        f"{known.amount} {known.reached:.3g} {known.unit} was tried; at {known.at:g} {known.unit} "
        f"{measurement.name} would be {known.prediction:.0f} {measurement.unit} "
        f"(95 % interval {known.low:.0f} to {known.high:.0f}, limit {measurement.limit:g})"
    )


def negative_proof(records: Sequence[Record]) -> dict[str, object]:
    """The seeded faults that the checks detected: proof that green means something."""
    seeded = [record for record in records if record.negative]
    killed = [r for r in seeded if r.outcome is Outcome.PASSED and any(m.refuted for m in r.measurements)]
    return {
        "status": "PROVEN" if killed and len(killed) == len(seeded) else "UNPROVEN",
        "killed": len(killed),
        "seeded": len(seeded),
        "scenarios": [record.scenario for record in killed],
    }
