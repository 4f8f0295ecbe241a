"""Names and labels of everything a run creates, by which it can be recognized and swept."""

import re
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

PREFIX = "acc-"
RUN_LABEL = "velero-acceptance.io/run"
SCENARIO_LABEL = "velero-acceptance.io/scenario"
EXPIRY_LABEL = "velero-acceptance.io/expires"
# Marks faults in objects that are not the suite's: a taint, a suspension.
FAULT = "velero-acceptance.io/fault"
# Marks objects that a scenario edited by hand, to see whether Flux reverts it.
EDITED = "velero-acceptance.io/edited"
# On Velero's namespace: the run may make Velero and S3 fail for some time.
DISRUPT_LABEL, DISRUPT_VALUE = "velero-acceptance.io/disrupt", "allowed"
EXPIRY = "%Y%m%dT%H%M%SZ"
LIFETIME = timedelta(hours=6)
LONG_AGO = datetime.min.replace(tzinfo=UTC)


def unique(run: str) -> str:
    """A name that nothing else has: ``acc-<run>-<8 hex digits>``."""
    return f"{PREFIX}{run}-{secrets.token_hex(4)}"


def is_generated_name(name: str) -> bool:
    """Whether :func:`unique` made *name*, for any run."""
    return name.startswith(PREFIX)


def belongs_to_run(name: str, run: str) -> bool:
    """Whether :func:`unique` made *name* for *run*, or Velero derived it from such a name."""
    return re.match(rf"{PREFIX}{re.escape(run)}-[0-9a-f]{{8}}(-|$)", name) is not None


def is_suite_object(name: str) -> bool:
    """Whether :func:`unique` made *name* for any run, or Velero derived it from such a name."""
    return re.match(rf"{PREFIX}[a-z0-9-]+-[0-9a-f]{{8}}(-|$)", name) is not None


def labels(run: str, scenario: str) -> dict[str, str]:
    """Labels for an object: its run and scenario, and when anyone may remove it."""
    expires = datetime.now(UTC) + LIFETIME
    return {RUN_LABEL: run, SCENARIO_LABEL: scenario[:63].strip("-_."), EXPIRY_LABEL: expires.strftime(EXPIRY)}


def expiry_of(labels: Mapping[str, str]) -> datetime:
    """When anyone may remove an object with *labels*; long ago for one without an expiry."""
    try:
        return datetime.strptime(labels.get(EXPIRY_LABEL, ""), EXPIRY).replace(tzinfo=UTC)
    except ValueError:
        return LONG_AGO
