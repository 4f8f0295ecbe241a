"""How long the suite's own work took when it last ran on this machine, beside what it should take.

Kept in the cache between runs and printed at the end of ``make acceptance``.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel
from rich.table import Table

# Seconds, on two cores with a warm cache.
LIMITS = {
    "lab up, to the location Available": 60.0,
    "lab down": 10.0,
    "kind up, to the location Available": 150.0,
    "kind down": 20.0,
    "make acceptance-kind": 720.0,
    "all features": 1200.0,
    "make test": 120.0,
}


class Timing(BaseModel):
    """A duration in seconds, and when it was measured."""

    seconds: float
    at: datetime


def cache_folder() -> Path:
    """Where the suite keeps what outlives a lab and a run ($XDG_CACHE_HOME)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "velero-acceptance"


def read() -> dict[str, Timing]:
    """Every figure that was recorded; an unreadable file counts as none."""
    try:
        content = json.loads(_path().read_text())
        return {name: Timing.model_validate(value) for name, value in content.items()}
    except (OSError, ValueError):
        return {}


def record(name: str, seconds: float) -> None:
    """Keep a figure; only the last one of each name stays."""
    figures = {**read(), name: Timing(seconds=seconds, at=datetime.now(UTC))}
    content = {known: figure.model_dump(mode="json") for known, figure in figures.items()}
    _path().parent.mkdir(parents=True, exist_ok=True)
    partial = _path().with_suffix(".partial")
    partial.write_text(json.dumps(content, indent=1))
    partial.rename(_path())


def table() -> Table:
    """The figures beside their limits."""
    shown = Table("what", "last", "limit", "measured", box=None, pad_edge=False)
    figures = read()
    for name, limit in LIMITS.items():
        figure = figures.get(name)
        if figure is None:
            shown.add_row(name, "–", f"{limit:.0f} s", "not yet")
        else:
            style = "red" if figure.seconds > limit else ""
            shown.add_row(
                name, f"{figure.seconds:.1f} s", f"{limit:.0f} s", f"{figure.at:%Y-%m-%d %H:%M} UTC", style=style
            )
    return shown


def _path() -> Path:
    return cache_folder() / "figures.json"
