"""Remove the resources that scenarios created, and check that nothing is left: in Kubernetes and in S3.

Removal is requested when a scenario ends and awaited at the end of the run, so that Velero's deletions run during the
next scenario. What is left then is a leak, and fails the run.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, fields
from datetime import datetime
from functools import partial

from velero_acceptance.core.errors import AcceptanceError
from velero_acceptance.core.naming import LONG_AGO, RUN_LABEL, belongs_to_run, expiry_of
from velero_acceptance.core.timeouts import Timeouts
from velero_acceptance.core.waiting import Deadline, WaitTimedOut, poll
from velero_acceptance.corpus.uploaders import UPLOADERS
from velero_acceptance.drivers import kinds
from velero_acceptance.drivers.kinds import Kind, labels_of, name_of
from velero_acceptance.drivers.kubernetes import Kubernetes
from velero_acceptance.drivers.s3 import Bucket
from velero_acceptance.drivers.velero import Velero
from velero_acceptance.target.leftovers import LeftoverSearch

# On the jobs that maintain a repository; Velero keeps the last ones for ever.
REPOSITORY_LABEL = "velero.io/repo-name"
# Kinds with a run's label, by the field of CreatedResources for their names.
LABELLED = {
    "schedules": kinds.SCHEDULE,
    "restores": kinds.RESTORE,
    "backups": kinds.BACKUP,
    "locations": kinds.STORAGE_LOCATION,
    "repositories": kinds.BACKUP_REPOSITORY,
    "secrets": kinds.SECRET,
    "pods": kinds.POD,
    "roles": kinds.ROLE,
    "role_bindings": kinds.ROLE_BINDING,
    "cluster_role_bindings": kinds.CLUSTER_ROLE_BINDING,
    "namespaces": kinds.NAMESPACE,
}
FIELDS = {kind: entry for entry, kind in LABELLED.items()}
WORKLOAD_KINDS = (kinds.DEPLOYMENT, kinds.CLAIM)


@dataclass
class CreatedResources:
    """Names of created resources, for removal. A name is entered before the resource is created."""

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
    # Deployments with a claim of the same name in other people's namespaces, as namespace/name; and those of these
    # namespaces that had no repository before, so that the suite's is removed too.
    workloads: set[str] = field(default_factory=set)
    borrowed: set[str] = field(default_factory=set)
    volumes: set[str] = field(default_factory=set)
    keys: set[str] = field(default_factory=set)

    def add(self, other: "CreatedResources") -> None:
        for entry in fields(CreatedResources):
            getattr(self, entry.name).update(getattr(other, entry.name))

    @property
    def names(self) -> set[str]:
        """Every name, of whatever kind."""
        return set().union(*(getattr(self, entry.name) for entry in fields(CreatedResources)))

    def __bool__(self) -> bool:
        return bool(self.names)


@dataclass
class LeftoverResources(CreatedResources):
    """The resources of a run on the cluster, and when anybody may remove all of them."""

    expires: datetime = LONG_AGO


class ResourceCleaner:
    """Cleans one cluster and one bucket."""

    def __init__(self, kubernetes: Kubernetes, velero: Velero, bucket: Bucket, prefix: str, timeouts: Timeouts) -> None:
        self._kubernetes, self._velero, self._bucket, self._timeouts = kubernetes, velero, bucket, timeouts
        self._prefix = f"{prefix}/" if prefix else ""

    def start(self, made: CreatedResources) -> None:
        """Request the removal of *made* and its schedules' runs; errors stop no other request, the first is raised."""
        errors: list[AcceptanceError] = []
        for schedule in made.schedules:
            with _collected(errors):
                self._kubernetes.delete(kinds.SCHEDULE, schedule, self._velero.namespace)
                made.backups.update(map(name_of, self._velero.scheduled_backups(schedule)))
        requests: list[Callable[[], None]] = []
        for entry, kind in LABELLED.items():
            delete = self._velero.delete_backup if kind is kinds.BACKUP else partial(self._delete, kind)
            requests += [partial(delete, name) for name in getattr(made, entry)]
        for workload in made.workloads:
            namespace, _, name = workload.partition("/")
            requests += [partial(self._kubernetes.delete, kind, name, namespace) for kind in WORKLOAD_KINDS]
        requests += [partial(self._kubernetes.delete, kinds.VOLUME, volume) for volume in made.volumes]
        requests.append(partial(self._bucket.delete, *made.keys))
        for request in requests:
            with _collected(errors):
                request()
        if errors:
            raise errors[0]

    def finish(self, made: CreatedResources) -> list[str]:
        """Wait until *made* is gone, then remove the repositories; return what is still there."""
        # Velero drops a request for a backup that was in progress, or that its restart interrupted.
        for backup in self._remaining(kinds.BACKUP, made.backups, Deadline(self._timeouts["backup_deleted"] / 6)):
            self._velero.delete_backup(backup)
        deadline = Deadline(self._timeouts["backup_deleted"])
        problems = self._still_there(kinds.BACKUP, made.backups, deadline)
        problems += self._still_there(kinds.RESTORE, made.restores, deadline)
        for namespace in made.namespaces:  # also one that a restore made after it was removed
            self._delete(kinds.NAMESPACE, namespace)
        problems += self._still_there(kinds.NAMESPACE, made.namespaces, deadline)
        for request in self._kubernetes.list_all(kinds.DOWNLOAD_REQUEST, self._velero.namespace):
            # Of `velero backup logs` and the like: Velero removes them when they expire, after ten minutes.
            if request["spec"]["target"]["name"] in made.names:
                self._delete(kinds.DOWNLOAD_REQUEST, name_of(request))
        for restore in made.restores:
            # What Velero wrote of a restore that was removed while in progress.
            self._bucket.delete_below(f"{self._prefix}restores/{restore}/")
        for namespace in made.namespaces | self._unused(made.borrowed):
            self._remove_repositories(namespace)
        for namespace in made.namespaces:
            self._bucket.delete_below(f"{namespace}/")  # the prefix of a second Velero
        return problems

    def _remove_repositories(self, namespace: str) -> None:
        """Remove the repositories of a namespace, which Velero keeps for ever, with their jobs and data."""
        for repository in map(name_of, self._velero.repositories(namespace)):
            self._delete(kinds.BACKUP_REPOSITORY, repository)
            label = f"{REPOSITORY_LABEL}={repository}"
            for job in self._kubernetes.list_all(kinds.JOB, self._velero.namespace, labels=label):
                self._delete(kinds.JOB, name_of(job))
        for uploader in UPLOADERS.values():
            self._bucket.delete_below(f"{self._prefix}{uploader.folder}/{namespace}/")

    def _unused(self, namespaces: set[str]) -> set[str]:
        """Those of *namespaces* that no backup has a volume of."""
        volumes = self._kubernetes.list_all(kinds.POD_VOLUME_BACKUP, self._velero.namespace) if namespaces else []
        return namespaces - {volume["spec"]["pod"]["namespace"] for volume in volumes}

    def leftovers(self, run: str) -> list[str]:
        """Everything of *run* that exists after a settling time, each as one line; what is being deleted has longer."""
        search, found, deleting = LeftoverSearch(self._kubernetes, run), list[str](), list[str]()

        def look() -> list[str]:
            objects = search.look()
            deleting[:] = [str(item) for item in objects if item.deleting]
            found[:] = [*map(str, objects), *self._named_within(run), *self._keys(run)]
            return found

        def wait(left: list[str], timeout: str) -> None:
            with suppress(WaitTimedOut):  # the result is what is left
                event, seconds = "nothing of the run is left", self._timeouts[timeout]
                poll(look, until=lambda _: not left, event=event, timeout=seconds, interval=1.0)

        wait(found, "object_gone")
        if deleting:
            wait(deleting, "namespace_gone")
        return list(found)

    def runs(self) -> dict[str, LeftoverResources]:
        """The labelled resources on the cluster by run id."""
        found: dict[str, LeftoverResources] = {}
        for kind, place in self._labelled():
            for item in self._kubernetes.list_all(kind, place, labels=RUN_LABEL):
                of_run = found.setdefault(labels_of(item)[RUN_LABEL], LeftoverResources())
                if kind in WORKLOAD_KINDS:
                    of_run.workloads.add(f"{item['metadata']['namespace']}/{name_of(item)}")
                else:
                    getattr(of_run, FIELDS[kind]).add(name_of(item))
                of_run.expires = max(of_run.expires, expiry_of(labels_of(item)))
        return found

    def _delete(self, kind: Kind, name: str) -> None:
        self._kubernetes.delete(kind, name, self._velero.namespace)

    def _labelled(self) -> list[tuple[Kind, str | None]]:
        """The kinds with a run's label and where they are; what is elsewhere goes with its labelled namespace."""
        return [*((kind, self._place(kind)) for kind in LABELLED.values()), *((kind, None) for kind in WORKLOAD_KINDS)]

    def _place(self, kind: Kind) -> str | None:
        return self._velero.namespace if kind.namespaced else None

    def _still_there(self, kind: Kind, names: set[str], deadline: Deadline) -> list[str]:
        return [f"{kind.kind} {name} is still there" for name in sorted(self._remaining(kind, names, deadline))]

    def _remaining(self, kind: Kind, names: set[str], deadline: Deadline) -> set[str]:
        found = set(names)

        def look() -> set[str]:
            left = {name_of(item) for item in self._kubernetes.list_all(kind, self._place(kind))} & names
            found.intersection_update(left)
            return left

        if names:
            with suppress(AcceptanceError):  # the result is what is left
                poll(look, until=lambda left: not left, event="it is gone", timeout=deadline.remaining + 1, interval=1)
        return found

    def _named_within(self, run: str) -> Iterator[str]:
        """Objects that name the run in their specification alone."""
        for volume in self._kubernetes.list_all(kinds.VOLUME):
            claim = volume["spec"].get("claimRef") or {}
            if owners := [claim[part] for part in ("namespace", "name") if belongs_to_run(claim.get(part, ""), run)]:
                yield f"PersistentVolume {name_of(volume)} of {owners[0]}"
        for request in self._kubernetes.list_all(kinds.DOWNLOAD_REQUEST, self._velero.namespace):
            target = request["spec"]["target"]["name"]
            if belongs_to_run(target, run) and not belongs_to_run(name_of(request), run):
                yield f"DownloadRequest {name_of(request)} of {target}"

    def _keys(self, run: str) -> Iterator[str]:
        stored = [*self._bucket.keys(self._prefix)]
        uploads = [*(self._bucket.incomplete_uploads() or [])]
        for what, keys in (("", stored), ("incomplete upload of ", uploads)):
            own = (key for key in keys if any(belongs_to_run(part, run) for part in key.split("/")))
            yield from (f"{what}s3://{self._bucket.name}/{key}" for key in own)


@contextmanager
def _collected(errors: list[AcceptanceError]) -> Iterator[None]:
    """Append an error to *errors* instead of raising it."""
    try:
        yield
    except AcceptanceError as error:
        errors.append(error)
