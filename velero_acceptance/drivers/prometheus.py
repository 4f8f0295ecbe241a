"""Prometheus by its HTTP interface: its targets, series and alerts."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import requests

from velero_acceptance.core.errors import AcceptanceError
from velero_acceptance.core.redaction import KNOWN
from velero_acceptance.core.sentences import failing_as
from velero_acceptance.core.waiting import poll

INTERVAL = 0.5


@dataclass(frozen=True)
class Series:
    """A time series, or the requested part of it: points of Unix time in seconds and value, oldest first."""

    labels: dict[str, str]
    points: tuple[tuple[float, float], ...]

    @property
    def value(self) -> float:
        """The last value."""
        return self.points[-1][1]


@dataclass(frozen=True)
class ScrapeTarget:
    """A scrape target; *error* is empty while it is up."""

    job: str
    instance: str
    error: str


def selector(name: str, labels: Mapping[str, str]) -> str:
    """PromQL for the series of *name* with exactly these *labels*; an empty value matches the label's absence."""
    return name + "{" + ", ".join(f'{label}="{value}"' for label, value in labels.items()) + "}"


class Prometheus:
    """One server. Raises AcceptanceError when it cannot be reached or refuses a query."""

    def __init__(self, url: str, *, call_seconds: float) -> None:
        self.url, self._seconds = url.rstrip("/"), call_seconds

    def query(self, expression: str, at: datetime | None = None) -> list[Series]:
        """The value of *expression*, now or in the past; for a range, the points as they were scraped."""
        moment = {} if at is None else {"time": at.timestamp()}
        return _series(self._get("query", query=expression, **moment)["result"])

    def history(self, expression: str, start: datetime, end: datetime, *, step: float) -> list[Series]:
        """The value of *expression* every *step* seconds between two times."""
        times = {"start": start.timestamp(), "end": end.timestamp(), "step": step}
        return _series(self._get("query_range", query=expression, **times)["result"])

    def names(self, since: datetime) -> set[str]:
        """The name of every metric with samples since then."""
        return set(self._get("label/__name__/values", start=since.timestamp()))

    def targets(self) -> list[ScrapeTarget]:
        found = self._get("targets", state="active")["activeTargets"]
        return [
            ScrapeTarget(t["labels"]["job"], t["labels"]["instance"], t["lastError"] if t["health"] != "up" else "")
            for t in found
        ]

    def alerts(self) -> set[str]:
        """The name of every alert that has a rule."""
        groups = self._get("rules", type="alert")["groups"]
        return {rule["name"] for group in groups for rule in group["rules"]}

    def wait_series(self, expression: str, event: str, *, timeout: float) -> list[Series]:
        return poll(lambda: self.query(expression), until=bool, event=event, timeout=timeout, interval=INTERVAL)

    def wait_alert(self, alert: str, labels: Mapping[str, str], *, firing: bool, timeout: float) -> None:
        expression = selector("ALERTS", {"alertname": alert, "alertstate": "firing", **labels})
        poll(
            lambda: bool(self.query(expression)),
            until=lambda fires: fires is firing,
            event=f"{selector(alert, labels)} {'fires' if firing else 'is resolved'}",
            timeout=timeout,
            interval=INTERVAL,
        )

    def _get(self, path: str, **parameters: str | float) -> Any:
        where = f"Prometheus at {KNOWN.text(self.url)}"
        with failing_as(f"{where} does not answer"):
            answer = requests.get(f"{self.url}/api/v1/{path}", params=parameters, timeout=self._seconds)
        try:
            content = answer.json()
        except ValueError:
            content = None
        if not isinstance(content, dict) or "status" not in content:
            raise AcceptanceError(f"{where} is no Prometheus: it answers with something else")
        if content["status"] != "success":
            raise AcceptanceError(f"Prometheus refuses {parameters.get('query', path)!r}: {content.get('error')}")
        return content["data"]


def _series(result: list[dict[str, Any]]) -> list[Series]:
    return [
        Series(
            dict(found["metric"]),
            tuple((float(at), float(value)) for at, value in found.get("values") or [found["value"]]),
        )
        for found in result
    ]
