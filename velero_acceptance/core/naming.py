"""Names and labels of everything a run makes, so that it can be told apart and swept."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

PREFIX = "acc-"
RUN_LABEL = "velero-acceptance.io/run"
SCENARIO_LABEL = "velero-acceptance.io/scenario"
EXPIRY_LABEL = "velero-acceptance.io/expires"
# Marks what was done to objects that are not ours: a taint, a suspension.
FAULT = "velero-acceptance.io/fault"
# On Velero's namespace: Velero and S3 may fail for some time.
DISRUPT_LABEL, DISRUPT_VALUE = "velero-acceptance.io/disrupt", "allowed"
EXPIRY = "%Y%m%dT%H%M%SZ"
LIFETIME = timedelta(hours=6)
LONG_AGO = datetime.min.replace(tzinfo=UTC)


def unique(run: str) -> str:
    """A name that no other scenario, run or person has: ``acc-<run>-<8 hex digits>``."""
    return f"{PREFIX}{run}-{secrets.token_hex(4)}"


def is_generated_name(name: str) -> bool:
    """Whether *name* was made by :func:`unique`, for whatever run."""
    return name.startswith(PREFIX)


def belongs_to_run(name: str, run: str) -> bool:
    """Whether *name* was made by :func:`unique` for *run*, or from such a name by Velero."""
    return re.match(rf"{PREFIX}{re.escape(run)}-[0-9a-f]{{8}}(-|$)", name) is not None


def is_suite_object(name: str) -> bool:
    """Whether *name* was made by :func:`unique` for any run, or from such a name by Velero."""
    return re.match(rf"{PREFIX}[a-z0-9-]+-[0-9a-f]{{8}}(-|$)", name) is not None


def labels(run: str, scenario: str) -> dict[str, str]:
    """Labels for an object: whose it is, and from when on anyone may remove it."""
    expires = datetime.now(UTC) + LIFETIME
    return {RUN_LABEL: run, SCENARIO_LABEL: scenario[:63].strip("-_."), EXPIRY_LABEL: expires.strftime(EXPIRY)}


def expiry_of(labels: Mapping[str, str]) -> datetime:
    """From when on anyone may remove an object with *labels*; one that does not say so, at any time."""
    try:
        return datetime.strptime(labels.get(EXPIRY_LABEL, ""), EXPIRY).replace(tzinfo=UTC)
    except ValueError:
        return LONG_AGO
