"""Velero by its custom resources: backups, restores and schedules, with every phase recorded."""

import hashlib
import itertools
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from velero_acceptance.core.errors import AcceptanceError
from velero_acceptance.core.waiting import Deadline, WaitTimedOut
from velero_acceptance.drivers import kinds
from velero_acceptance.drivers.kinds import Json, Kind, labels_of, name_of, phase_of, time_of
from velero_acceptance.drivers.velero_server import VeleroServer

# Canceled: only volumes, from Velero 1.17 on.
FINISHED = frozenset({"Completed", "PartiallyFailed", "Failed", "FailedValidation", "Canceled"})
BACKUP_LABEL = "velero.io/backup-name"
RESTORE_LABEL = "velero.io/restore-name"
VOLUME_NAMESPACE_LABEL = "velero.io/volume-namespace"
SCHEDULE_LABEL = "velero.io/schedule-name"
# velero, pkg/apis/velero/v1/labels_annotations.go: overrides the server's --fs-backup-timeout, a Go duration.
VOLUME_TIMEOUT = "velero.io/pod-volume-timeout"
LABEL_LENGTH = 63
# How far the clocks of Velero and of the API server may be apart.
SKEW = timedelta(seconds=5)
# The Secret with the password of all repositories.
REPOSITORY_SECRET = "velero-repo-credentials"


def label_value(name: str) -> str:
    """*name* as Velero writes it into a label: shortened by a hash if it is too long (velero, pkg/label/label.go)."""
    if len(name) <= LABEL_LENGTH:
        return name
    return name[: LABEL_LENGTH - 6] + hashlib.sha256(name.encode()).hexdigest()[:6]


def is_synced(backup: Json) -> bool:
    """Whether Velero found a Backup in the bucket and created its object: it had ended before it was created."""
    ended = (backup.get("status") or {}).get("completionTimestamp")
    return ended is not None and time_of(ended) + SKEW < time_of(backup["metadata"]["creationTimestamp"])


@dataclass(frozen=True)
class Transition:
    """A phase and when it was first seen, in seconds since the object was created."""

    phase: str
    seconds: float


@dataclass
class Operation:
    """A Backup or Restore that was watched from its creation."""

    item: Json
    transitions: list[Transition] = field(default_factory=list)

    @property
    def name(self) -> str:
        return name_of(self.item)

    @property
    def phase(self) -> str:
        return phase_of(self.item)

    @property
    def status(self) -> Json:
        return dict(self.item.get("status") or {})

    @property
    def errors(self) -> int:
        return int(self.status.get("errors", 0))

    @property
    def warnings(self) -> int:
        return int(self.status.get("warnings", 0))

    @property
    def started(self) -> datetime:
        return time_of(self.status["startTimestamp"])

    @property
    def finished(self) -> datetime:
        return time_of(self.status["completionTimestamp"])

    @property
    def created(self) -> datetime:
        return time_of(self.item["metadata"]["creationTimestamp"])

    def seconds_to(self, phase: str) -> float:
        """Seconds from creation to the first sight of *phase*; raises AcceptanceError when it never came."""
        for transition in self.transitions:
            if transition.phase == phase:
                return transition.seconds
        seen = " → ".join(transition.phase for transition in self.transitions) or "no phase"
        raise AcceptanceError(f"{self.name} never was {phase}: {seen}. {self.reason()}")

    @property
    def left_queue(self) -> float | None:
        """Seconds from creation to when it left Velero's queue; None when it was in none (before 1.18)."""
        steps = itertools.pairwise(self.transitions)
        return next((after.seconds for before, after in steps if before.phase == "Queued"), None)

    def reason(self) -> str:
        """Velero's reasons for a failure."""
        problems = [*self.status.get("validationErrors", []), self.status.get("failureReason", "")]
        return "; ".join(problem for problem in problems if problem)

    def require(self, phase: str = "Completed") -> "Operation":
        """This operation if it ended in *phase*; else AcceptanceError with Velero's reason."""
        if self.phase != phase:
            raise AcceptanceError(
                f"{self.name} ended {self.phase}, not {phase}: {self.reason()} ({self.errors} errors)"
            )
        return self


