"""Records the evidence of a scenario: measurements against the register, observations, artefacts."""

import hashlib
import re
from collections.abc import Callable
from pathlib import Path

from velero_acceptance.checks.extrapolation import Prediction
from velero_acceptance.core.errors import AcceptanceError, CriterionNotMet, Inconclusive
from velero_acceptance.core.redaction import Redactor
from velero_acceptance.criteria.models import Criterion, Threshold
from velero_acceptance.evidence.records import Artefact, Extrapolation, Measurement, Observation, Record

ARTEFACT_BYTES = 2_000_000


class Evidence:
    """Collects the evidence of one scenario into its record and the run's folder."""

    def __init__(self, record: Record, criterion: Criterion, folder: Path, slug: str, redactor: Redactor) -> None:
        self.record, self.criterion, self.redactor = record, criterion, redactor
        self._folder, self._slug = folder, slug
        # Called with each file that is written; other reports may show it.
        self.listeners: list[Callable[[Path], None]] = []

    def measure(self, name: str, value: float, *, artefact: str | None = None) -> None:
        """Record *value* for the threshold *name*; raises CriterionNotMet when a deciding limit is broken.

        *artefact* is text that shows where the value came from; it is kept and, on failure, quoted.
        """
        threshold = self.criterion.threshold(name)
        self._add(threshold, value, artefact)
        if threshold.decides and not threshold.holds(value):
            raise CriterionNotMet(self._sentence(threshold, value, artefact))

    def expect_violation(self, name: str, value: float | None, *, artefact: str | None = None) -> None:
        """Record that the check detects a seeded fault; raises CriterionNotMet unless *value* breaks the threshold.

        None stands for an event that never came, which breaks every limit.
        """
        if not self.record.negative:
            raise AcceptanceError(f"{self.record.scenario!r} expects {name} to be violated but is not tagged @negative")
        threshold = self.criterion.threshold(name)
        if value is not None and threshold.holds(value):
            raise CriterionNotMet(f"the seeded fault was not seen: {self._sentence(threshold, value, artefact)}")
        self._add(threshold, value, artefact, refuted=True)

    def extrapolate(
        self, name: str, prediction: Prediction, *, amount: str, reached: float, artefact: str | None = None
    ) -> None:
        """Record *prediction* for the threshold *name* at the value of the threshold *amount*.

        *reached* is the part of *amount* that was tried, less than the register asks for. The upper bound decides:
        raises CriterionNotMet when the prediction itself breaks the limit, Inconclusive when only the upper bound does.
        """
        threshold, asked = self.criterion.threshold(name), self.criterion.threshold(amount)
        if asked.holds(reached):
            raise AcceptanceError(f"{amount} {reached:g} {asked.unit} is what the register asks for: measure it")
        known = Extrapolation(
            amount=amount,
            unit=asked.unit,
            at=asked.value,
            reached=reached,
            prediction=prediction.seconds,
            low=prediction.low,
            high=prediction.high,
        )
        self._add(threshold, prediction.high, artefact, extrapolation=known)
        if not threshold.holds(prediction.seconds):
            raise CriterionNotMet("predicted: " + self._sentence(threshold, prediction.seconds, artefact))
        if not threshold.holds(prediction.high):
            raise Inconclusive(
                f"{self.criterion.id}: {name} would be {prediction.seconds:.0f} {threshold.unit}, but up to "
                f"{prediction.high:.0f} cannot be excluded, and the limit is {threshold.value:g}: try more {amount}"
            )

    def observe(self, name: str, value: float | str, unit: str = "") -> None:
        self.record.observations.append(Observation(name=name, value=value, unit=unit))

    def accelerate(self, *names: str) -> None:
        """Record shortcuts in time that the scenario takes; the register must allow them."""
        for name in names:
            if name not in self.criterion.verification.accelerators:
                raise AcceptanceError(f"{self.criterion.id} does not allow the accelerator {name!r} in the register")
        self.record.accelerators += names

    def attach(self, name: str, content: str | bytes) -> str:
        """Write *content*, secrets redacted and cut to the maximum size, to a file of the run; return its path."""
        text = content.decode(errors="replace") if isinstance(content, bytes) else content
        data = self.redactor.text(text).encode()
        if len(data) > ARTEFACT_BYTES:
            data = data[:ARTEFACT_BYTES] + f"\n… cut: {len(data)} bytes in all\n".encode()
        safe = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-")
        path = Path("evidence") / self.record.criterion / self._slug / safe
        target = self._folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        known = Artefact(path=path.as_posix(), sha256=hashlib.sha256(data).hexdigest(), size=len(data))
        self.record.artefacts = [a for a in self.record.artefacts if a.path != known.path] + [known]
        for listener in self.listeners:
            listener(target)
        return known.path

    def _add(
        self,
        threshold: Threshold,
        value: float | None,
        artefact: str | None,
        *,
        refuted: bool = False,
        extrapolation: Extrapolation | None = None,
    ) -> None:
        measurement = Measurement(
            name=threshold.name,
            value=value,
            unit=threshold.unit,
            comparator=threshold.comparator,
            limit=threshold.value,
            margin=None if value is None else threshold.margin(value),
            holds=value is not None and threshold.holds(value),
            decides=threshold.decides,
            refuted=refuted,
            artefact=self.attach(f"{threshold.name}.txt", artefact) if artefact else None,
            extrapolation=extrapolation,
        )
        self.record.measurements.append(measurement)

    def _sentence(self, threshold: Threshold, value: float, artefact: str | None) -> str:
        limit = f"{threshold.comparator} {threshold.value:g} {threshold.unit}"
        shown = f"\n{self.redactor.text(artefact)[:2000]}" if artefact else ""
        return f"{self.criterion.id}: {threshold.name} is {value:g} {threshold.unit}, the limit is {limit}{shown}"
