"""The runs of a schedule that were seen, kept across runs of the suite: calendar evidence cannot be made in a day.

One JSON file a target. It is written whole or not at all; one that cannot be read is left as it is.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from filelock import FileLock
from pydantic import BaseModel, ConfigDict, ValidationError

from acceptance.checks.reliability import Run
from acceptance.errors import Refusal


@dataclass(frozen=True)
class Look:
    """What was seen of a schedule *at* a moment: its runs, all of them from *since* on."""

    cluster: str
    schedule: str
    since: datetime
    at: datetime
    runs: tuple[Run, ...]


class Ledger(BaseModel):
    """Finished runs by their uid. *cluster* is the uid of its namespace kube-system."""

    model_config = ConfigDict(extra="forbid")

    schema_version: Literal["1"] = "1"
    cluster: str
    schedule: str
    # Between these two every run of the schedule is in here.
    since: datetime
    until: datetime
    runs: dict[str, Run] = {}

    def merge(self, look: Look) -> Ledger:
        """With what *look* saw entered; what a run ended as is never changed by a later look.

        After a pause so long that runs may have come and gone unseen, the ledger is whole only since the look.
        """
        seen = {run.uid: run for run in look.runs if run.finished}
        since = look.since if look.since > self.until else min(self.since, look.since)
        return self.model_copy(update={"runs": {**seen, **self.runs}, "since": since, "until": look.at})


def load(path: Path) -> Ledger | None:
    """The ledger at *path*, or None when there is none; raises Refusal when it cannot be read."""
    try:
        return Ledger.model_validate_json(path.read_text())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Refusal(f"the ledger {path} cannot be read: {error.strerror}") from None
    except (ValidationError, UnicodeDecodeError):
        raise Refusal(
            f"the ledger {path} is damaged, or of another version: mend it or move it away; it was left as it is"
        ) from None


def update(path: Path, look: Look) -> Ledger:
    """Enter *look* into the ledger at *path* and return it; raises Refusal when it is of another target, or damaged."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        known = load(path) or Ledger(cluster=look.cluster, schedule=look.schedule, since=look.since, until=look.at)
        if (known.cluster, known.schedule) != (look.cluster, look.schedule):
            raise Refusal(
                f"the ledger {path} is of the schedule {known.schedule} of another cluster: set ACCEPTANCE_LEDGER"
            )
        merged = known.merge(look)
        write_whole(path, merged.model_dump_json(indent=1))
    return merged


def write_whole(path: Path, text: str) -> None:
    """Write *text* to *path*, whole or not at all; raises OSError."""
    partial = path.with_suffix(".partial")
    with partial.open("w") as out:
        out.write(text + "\n")
        out.flush()
        os.fsync(out.fileno())
    partial.rename(path)
