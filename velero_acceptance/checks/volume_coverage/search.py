"""The newest backup that holds each volume, from the files of the backups in S3, newest first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime

from velero_acceptance.checks.coverage import Gap, VolumeData, VolumeRecords, older
from velero_acceptance.checks.schedule import namespaces_archived, namespaces_in
from velero_acceptance.checks.volume_coverage import reasons
from velero_acceptance.checks.volume_coverage.reasons import Finding, Reason, in_scope, names_namespaces
from velero_acceptance.checks.volume_coverage.volumes import ClusterState, Volume, mounts_of
from velero_acceptance.core.errors import AcceptanceError
from velero_acceptance.core.naming import is_generated_name
from velero_acceptance.drivers.backup_files import BackupFiles
from velero_acceptance.drivers.kinds import labels_of, name_of, namespace_of, phase_of
from velero_acceptance.drivers.velero import SCHEDULE_LABEL, Operation

# With these Velero has written the files of a backup. A Failed one has none that can be relied on.
WITH_FILES = frozenset({"Completed", "PartiallyFailed"})
WORKERS = 8
# What a file of a backup that is not as Velero writes it can raise.
BROKEN = (AcceptanceError, ValueError, KeyError, TypeError, AttributeError)


@dataclass(frozen=True)
class HeldVolume:
    """The data of a volume in a backup."""

    backup: str
    schedule: str
    started: datetime
    moved: str
    bytes: int | None


@dataclass(frozen=True)
class Protection:
    """A volume with the newest backup that *held* it, and why the newest backup does not, or why none does."""

    volume: Volume
    held: HeldVolume | None
    finding: Finding | None


@dataclass
class Search:
    """Reads backups until every volume is held by one, each file once.

    An archive is read while it can settle something: it belongs to the newest backup of a volume's namespace, or the
    lists of its backup name a volume that no newer one holds. *files* gives the files of a backup, or raises
    AcceptanceError when it is not in this bucket. *usable* says why data in a repository cannot be restored.
    """

    state: ClusterState
    files: Callable[[Operation], BackupFiles]
    usable: Callable[[str, VolumeData], Finding | None]
    held: dict[Volume, HeldVolume] = field(default_factory=dict)
    findings: dict[Volume, Finding] = field(default_factory=dict)
    younger: dict[Volume, Operation] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    hidden: dict[Volume, Operation] = field(default_factory=dict)
    # The newest backup with a namespace that the cluster has no more.
    gone: dict[str, Operation] = field(default_factory=dict)

    def run(self, backups: Iterable[Operation]) -> list[Protection]:
        """Every volume of the cluster with its newest backup among *backups*."""
        volumes = self.state.volumes()
        there = [backup for backup in backups if backup.phase in WITH_FILES and backup.status.get("startTimestamp")]
        newest_first = sorted(there, key=lambda backup: backup.started, reverse=True)
        unread = [backup for backup in newest_first if not self._read(backup, self._expected(backup, volumes))]
        self._find_gone([backup for backup in unread if backup.name not in self.unreadable])
        return [Protection(volume, self.held.get(volume), self._finding(volume)) for volume in volumes]

    def _expected(self, backup: Operation, volumes: Sequence[Volume]) -> list[Volume]:
        """The volumes without a backup so far whose namespace is in *backup* and that are as old."""
        pending = [one for one in volumes if self._is_open(one) and in_scope(backup.item["spec"], one.namespace)]
        claims = [self.state.claim_objects[one.namespace, one.name] for one in pending if one.is_claim]
        old = older(claims, {one.namespace for one in pending}, backup.started)
        there = {(namespace_of(claim), name_of(claim)) for claim in old}
        expected = [one for one in pending if not one.is_claim or (one.namespace, one.name) in there]
        for volume in set(pending).difference(expected):
            self.younger.setdefault(volume, backup)
        return expected

    def _is_open(self, volume: Volume) -> bool:
        """Whether an older backup may hold a volume that no newer one does."""
        found = self.findings.get(volume)
        return volume not in self.held and (found is None or found.reason is not Reason.HOST_PATH)

    def _read(self, backup: Operation, expected: Sequence[Volume]) -> bool:
        """Take from a backup what it holds of *expected*; whether its archive was read."""
        if not expected:
            return False
        try:
            files = self.files(backup)
            if all(one in self.findings for one in expected) and not _names_any(files, expected):
                return False
            records, archived = VolumeRecords.read(files), files.objects("persistentvolumeclaims")
            storage = {(namespace_of(c), name_of(c)): str(c["spec"].get("volumeName", "")) for c in archived}
            for volume in expected:
                self._judge(volume, backup, records, storage)
            self._note_gone(backup, namespaces_archived(files.archive))
        except BROKEN as error:
            self.unreadable[backup.name] = _sentence(error)
            for volume in expected:
                self.hidden.setdefault(volume, backup)
            return False
        return True

    def _judge(
        self, volume: Volume, backup: Operation, records: VolumeRecords, storage: Mapping[tuple[str, str], str]
    ) -> None:
        key = (volume.namespace, volume.name)
        if volume.is_claim and key not in storage:
            self.findings.setdefault(volume, reasons.not_archived(volume, backup, self.state))
            return
        data = records.of_claim(*key) if volume.is_claim else _of_pods(volume, records)
        if data.gap not in (None, Gap.EMPTY):
            place = storage.get(key, "")
            found = reasons.not_held(volume, data, backup, records, self.state, place)
            self.findings.setdefault(volume, found)
        elif problem := self.usable(volume.namespace, data) if data.in_repository else None:
            self.findings.setdefault(volume, problem)
        else:
            moved = data.moved or "nothing: it was empty"
            schedule = labels_of(backup.item).get(SCHEDULE_LABEL, "")
            size = 0 if data.gap is Gap.EMPTY else data.bytes
            self.held[volume] = HeldVolume(backup.name, schedule, backup.started, moved, size)

    def _finding(self, volume: Volume) -> Finding | None:
        if volume in self.held or volume in self.findings:
            return self.findings.get(volume)
        if (backup := self.younger.get(volume)) and volume not in self.hidden:
            return Finding(Reason.YOUNGER, f"it is younger than {backup.name}, the newest backup of its namespace")
        if backup := self.hidden.get(volume):
            return Finding(Reason.UNREADABLE, f"{backup.name}, the newest backup of its namespace, cannot be read")
        return reasons.not_scheduled(volume, self.state)

    def _find_gone(self, unread: Sequence[Operation]) -> None:
        """Look into the lists of backups that were not read, unless they name only namespaces that are known."""
        known = self.state.labels_of_namespaces
        named = {backup.name: names_namespaces(backup.item["spec"]) for backup in unread}
        open_ones = [b for b in unread if (names := named[b.name]) is None or any(name not in known for name in names)]

        def listed(backup: Operation) -> set[str] | str:
            try:
                return namespaces_in(self.files(backup).resource_list())
            except BROKEN as error:
                return _sentence(error)

        with ThreadPoolExecutor(WORKERS) as pool:
            for backup, found in zip(open_ones, pool.map(listed, open_ones), strict=True):
                if isinstance(found, str):
                    self.unreadable[backup.name] = found
                else:
                    self._note_gone(backup, found)

    def _note_gone(self, backup: Operation, namespaces: Iterable[str]) -> None:
        for name in namespaces:
            if name not in self.state.labels_of_namespaces and not is_generated_name(name):
                newest = self.gone.setdefault(name, backup)
                self.gone[name] = max(newest, backup, key=lambda one: one.started)


def _names_any(files: BackupFiles, expected: Sequence[Volume]) -> bool:
    """Whether a backup's lists of volumes name one of *expected*, held or not: enough to read its archive."""
    claims = {(info.get("pvcNamespace"), info.get("pvcName")) for info in files.volume_info if not info.get("skipped")}
    if any((one.namespace, one.name) in claims for one in expected if one.is_claim):
        return True
    others = {(one.namespace, one.name.partition(":")[2]) for one in expected if not one.is_claim}
    done = (one["spec"] for one in files.volume_backups if phase_of(one) == "Completed") if others else ()
    return any((spec["pod"]["namespace"], spec["volume"]) in others for spec in done)


def _of_pods(volume: Volume, records: VolumeRecords) -> VolumeData:
    """The data of a volume without a claim: one pod of its workload is enough."""
    found = [records.of_mount(mount) for mount in mounts_of(volume, records.pods)]
    missing = VolumeData(Gap.NOT_MOUNTED, "no running pod in the backup has it")
    return min(found, key=lambda data: data.gap is not None, default=missing)


def _sentence(error: Exception) -> str:
    if isinstance(error, AcceptanceError | ValueError):
        return " ".join(str(error).split())
    return f"its files are not as Velero writes them ({type(error).__name__}: {error})"
