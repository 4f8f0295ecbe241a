"""Velero by its custom resources: what a user's `velero` command does, with every phase recorded."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from velero_acceptance.core.errors import AcceptanceError
from velero_acceptance.core.waiting import Deadline, WaitTimedOut
from velero_acceptance.drivers.kinds import (
    BACKUP,
    BACKUP_REPOSITORY,
    DELETE_BACKUP_REQUEST,
    POD_VOLUME_BACKUP,
    POD_VOLUME_RESTORE,
    RESTORE,
    SCHEDULE,
    Json,
    Kind,
    labels_of,
    name_of,
    phase_of,
    time_of,
)
from velero_acceptance.drivers.velero_server import VeleroServer

# Canceled is a volume's, from Velero 1.17 on.
FINISHED = frozenset({"Completed", "PartiallyFailed", "Failed", "FailedValidation", "Canceled"})
BACKUP_LABEL = "velero.io/backup-name"
RESTORE_LABEL = "velero.io/restore-name"
VOLUME_NAMESPACE_LABEL = "velero.io/volume-namespace"
SCHEDULE_LABEL = "velero.io/schedule-name"
# velero, pkg/apis/velero/v1/labels_annotations.go: in place of the server's --fs-backup-timeout, a Go duration.
VOLUME_TIMEOUT = "velero.io/pod-volume-timeout"
# Velero cleans S3 before it lets go of a Restore, and cannot once it is itself gone.
RESTORE_FINALIZER = "restores.velero.io/external-resources-finalizer"


@dataclass(frozen=True)
class Transition:
    """A phase and when it was first seen, in seconds since the object was created."""

    phase: str
    seconds: float


@dataclass
class Operation:
    """A Backup or Restore that was followed from its creation."""

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
        """Seconds from creation to when Velero took it from its queue; None when it was not in one (before 1.18)."""
        steps = itertools.pairwise(self.transitions)
        return next((after.seconds for before, after in steps if before.phase == "Queued"), None)

    def reason(self) -> str:
        """What Velero says about a failure."""
        problems = [*self.status.get("validationErrors", []), self.status.get("failureReason", "")]
        return "; ".join(problem for problem in problems if problem)

    def require(self, phase: str = "Completed") -> Operation:
        """Itself when it ended in *phase*; else AcceptanceError with Velero's reason."""
        if self.phase != phase:
            raise AcceptanceError(
                f"{self.name} ended {self.phase}, not {phase}: {self.reason()} ({self.errors} errors)"
            )
        return self