class Velero(VeleroServer):
    """The Velero of one namespace: its server, its location, its backups, restores and schedules."""

    def backup(self, name: str, *, labels: Mapping[str, str], **spec: object) -> Operation:
        """Create a Backup and watch it until it ends, in whatever phase."""
        return self._follow(
            kinds.BACKUP, name, labels, {"storageLocation": self.location_name, **spec}, "backup_finished"
        )

    def create_backup(
        self, name: str, *, labels: Mapping[str, str], volume_timeout: str | None = None, **spec: object
    ) -> Json:
        """Create a Backup without waiting. *volume_timeout*: how long Velero waits for its volumes."""
        annotations = {VOLUME_TIMEOUT: volume_timeout} if volume_timeout else {}
        return self._create(kinds.BACKUP, name, labels, {"storageLocation": self.location_name, **spec}, annotations)

    def follow_backup(self, name: str) -> Operation:
        """Watch an existing Backup until it ends; its times count from now."""
        deadline = Deadline(self._timeouts["backup_finished"])
        states = self._kubernetes.watch(kinds.BACKUP, self.namespace, fields=f"metadata.name={name}", deadline=deadline)
        return _to_the_end(f"Backup {name}", (state.get(name) for state in states), deadline)

    def wait_started(self, name: str) -> None:
        """Wait until a Backup is InProgress; raises WaitEnded when it has ended already."""
        self._wait(
            kinds.BACKUP,
            name,
            lambda item: phase_of(item) == "InProgress",
            f"the backup {name} is InProgress",
            self._timeouts["backup_started"],
            lambda item: f"it is {phase_of(item)}" if phase_of(item) in FINISHED else None,
        )

    def find_backup(self, name: str) -> Json | None:
        """A Backup as it is now; None when there is none."""
        return self._kubernetes.get(kinds.BACKUP, name, self.namespace)

    def restore(self, name: str, *, labels: Mapping[str, str], backup: str, **spec: object) -> Operation:
        """Create a Restore and watch it until it ends. Completed does not prove the data: look at the pods."""
        return self._follow(kinds.RESTORE, name, labels, {"backupName": backup, **spec}, "restore_finished")

    def delete_backup(self, name: str) -> None:
        """Ask Velero to delete a backup and its data in S3, as `velero backup delete` does."""
        item = self.find_backup(name)
        if item is None:
            return
        if phase_of(item) == "FailedValidation":  # it has nothing in S3, and its location may not exist
            self._kubernetes.delete(kinds.BACKUP, name, self.namespace)
            return
        metadata = {
            "generateName": f"{name}-",
            "namespace": self.namespace,
            "labels": {BACKUP_LABEL: label_value(name), "velero.io/backup-uid": item["metadata"]["uid"]},
        }
        self._kubernetes.create(kinds.DELETE_BACKUP_REQUEST, {"metadata": metadata, "spec": {"backupName": name}})

    def wait_synced(self, backup: str) -> float:
        """Wait until Velero has created the object of a backup in the bucket; return the seconds waited."""
        deadline = Deadline(self._timeouts["backup_synced"])
        event = f"Velero finds the backup {backup} in the bucket"
        self._wait(kinds.BACKUP, backup, lambda item: phase_of(item) == "Completed", event, deadline.seconds)
        return deadline.elapsed

    def volume_backups(self, backup: str) -> list[Json]:
        return self._labelled(kinds.POD_VOLUME_BACKUP, BACKUP_LABEL, backup)

    def volume_restores(self, restore: str) -> list[Json]:
        return self._labelled(kinds.POD_VOLUME_RESTORE, RESTORE_LABEL, restore)

    def repositories(self, volume_namespace: str) -> list[Json]:
        """The BackupRepositories of a namespace's volumes."""
        return self._labelled(kinds.BACKUP_REPOSITORY, VOLUME_NAMESPACE_LABEL, volume_namespace)

    def move_time(self, kind: Kind, name: str, entry: str, at: str | None) -> None:
        """Move a time in the status of an object, or remove it (a time accelerator; there is no status subresource)."""
        self._kubernetes.patch(kind, name, self.namespace, {"status": {entry: at}})

    def schedule(self, name: str) -> Json:
        return self._kubernetes.require(kinds.SCHEDULE, name, self.namespace)

    def create_schedule(self, name: str, *, labels: Mapping[str, str], spec: Json, last_backup: str) -> Json:
        """Create a Schedule whose last run is *last_backup* (a time accelerator)."""
        metadata = {"name": name, "namespace": self.namespace, "labels": dict(labels)}
        body = {"metadata": metadata, "spec": spec, "status": {"lastBackup": last_backup}}
        return self._kubernetes.create(kinds.SCHEDULE, body)

    def newest_finished(self, labels: str) -> Operation | None:
        """The backup with *labels* that was created last of those that have ended, in whatever phase; None without.

        Backups of other clusters that share the bucket do not count.
        """
        items = self._kubernetes.list_all(kinds.BACKUP, self.namespace, labels=labels)
        found = [Operation(item) for item in items if not is_synced(item)]
        done = (backup for backup in found if backup.phase in FINISHED)
        return max(done, key=lambda backup: backup.created, default=None)

    def run_now(self, schedule: str, last_backup: str) -> None:
        """Make a Schedule run at once, with *last_backup* as its last run (a time accelerator).

        Velero checks its schedules every minute, and a changed one immediately; one that is resumed after its due
        time runs (velero issue 6517).
        """
        self.edit_schedule(schedule, {"paused": True})
        self.edit_schedule(schedule, {"paused": False}, last_backup=last_backup)

    def edit_schedule(self, name: str, spec: Json, *, last_backup: str | None = None) -> None:
        """Merge *spec* into a Schedule's: Velero checks a changed schedule immediately, not at its next tick."""
        status = {"status": {"lastBackup": last_backup, "lastSkipped": None}} if last_backup else {}
        self._kubernetes.patch(kinds.SCHEDULE, name, self.namespace, {"spec": spec, **status})

    def label_backup(self, name: str, labels: Mapping[str, str]) -> None:
        """Add *labels* to a backup that Velero made from a schedule."""
        self._kubernetes.patch(kinds.BACKUP, name, self.namespace, {"metadata": {"labels": dict(labels)}})

    def scheduled_backups(self, schedule: str) -> list[Json]:
        return self._labelled(kinds.BACKUP, SCHEDULE_LABEL, schedule)

    def wait_scheduled(self, schedule: str, known: set[str]) -> tuple[Json, float]:
        """Wait for a backup of *schedule* that is not in *known*; return it and the seconds waited."""
        deadline = Deadline(self._timeouts["schedule_fires"])

        def fresh(items: list[Json]) -> list[Json]:
            return [item for item in items if name_of(item) not in known]

        try:
            found = self._kubernetes.wait_all(
                kinds.BACKUP,
                self.namespace,
                labels=f"{SCHEDULE_LABEL}={label_value(schedule)}",
                until=lambda items: bool(fresh(items)),
                event=f"the schedule {schedule} makes a backup",
                timeout=deadline.seconds,
            )
        except WaitTimedOut as error:
            lines = self.log_lines(f"/{schedule}", "level=error")
            error.args = ("; Velero logs: ".join([str(error), *lines[-1:]]),)
            raise
        return fresh(found)[0], deadline.elapsed

    def wait_backup_label(self, backup: str, label: str, value: str) -> None:
        self._wait(
            kinds.BACKUP,
            backup,
            lambda item: item is not None and labels_of(item).get(label) == value,
            f"the backup {backup} gets the label {label}={value}",
            self._timeouts["garbage_collected"],
            lambda item: "the backup is gone" if item is None else None,
        )

    def gc_mark(self, backup: str) -> str:
        """The garbage collector's reason for not deleting a backup; empty when there is none."""
        found = self.find_backup(backup)
        return labels_of(found).get("velero.io/gc-failure", "") if found else ""

    def wait_deletion_requested(self, backup: str) -> Json:
        """Wait for a DeleteBackupRequest for a backup; return it."""
        found = self._kubernetes.wait_all(
            kinds.DELETE_BACKUP_REQUEST,
            self.namespace,
            labels=f"{BACKUP_LABEL}={label_value(backup)}",
            until=bool,
            event=f"a request to delete the backup {backup}",
            timeout=self._timeouts["garbage_collected"],
        )
        return found[0]

    def deletion_requests(self, backup: str) -> list[Json]:
        return self._labelled(kinds.DELETE_BACKUP_REQUEST, BACKUP_LABEL, backup)

    def is_collected(self, backup: str) -> bool:
        """Whether there is a request to delete a backup, or the log calls it expired."""
        return bool(self.deletion_requests(backup) or self.log_lines(backup, "expired"))

    def _labelled(self, kind: Kind, label: str, value: str) -> list[Json]:
        return self._kubernetes.list_all(kind, self.namespace, labels=f"{label}={label_value(value)}")

    def _create(
        self, kind: Kind, name: str, labels: Mapping[str, str], spec: Json, annotations: Mapping[str, str] | None = None
    ) -> Json:
        metadata = {"name": name, "namespace": self.namespace, "labels": dict(labels), "annotations": annotations or {}}
        return self._kubernetes.create(kind, {"metadata": metadata, "spec": spec})

    def _follow(self, kind: Kind, name: str, labels: Mapping[str, str], spec: Json, timeout: str) -> Operation:
        """Watch first, then create, so that even the shortest phase is seen; return at a finished phase."""
        deadline = Deadline(self._timeouts[timeout])
        states = self._kubernetes.watch(kind, self.namespace, fields=f"metadata.name={name}", deadline=deadline)
        next(states)
        created = self._create(kind, name, labels, spec)
        found = (state.get(name) for state in states)
        return _to_the_end(f"{kind.kind} {name}", itertools.chain([created], found), deadline)


def _to_the_end(what: str, states: Iterable[Json | None], deadline: Deadline) -> Operation:
    """Record each phase when it is first seen; return at a finished one."""
    operation = Operation({})
    started = time.monotonic()
    for item in states:
        if item is None:
            continue
        operation.item = item
        if (phase := phase_of(item)) and phase not in {seen.phase for seen in operation.transitions}:
            operation.transitions.append(Transition(phase, time.monotonic() - started))
        if phase in FINISHED:
            return operation
    seen = [transition.phase for transition in operation.transitions]
    raise WaitTimedOut(
        f"{what} finishes", "not seen", elapsed=deadline.elapsed, attempts=len(seen), last=operation.status
    )
