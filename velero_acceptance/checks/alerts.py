"""NFR-OBSERVABILITY-001: whether alerts come with their fault, go with it, and stay away without it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from velero_acceptance.drivers.prometheus import Series, selector


@dataclass(frozen=True)
class AlertTimeline:
    """How an alert went while its fault was there.

    *seeded* and *over* are Unix times in seconds: the fault was made; the alert, if it had come, had gone.
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
        came, went = (
            "not at all" if seconds is None else f"after {seconds:.0f} s" for seconds in (self.fired, self.resolved)
        )
        return f"{self.fault}: {selector(self.alert, self.labels)} fired {came}, was resolved {went}"

    def explains(self, series: Series, moment: float) -> bool:
        """Whether an alert's firing at a moment is that of this fault."""
        wanted = {"alertname": self.alert, **self.labels}
        return wanted.items() <= series.labels.items() and self.seeded <= moment <= self.over


def not_fired(courses: Iterable[AlertTimeline]) -> list[AlertTimeline]:
    """Faults whose alert did not come."""
    return [course for course in courses if course.fired is None]


def not_resolved(courses: Iterable[AlertTimeline]) -> list[AlertTimeline]:
    """Faults whose alert came and did not go."""
    return [course for course in courses if course.fired is not None and course.resolved is None]


def as_seen(course: AlertTimeline, history: Iterable[Series]) -> AlertTimeline:
    """The course with what a history of firing alerts tells of it, from the fault to its end."""
    points = [at for series in history for at, _ in series.points if course.explains(series, at)]
    fired = min(points) - course.seeded if points else None
    return replace(course, fired=fired, resolved=max(points) - course.seeded if points else None)


def false_positives(history: Iterable[Series], courses: Sequence[AlertTimeline]) -> list[str]:
    """Alerts that fired at a time at which none of the faults was there, each with the first such time."""
    return list(_unfounded(history, courses))


def _unfounded(history: Iterable[Series], courses: Sequence[AlertTimeline]) -> Iterator[str]:
    for series in history:
        for moment, _ in series.points:
            if not any(course.explains(series, moment) for course in courses):
                yield f"{selector('ALERTS', series.labels)} at {moment:.0f}"
                break
