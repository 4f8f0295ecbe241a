"""Remove what scenarios made, and see whether anything is left: in Kubernetes and in S3.

Removal is asked for when a scenario ends and awaited at the end of the run, so that Velero's
own deletions run beside the next scenario. What is left then is a leak, and red.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, fields
from datetime import datetime

from velero_acceptance.core.errors import AcceptanceError
from velero_acceptance.core.naming import LONG_AGO, RUN_LABEL, SCENARIO_LABEL, belongs_to_run, expiry_of
from velero_acceptance.core.timeouts import Timeouts
from velero_acceptance.core.waiting import Deadline, poll
from velero_acceptance.corpus.uploaders import UPLOADERS
from velero_acceptance.drivers.kinds import (
    BACKUP,
    BACKUP_REPOSITORY,
    CLAIM,
    CLUSTER_ROLE_BINDING,
    DELETE_BACKUP_REQUEST,
    DEPLOYMENT,
    DOWNLOAD_REQUEST,
    JOB,
    NAMESPACE,
    POD,
    POD_VOLUME_BACKUP,
    POD_VOLUME_RESTORE,
    RESTORE,
    ROLE,
    ROLE_BINDING,
    SCHEDULE,
    SECRET,
    STORAGE_LOCATION,
    VOLUME,
    Json,
    Kind,
    labels_of,
    name_of,
)
from velero_acceptance.drivers.kubernetes import Kubernetes
from velero_acceptance.drivers.s3 import Bucket
from velero_acceptance.drivers.velero import BACKUP_LABEL, RESTORE_LABEL, VOLUME_NAMESPACE_LABEL, Velero

# On the jobs that maintain a repository; Velero keeps the last ones for ever.
REPOSITORY_LABEL = "velero.io/repo-name"
# What carries a run's label, by the entry of the ledger that its name belongs to.
LABELLED = {
    "schedules": SCHEDULE,
    "restores": RESTORE,
    "backups": BACKUP,
    "locations": STORAGE_LOCATION,
    "repositories": BACKUP_REPOSITORY,
    "secrets": SECRET,
    "pods": POD,
    "roles": ROLE,
    "role_bindings": ROLE_BINDING,
    "cluster_role_bindings": CLUSTER_ROLE_BINDING,
    "namespaces": NAMESPACE,
}

GUEST_KINDS = (DEPLOYMENT, CLAIM)


@dataclass
class CreatedResources:
    """Names of what was made, for removal. A name is entered before the thing is made."""

    namespaces: set[str] = field(default_factory=set)
    backups: set[str] = field(default_factory=set)
    restores: set[str] = field(default_factory=set)
    schedules: set[str] = field(default_factory=set)
    # In Velero's namespace:
    locations: set[str] = field(default_factory=set)
    repositories: set[str] = field(default_factory=set)
    secrets: set[str] = field(default_factory=set)
    pods: set[str] = field(default_factory=set)
    roles: set[str] = field(default_factory=set)
    role_bindings: set[str] = field(default_factory=set)
    # Of the whole cluster:
    cluster_role_bindings: set[str] = field(default_factory=set)
    # Deployments with a claim of the same name in namespaces that are not ours, as namespace/name; and those of
    # these namespaces that had no repository before, so that ours goes too.
    workloads: set[str] = field(default_factory=set)
    borrowed: set[str] = field(default_factory=set)
    volumes: set[str] = field(default_factory=set)
    keys: set[str] = field(default_factory=set)

    def add(self, other: CreatedResources) -> None:
        for entry in fields(CreatedResources):
            getattr(self, entry.name).update(getattr(other, entry.name))

    @property
    def names(self) -> set[str]:
        """Every name in it, of whatever kind."""
        return set().union(*(getattr(self, entry.name) for entry in fields(CreatedResources)))

    def __bool__(self) -> bool:
        return bool(self.names)


@contextmanager
def _kept(errors: list[AcceptanceError]) -> Iterator[None]:
    """Put an error with *errors* instead of raising it."""
    try:
        yield
    except AcceptanceError as error:
        errors.append(error)


@dataclass
class LeftoverResources(CreatedResources):
    """What a run has on the cluster, and from when on anybody may remove all of it."""

    expires: datetime = LONG_AGO


class ResourceCleaner:
    """Cleans one cluster and one bucket."""

    def __init__(self, kubernetes: Kubernetes, velero: Velero, bucket: Bucket, prefix: str, timeouts: Timeouts) -> None:
        self._kubernetes, self._velero, self._bucket, self._timeouts = kubernetes, velero, bucket, timeouts
        self._prefix = f"{prefix}/" if prefix else ""

    def start(self, made: CreatedResources) -> None:
        """Ask for the removal of everything in *made*, the runs of its schedules included, without waiting.

        What cannot be asked for keeps nothing else; the first error is raised in the end.
        """
        errors: list[AcceptanceError] = []
        for schedule in made.schedules:
            with _kept(errors):
                self._kubernetes.delete(SCHEDULE, schedule, self._velero.namespace)
                made.backups.update(map(name_of, self._velero.scheduled_backups(schedule)))
        for entry, kind in LABELLED.items():
            for name in getattr(made, entry):
                with _kept(errors):
                    if kind is BACKUP:
                        self._velero.delete_backup(name)
                    else:
                        self._kubernetes.delete(kind, name, self._velero.namespace)
        for guest in made.workloads:
            namespace, _, name = guest.partition("/")
            for kind in GUEST_KINDS:
                with _kept(errors):
                    self._kubernetes.delete(kind, name, namespace)
        for volume in made.volumes:
            with _kept(errors):
                self._kubernetes.delete(VOLUME, volume)
        with _kept(errors):
            self._bucket.delete(*made.keys)
        if errors:
            raise errors[0]

    def finish(self, made: CreatedResources) -> list[str]:
        """Wait until *made* is gone, then remove the repositories; return what would not go."""
        # Velero drops a request for a backup that was still at work, or that its restart cut short.
        for backup in self._remaining(BACKUP, made.backups, Deadline(self._timeouts["backup_deleted"] / 6)):
            self._velero.delete_backup(backup)
        deadline = Deadline(self._timeouts["backup_deleted"])
        problems = [
            f"{kind.kind} {name} is still there"
            for kind, names in ((BACKUP, made.backups), (RESTORE, made.restores), (NAMESPACE, made.namespaces))
            for name in sorted(self._remaining(kind, names, deadline))
        ]
        for request in self._kubernetes.list_all(DOWNLOAD_REQUEST, self._velero.namespace):
            # Of `velero backup logs` and the like: Velero removes them when they expire, after ten minutes.
            if request["spec"]["target"]["name"] in made.names:
                self._kubernetes.delete(DOWNLOAD_REQUEST, name_of(request), self._velero.namespace)
        for restore in made.restores:
            # What Velero still wrote of a restore that was removed while at work.
            self._bucket.delete_below(f"{self._prefix}restores/{restore}/")
        for name in made.namespaces | self._unused(made.borrowed):
            for repository in self._velero.repositories(name):
                self._kubernetes.delete(BACKUP_REPOSITORY, name_of(repository), self._velero.namespace)
                for job in self._kubernetes.list_all(
                    JOB, self._velero.namespace, labels=f"{REPOSITORY_LABEL}={name_of(repository)}"
                ):
                    self._kubernetes.delete(JOB, name_of(job), self._velero.namespace)
            for uploader in UPLOADERS.values():
                # Velero keeps repositories for ever; all that is in these is ours.
                self._bucket.delete_below(f"{self._prefix}{uploader.folder}/{name}/")
            if name in made.namespaces:
                self._bucket.delete_below(f"{name}/")  # the prefix of a Velero of its own
        return problems

    def _unused(self, namespaces: set[str]) -> set[str]:
        """Those of *namespaces* that no backup holds a volume of."""
        volumes = self._kubernetes.list_all(POD_VOLUME_BACKUP, self._velero.namespace) if namespaces else []
        return namespaces - {volume["spec"]["pod"]["namespace"] for volume in volumes}

    def leftovers(self, run: str) -> list[str]:
        """Everything of *run* that exists after a settling time, each as one line."""
        deadline = Deadline(self._timeouts["object_gone"])
        found: list[str] = []
        try:
            poll(
                lambda: self._find(run, found),
                until=lambda left: not left,
                event="nothing of the run is left",
                timeout=deadline.remaining,
                interval=1.0,
            )
        except AcceptanceError:
            return list(found)
        return []

    def runs(self) -> dict[str, LeftoverResources]:
        """What labelled runs have on the cluster, by run id."""
        found: dict[str, LeftoverResources] = {}
        for entry, kind in LABELLED.items():
            for item in self._kubernetes.list_all(kind, self._place(kind), labels=RUN_LABEL):
                of_run = found.setdefault(labels_of(item)[RUN_LABEL], LeftoverResources())
                getattr(of_run, entry).add(name_of(item))
                of_run.expires = max(of_run.expires, expiry_of(labels_of(item)))
        for kind in GUEST_KINDS:
            for item in self._kubernetes.list_all(kind, labels=RUN_LABEL):
                of_run = found.setdefault(labels_of(item)[RUN_LABEL], LeftoverResources())
                of_run.workloads.add(f"{item['metadata']['namespace']}/{name_of(item)}")
                of_run.expires = max(of_run.expires, expiry_of(labels_of(item)))
        return found

    def _remaining(self, kind: Kind, names: set[str], deadline: Deadline) -> set[str]:
        if not names:
            return set()
        there: set[str] = set()

        def look() -> set[str]:
            nonlocal there
            there = {name_of(item) for item in self._kubernetes.list_all(kind, self._place(kind))} & names
            return there

        with suppress(AcceptanceError):  # what is left is what we return
            poll(look, until=lambda left: not left, event="it is gone", timeout=deadline.remaining + 1, interval=1)
        return there

    def _place(self, kind: Kind) -> str | None:
        """Where what carries a run's label is: what is elsewhere goes with a namespace that carries it too."""
        return self._velero.namespace if kind.namespaced else None

    def _find(self, run: str, found: list[str]) -> list[str]:
        found[:] = [*self._objects(run), *self._keys(run)]
        return found

    def _objects(self, run: str) -> Iterable[str]:
        places = [*((kind, self._place(kind)) for kind in LABELLED.values()), *((kind, None) for kind in GUEST_KINDS)]
        for kind, place in places:
            for item in self._kubernetes.list_all(kind, place, labels=f"{RUN_LABEL}={run}"):
                yield f"{kind.kind} {name_of(item)} of {labels_of(item).get(SCENARIO_LABEL, '?')}"
        for volume in self._kubernetes.list_all(VOLUME):
            claim = volume["spec"].get("claimRef") or {}
            if owners := [claim[part] for part in ("namespace", "name") if belongs_to_run(claim.get(part, ""), run)]:
                yield f"PersistentVolume {name_of(volume)} of {owners[0]}"
        for kind in (
            POD_VOLUME_BACKUP,
            POD_VOLUME_RESTORE,
            BACKUP_REPOSITORY,
            DELETE_BACKUP_REQUEST,
            DOWNLOAD_REQUEST,
            JOB,
        ):
            for item in self._kubernetes.list_all(kind, self._velero.namespace):
                if owner := _owner(item, run):
                    yield f"{kind.kind} {name_of(item)} of {owner}"

    def _keys(self, run: str) -> Iterable[str]:
        for key in self._bucket.keys(self._prefix):
            if any(belongs_to_run(part, run) for part in key.split("/")):
                yield f"s3://{self._bucket.name}/{key}"
        for key in self._bucket.incomplete_uploads() or []:
            if any(belongs_to_run(part, run) for part in key.split("/")):
                yield f"incomplete upload of s3://{self._bucket.name}/{key}"


def _owner(item: Json, run: str) -> str:
    """The name of *run* that a Velero object belongs to; empty when it is another's."""
    labels = labels_of(item)
    # A DownloadRequest has no label, but the name of what it is for.
    target = item.get("spec", {}).get("target", {}).get("name")
    names = (
        labels.get(BACKUP_LABEL),
        labels.get(RESTORE_LABEL),
        labels.get(VOLUME_NAMESPACE_LABEL),
        labels.get(REPOSITORY_LABEL),
        target,
    )
    return next((name for name in names if name and belongs_to_run(name, run)), "")
