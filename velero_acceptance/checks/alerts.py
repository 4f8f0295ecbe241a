"""NFR-OBSERVABILITY-001: whether alerts fire with their fault, resolve with it, and stay silent without it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from velero_acceptance.drivers.prometheus import Series, selector


@dataclass(frozen=True)
class AlertTimeline:
    """An alert from its fault on.

    *seeded* and *over* are Unix times in seconds: when the fault was injected, and when the alert must have resolved.
    *fired* counts from the fault, *resolved* from its end, both in seconds; None: it did not.
    """

    fault: str
    alert: str
    labels: Mapping[str, str]
    seeded: float
    over: float
    fired: float | None
    resolved: float | None

    def __str__(self) -> str:
        fired, resolved = (
            "not at all" if seconds is None else f"after {seconds:.0f} s" for seconds in (self.fired, self.resolved)
        )
        return f"{self.fault}: {selector(self.alert, self.labels)} fired {fired}, was resolved {resolved}"

    def explains(self, series: Series, moment: float) -> bool:
        """Whether this fault explains that an alert fired at a moment."""
        expected = {"alertname": self.alert, **self.labels}
        return expected.items() <= series.labels.items() and self.seeded <= moment <= self.over


def not_fired(timelines: Iterable[AlertTimeline]) -> list[AlertTimeline]:
    return [timeline for timeline in timelines if timeline.fired is None]


def not_resolved(timelines: Iterable[AlertTimeline]) -> list[AlertTimeline]:
    """Faults whose alert fired and was not resolved."""
    return [timeline for timeline in timelines if timeline.fired is not None and timeline.resolved is None]


def as_seen(timeline: AlertTimeline, history: Iterable[Series]) -> AlertTimeline:
    """The timeline with its times from a history of firing alerts."""
    points = [at - timeline.seeded for series in history for at, _ in series.points if timeline.explains(series, at)]
    return replace(timeline, fired=min(points, default=None), resolved=max(points, default=None))


def false_positives(history: Iterable[Series], timelines: Sequence[AlertTimeline]) -> list[str]:
    """Alerts that fired at a time without one of the faults, each with the first such time."""
    found = []
    for series in history:
        unexplained = (at for at, _ in series.points if not any(t.explains(series, at) for t in timelines))
        if (moment := next(unexplained, None)) is not None:
            found.append(f"{selector('ALERTS', series.labels)} at {moment:.0f}")
    return found
