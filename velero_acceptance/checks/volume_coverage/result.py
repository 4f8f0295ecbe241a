"""The coverage of a whole cluster, with what is waived."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from velero_acceptance.checks.coverage import VolumeData
from velero_acceptance.checks.volume_coverage.reasons import Finding, Reason
from velero_acceptance.checks.volume_coverage.search import Protection, Search
from velero_acceptance.checks.volume_coverage.volumes import ClusterState, listed, refusals
from velero_acceptance.core.errors import AcceptanceError, Refusal
from velero_acceptance.core.naming import RUN_LABEL
from velero_acceptance.core.settings import Environment
from velero_acceptance.core.waivers import VolumeWaiver
from velero_acceptance.corpus.uploaders import UPLOADERS, unrestorable
from velero_acceptance.drivers import kinds
from velero_acceptance.drivers.backup_files import BackupFiles
from velero_acceptance.drivers.kinds import Json, labels_of, phase_of
from velero_acceptance.drivers.kubernetes import Kubernetes
from velero_acceptance.drivers.s3 import Bucket
from velero_acceptance.drivers.velero import VOLUME_NAMESPACE_LABEL, Operation, Velero
from velero_acceptance.drivers.velero_server import SERVER


@dataclass(frozen=True)
class Row:
    """One volume; *waiver* is what accepts that no backup holds it."""

    protection: Protection
    age: float | None
    waiver: VolumeWaiver | None

    @property
    def unprotected(self) -> bool:
        return self.protection.held is None and self.waiver is None


@dataclass(frozen=True)
class GoneNamespace:
    """A namespace that only backups have, with the newest of them and its age in seconds."""

    name: str
    backup: str
    age: float


@dataclass(frozen=True)
class CoverageResult:
    """Every volume, what else was found in the backups, and waivers that no longer or never count."""

    rows: Sequence[Row]
    gone: Sequence[GoneNamespace]
    unreadable: dict[str, str]
    expired: Sequence[VolumeWaiver]
    unused: Sequence[VolumeWaiver]
    backups: int

    @property
    def unprotected(self) -> list[Row]:
        return [row for row in self.rows if row.unprotected]


def cover(
    kubernetes: Kubernetes,
    velero: Velero,
    bucket: Bucket,
    environment: Environment,
    waivers: Sequence[VolumeWaiver],
    now: datetime,
) -> CoverageResult:
    """Look at cluster and bucket; raises Refusal when there is no Velero or something may not be listed."""
    image = _image(kubernetes, velero)
    state = ClusterState.read(kubernetes, velero.namespace)
    theirs = [b for b in listed(kubernetes, kinds.BACKUP, velero.namespace) if RUN_LABEL not in labels_of(b)]
    repositories = Repositories(
        bucket, environment, listed(kubernetes, kinds.BACKUP_REPOSITORY, velero.namespace), image
    )
    search = Search(state, lambda backup: _files(backup, bucket, environment), repositories.problem)
    found = search.run([Operation(item) for item in theirs])
    rows = [_row(one, waivers, now) for one in found]
    used = {row.waiver for row in rows}
    return CoverageResult(
        rows=rows,
        gone=[GoneNamespace(n, b.name, (now - b.started).total_seconds()) for n, b in sorted(search.gone.items())],
        unreadable=search.unreadable,
        expired=[waiver for waiver in waivers if not waiver.in_force(now.date())],
        unused=[waiver for waiver in waivers if waiver.in_force(now.date()) and waiver not in used],
        backups=len([item for item in theirs if phase_of(item) in ("Completed", "PartiallyFailed")]),
    )


class Repositories:
    """The backup repositories of the location: in the bucket, and as Velero sees them."""

    def __init__(self, bucket: Bucket, environment: Environment, items: Sequence[Json], image: str) -> None:
        self._bucket, self._environment, self._image = bucket, environment, image
        self._folders: dict[str, set[str]] = {}
        self._broken: dict[tuple[str, str], str] = {}
        for item in items:
            spec = item["spec"]
            if phase_of(item) == "NotReady" and spec.get("backupStorageLocation") in (None, environment.location):
                namespace = spec.get("volumeNamespace") or labels_of(item).get(VOLUME_NAMESPACE_LABEL, "")
                message = str((item.get("status") or {}).get("message") or "no reason given")
                self._broken[namespace, spec.get("repositoryType") or "restic"] = " ".join(message.split())

    def problem(self, namespace: str, data: VolumeData) -> Finding | None:
        """Why what was moved into the repository of a namespace cannot be restored; None when it can."""
        uploader = data.moved
        if other := unrestorable(uploader, self._image):
            return Finding(Reason.UPLOADER, other)
        if namespace not in self._namespaces(uploader):
            folder = self._environment.key(UPLOADERS[uploader].folder, namespace, "")
            return Finding(Reason.REPOSITORY_GONE, f"its backup repository {folder} is not in the bucket")
        if why := self._broken.get((namespace, uploader)):
            return Finding(Reason.REPOSITORY_NOT_READY, f"its backup repository is NotReady: {why}")
        return None

    def _namespaces(self, uploader: str) -> set[str]:
        """The namespaces with a repository, listed once for each uploader."""
        if uploader not in self._folders:
            prefix = self._environment.key(UPLOADERS[uploader].folder, "")
            self._folders[uploader] = self._bucket.folders(prefix)
        return self._folders[uploader]


def _row(protection: Protection, waivers: Sequence[VolumeWaiver], now: datetime) -> Row:
    held, day = protection.held, now.date()
    label = protection.volume.label
    waiver = next((one for one in waivers if one.in_force(day) and one.covers(label)), None)
    return Row(protection, (now - held.started).total_seconds() if held else None, None if held else waiver)


def _image(kubernetes: Kubernetes, velero: Velero) -> str:
    with refusals(f"deployments in {velero.namespace}"):
        if kubernetes.get(kinds.DEPLOYMENT, SERVER, velero.namespace) is None:
            raise Refusal(f"there is no Velero in the namespace {velero.namespace}: set current.velero_namespace")
        return velero.image()


def _files(backup: Operation, bucket: Bucket, environment: Environment) -> BackupFiles:
    """The files of a backup; raises AcceptanceError when its location is not in the bucket of the settings."""
    name = backup.item["spec"].get("storageLocation") or environment.location
    if name == environment.location:
        return BackupFiles(bucket, environment.key("backups", backup.name, ""), backup.name)
    raise AcceptanceError(f"it is in the location {name}, and the settings name {environment.location}")