class Velero(VeleroServer):
    """The Velero of one namespace: server, location, and what they make."""

    # -- backups and restores ------------------------------------------------------------

    def backup(self, name: str, *, labels: Mapping[str, str], **spec: object) -> Operation:
        """Create a Backup and follow it to its end, whatever that is."""
        return self._follow(BACKUP, name, labels, {"storageLocation": self.location_name, **spec}, "backup_finished")

    def create_backup(
        self, name: str, *, labels: Mapping[str, str], volume_timeout: str | None = None, **spec: object
    ) -> Json:
        """Create a Backup without waiting. *volume_timeout*: how long Velero waits for its volumes."""
        annotations = {VOLUME_TIMEOUT: volume_timeout} if volume_timeout else {}
        content = {"storageLocation": self.location_name, **spec}
        return self._create(BACKUP, name, labels, content, annotations=annotations)

    def follow_backup(self, name: str) -> Operation:
        """Follow a Backup that exists to its end; the times count from now."""
        deadline = Deadline(self._timeouts["backup_finished"])
        states = self._kubernetes.watch(BACKUP, self.namespace, fields=f"metadata.name={name}", deadline=deadline)
        return _to_the_end(f"Backup {name}", (state.get(name) for state in states), deadline)

    def wait_started(self, name: str) -> None:
        """Wait until a Backup is InProgress; one that has ended before is a WaitEnded."""
        self._kubernetes.wait(
            BACKUP,
            name,
            self.namespace,
            until=lambda item: phase_of(item) == "InProgress",
            terminal=lambda item: f"it is {phase_of(item)}" if phase_of(item) in FINISHED else None,
            event=f"the backup {name} is InProgress",
            timeout=self._timeouts["backup_started"],
        )

    def find_backup(self, name: str) -> Json | None:
        """A Backup as it is now; None when there is none."""
        return self._kubernetes.get(BACKUP, name, self.namespace)

    def restore(self, name: str, *, labels: Mapping[str, str], backup: str, **spec: object) -> Operation:
        """Create a Restore and follow it to its end. Completed is not yet data: look at the pods."""
        return self._follow(RESTORE, name, labels, {"backupName": backup, **spec}, "restore_finished")

    def delete_backup(self, name: str) -> None:
        """Ask Velero to delete a backup with all it holds in S3, as `velero backup delete` does."""
        item = self._kubernetes.get(BACKUP, name, self.namespace)
        if item is None:
            return
        if phase_of(item) == "FailedValidation":  # it has nothing in S3, maybe not even a location
            self._kubernetes.delete(BACKUP, name, self.namespace)
            return
        body = {
            "metadata": {
                "generateName": f"{name}-",
                "namespace": self.namespace,
                "labels": {BACKUP_LABEL: name, "velero.io/backup-uid": item["metadata"]["uid"]},
            },
            "spec": {"backupName": name},
        }
        self._kubernetes.create(DELETE_BACKUP_REQUEST, body)

    def wait_synced(self, backup: str) -> float:
        """Wait until Velero has made the object of a backup from the bucket; return the seconds waited."""
        deadline = Deadline(self._timeouts["backup_synced"])
        self._kubernetes.wait(
            BACKUP,
            backup,
            self.namespace,
            until=lambda item: phase_of(item) == "Completed",
            event=f"Velero finds the backup {backup} in the bucket",
            timeout=deadline.seconds,
        )
        return deadline.elapsed

    def volume_backups(self, backup: str) -> list[Json]:
        """The PodVolumeBackups of a backup."""
        return self._kubernetes.list_all(POD_VOLUME_BACKUP, self.namespace, labels=f"{BACKUP_LABEL}={backup}")

    def volume_restores(self, restore: str) -> list[Json]:
        """The PodVolumeRestores of a restore."""
        return self._kubernetes.list_all(POD_VOLUME_RESTORE, self.namespace, labels=f"{RESTORE_LABEL}={restore}")

    def repositories(self, volume_namespace: str) -> list[Json]:
        """The BackupRepositories that hold the volumes of a namespace."""
        label = f"{VOLUME_NAMESPACE_LABEL}={volume_namespace}"
        return self._kubernetes.list_all(BACKUP_REPOSITORY, self.namespace, labels=label)

    def expire(self, backup: str, at: str) -> None:
        """Move a backup's expiration (a time accelerator; the CRD has no status subresource)."""
        self._kubernetes.patch(BACKUP, backup, self.namespace, {"status": {"expiration": at}})

    def finish_at(self, backup: str, at: str) -> None:
        """Move the time at which a backup was completed (a time accelerator)."""
        self._kubernetes.patch(BACKUP, backup, self.namespace, {"status": {"completionTimestamp": at}})

    # -- schedules -----------------------------------------------------------------------

    def schedule(self, name: str) -> Json:
        return self._kubernetes.require(SCHEDULE, name, self.namespace)

    def create_schedule(self, name: str, *, labels: Mapping[str, str], spec: Json, last_backup: str) -> Json:
        """Create a Schedule that believes to have run last at *last_backup* (a time accelerator)."""
        metadata = {"name": name, "namespace": self.namespace, "labels": dict(labels)}
        body = {"metadata": metadata, "spec": spec, "status": {"lastBackup": last_backup}}
        return self._kubernetes.create(SCHEDULE, body)

    def pretend_last_run(self, schedule: str, at: str) -> None:
        """Make a Schedule believe that it ran last at *at* (a time accelerator)."""
        self._kubernetes.patch(SCHEDULE, schedule, self.namespace, {"status": {"lastBackup": at}})

    def newest_completed(self, labels: str) -> Operation | None:
        """The backup that was completed last, of those with *labels*; None when there is none."""
        found = self._kubernetes.list_all(BACKUP, self.namespace, labels=labels)
        done = [Operation(item) for item in found if phase_of(item) == "Completed"]
        return max(done, key=lambda backup: backup.finished, default=None)

    def run_now(self, schedule: str, last_backup: str) -> None:
        """Make a Schedule run at once, with *last_backup* as its last run (a time accelerator).

        Velero looks at its schedules every minute, and at one that changes immediately; resumed after its due
        time, it runs (velero issue 6517).
        """
        self._kubernetes.patch(SCHEDULE, schedule, self.namespace, {"spec": {"paused": True}})
        change = {"spec": {"paused": False}, "status": {"lastBackup": last_backup}}
        self._kubernetes.patch(SCHEDULE, schedule, self.namespace, change)

    def edit_schedule(self, name: str, spec: Json, *, last_backup: str | None = None) -> None:
        """Merge *spec* into a Schedule's, which Velero looks at for it at once, and not at its next tick."""
        status = {"status": {"lastBackup": last_backup}} if last_backup else {}
        self._kubernetes.patch(SCHEDULE, name, self.namespace, {"spec": spec, **status})

    def label_backup(self, name: str, labels: Mapping[str, str]) -> None:
        """Put *labels* on a backup that Velero made of its own accord."""
        self._kubernetes.patch(BACKUP, name, self.namespace, {"metadata": {"labels": dict(labels)}})

    def scheduled_backups(self, schedule: str) -> list[Json]:
        return self._kubernetes.list_all(BACKUP, self.namespace, labels=f"{SCHEDULE_LABEL}={schedule}")

    def wait_scheduled(self, schedule: str, known: set[str]) -> tuple[Json, float]:
        """Wait for a backup of *schedule* that is not in *known*; return it and the seconds waited."""
        deadline = Deadline(self._timeouts["schedule_fires"])

        def fresh(items: list[Json]) -> list[Json]:
            return [item for item in items if name_of(item) not in known]

        found = self._kubernetes.wait_all(
            BACKUP,
            self.namespace,
            labels=f"{SCHEDULE_LABEL}={schedule}",
            until=lambda items: bool(fresh(items)),
            event=f"the schedule {schedule} makes a backup",
            timeout=deadline.seconds,
        )
        return fresh(found)[0], deadline.elapsed

    def wait_backup_label(self, backup: str, label: str, value: str) -> None:
        """Wait until Velero has put a label on a backup."""
        self._kubernetes.wait(
            BACKUP,
            backup,
            self.namespace,
            until=lambda item: item is not None and labels_of(item).get(label) == value,
            terminal=lambda item: "the backup is gone" if item is None else None,
            event=f"the backup {backup} gets the label {label}={value}",
            timeout=self._timeouts["garbage_collected"],
        )

    def gc_mark(self, backup: str) -> str:
        """Why the collector says that it could not delete a backup; empty when it says nothing."""
        found = self.find_backup(backup)
        return labels_of(found).get("velero.io/gc-failure", "") if found else ""

    def wait_deletion_requested(self, backup: str) -> Json:
        """Wait for a DeleteBackupRequest for a backup; return it."""
        found = self._kubernetes.wait_all(
            DELETE_BACKUP_REQUEST,
            self.namespace,
            labels=f"{BACKUP_LABEL}={backup}",
            until=bool,
            event=f"the deletion of the backup {backup} is asked for",
            timeout=self._timeouts["garbage_collected"],
        )
        return found[0]

    def is_collected(self, backup: str) -> bool:
        """Whether a backup's deletion was asked for, or the log calls it expired."""
        requests = self._kubernetes.list_all(DELETE_BACKUP_REQUEST, self.namespace, labels=f"{BACKUP_LABEL}={backup}")
        return bool(requests or self.log_lines(backup, "expired"))

    # -- following -----------------------------------------------------------------------

    def _create(
        self, kind: Kind, name: str, labels: Mapping[str, str], spec: Json, annotations: Mapping[str, str] | None = None
    ) -> Json:
        metadata = {"name": name, "namespace": self.namespace, "labels": dict(labels), "annotations": annotations or {}}
        return self._kubernetes.create(kind, {"metadata": metadata, "spec": spec})

    def _follow(self, kind: Kind, name: str, labels: Mapping[str, str], spec: Json, timeout: str) -> Operation:
        """Watch first, then create, so that the shortest phase is seen; return at a finished phase."""
        deadline = Deadline(self._timeouts[timeout])
        states = self._kubernetes.watch(kind, self.namespace, fields=f"metadata.name={name}", deadline=deadline)
        next(states)
        created = self._create(kind, name, labels, spec)
        found = (state.get(name) for state in states)
        return _to_the_end(f"{kind.kind} {name}", itertools.chain([created], found), deadline)


def _to_the_end(what: str, states: Iterable[Json | None], deadline: Deadline) -> Operation:
    """Note each phase when it is first seen; return at a finished one."""
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
