"""NFR-RELIABILITY-001, passive: the runs that the deployed schedule made in the last 30 days, recorded across runs.

One JSON file per target, the ledger. It is written whole or not at all; a damaged one is left as it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal, TypeVar

from filelock import FileLock
from pydantic import BaseModel, ConfigDict, ValidationError

from velero_acceptance.checks.reliability import rates
from velero_acceptance.checks.reliability.rates import Rate, ScheduleRun, Trial
from velero_acceptance.checks.schedule import seconds_of
from velero_acceptance.core.errors import Refusal
from velero_acceptance.core.files import write_whole
from velero_acceptance.core.naming import RUN_LABEL
from velero_acceptance.drivers.kinds import NAMESPACE, Json, labels_of, name_of, time_of
from velero_acceptance.drivers.kubernetes import Kubernetes
from velero_acceptance.drivers.velero import is_synced

M = TypeVar("M", bound=BaseModel)
WINDOW = timedelta(days=30)
# Velero keeps a backup without a TTL this long (--default-backup-ttl).
DEFAULT_TTL = "720h0m0s"


@dataclass(frozen=True)
class ScheduleObservation:
    """The runs of a schedule *at* a moment, complete from *since* on."""

    cluster: str
    schedule: str
    since: datetime
    at: datetime
    runs: tuple[ScheduleRun, ...]
    # When backups of this schedule's name began that were synced from the bucket: this cluster did not make them.
    synced: tuple[datetime, ...] = ()


class RunHistory(BaseModel):
    """Finished runs by their uid. *cluster* is the uid of its namespace kube-system."""

    model_config = ConfigDict(extra="forbid")

    schema_version: Literal["1"] = "1"
    cluster: str
    schedule: str
    # Between these two it contains every run of the schedule.
    since: datetime
    until: datetime
    runs: dict[str, ScheduleRun] = {}

    def merge(self, observation: ScheduleObservation) -> "RunHistory":
        """The history with *observation*; recorded phases stay. After a gap it is complete since the observation."""
        finished = {run.uid: run for run in observation.runs if run.finished}
        gap = observation.since > self.until
        since = observation.since if gap else min(self.since, observation.since)
        return self.model_copy(update={"runs": {**finished, **self.runs}, "since": since, "until": observation.at})


def read_state(path: Path, model: type[M], what: str, remedy: str) -> M | None:
    """The *model* in the JSON file *path*, None without one; raises Refusal when it cannot be read or is damaged."""
    try:
        return model.model_validate_json(path.read_text())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Refusal(f"{what} {path} cannot be read: {error.strerror}") from None
    except (ValidationError, UnicodeDecodeError):
        raise Refusal(f"{what} {path} is damaged, or of another version: {remedy}") from None


def load(path: Path) -> RunHistory | None:
    """The ledger at *path*, or None when there is none; raises Refusal when it cannot be read."""
    return read_state(path, RunHistory, "the ledger", "repair it or move it away; it was left as it is")


def update(path: Path, seen: ScheduleObservation) -> RunHistory:
    """Record *seen* in the ledger at *path* and return it; raises Refusal when it is damaged or of another target."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        known = load(path) or RunHistory(cluster=seen.cluster, schedule=seen.schedule, since=seen.since, until=seen.at)
        if (known.cluster, known.schedule) != (seen.cluster, seen.schedule):
            raise Refusal(
                f"the ledger {path} is of the schedule {known.schedule} of another cluster: set ACCEPTANCE_LEDGER"
            )
        merged = known.merge(seen)
        write_whole(path, merged.model_dump_json(indent=1) + "\n")
    return merged


@dataclass(frozen=True)
class Calendar:
    """The trials of a schedule between two moments."""

    cron: str
    since: datetime
    until: datetime
    trials: Sequence[Trial]
    synced: int = 0

    @property
    def rate(self) -> Rate:
        return Rate.of(self.trials)

    @property
    def observed(self) -> timedelta:
        """How long the runs are known, at most the window."""
        return self.until - self.since

    def above_allowance(self, percent: float) -> int:
        """Failures beyond what *percent* allows in a whole window; above 0 it cannot pass any more."""
        due = rates.due_count(self.cron, self.until - WINDOW, self.until)
        return max(0, self.rate.failed - rates.allowed_failures(due, percent))

    def table(self, percent: float) -> str:
        head = f"{self.since:%Y-%m-%d %H:%M} to {self.until:%Y-%m-%d %H:%M} UTC, cron {self.cron}"
        others = [f"{self.synced} more were synced from the bucket, not made here"] * bool(self.synced)
        return "\n".join([head, self.rate.sentence(percent), *others, rates.table(self.trials)])


def observe(kubernetes: Kubernetes, schedule: Json, backups: Sequence[Json], now: datetime) -> ScheduleObservation:
    """The runs of *schedule* among its *backups*, without those that a scenario triggered or another cluster made."""
    others = [backup for backup in backups if RUN_LABEL not in labels_of(backup)]
    runs = tuple(ScheduleRun.of(backup) for backup in others if not is_synced(backup))
    synced = tuple(time_of(backup["status"]["startTimestamp"]) for backup in others if is_synced(backup))
    known = [time_of(schedule["metadata"]["creationTimestamp"]), *(run.created - rates.TICK for run in runs)]
    kept = timedelta(seconds=seconds_of(schedule["spec"]["template"].get("ttl") or DEFAULT_TTL))
    cluster = kubernetes.require(NAMESPACE, "kube-system")["metadata"]["uid"]
    return ScheduleObservation(cluster, name_of(schedule), max(min(known), now - kept), now, runs, synced)


def calendar(path: Path, cron: str, seen: ScheduleObservation) -> Calendar:
    """Record *seen* in the ledger at *path*, and judge the window by all its runs."""
    kept = update(path, seen)
    running = [run for run in seen.runs if not run.finished]
    since, runs = max(kept.since, seen.at - WINDOW), [*kept.runs.values(), *running]
    return judge(cron, runs, since=since, until=seen.at, synced=seen.synced)


def judge(
    cron: str, runs: Sequence[ScheduleRun], *, since: datetime, until: datetime, synced: Sequence[datetime] = ()
) -> Calendar:
    found = rates.trials(cron, runs, since=since, until=until, unknown=synced)
    return Calendar(cron, since, until, found, len(synced))
