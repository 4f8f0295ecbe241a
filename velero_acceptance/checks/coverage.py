"""AC-003-03, AC-005-03, `acceptance coverage`: which volumes a backup really contains, whatever its phase.

Velero leaves out volumes with no more than a warning: host paths, claims that no running pod mounts, volumes that
were opted out (velero issues 8251, 5705, 6182).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from velero_acceptance.drivers.backup_files import BackupFiles
from velero_acceptance.drivers.kinds import Json, name_of, namespace_of, phase_of, time_of

BLOCK = "a block device: Velero backs up file systems alone"


@dataclass(frozen=True)
class ClaimCoverage:
    """One claim in the backup's scope, and why its data is not in the backup (empty: it is)."""

    namespace: str
    claim: str
    gap: str

    def line(self) -> str:
        return f"{self.namespace}/{self.claim}: {self.gap or 'in the backup'}"


def of_backup(files: BackupFiles, expected: Iterable[Json]) -> list[ClaimCoverage]:
    """Every claim in a backup's own files, and those that it was *expected* to contain."""
    archived = files.objects("persistentvolumeclaims")
    known = {(namespace_of(claim), name_of(claim)) for claim in archived}
    absent = [claim for claim in expected if (namespace_of(claim), name_of(claim)) not in known]
    gaps = [ClaimCoverage(namespace_of(claim), name_of(claim), "the claim is not in the backup") for claim in absent]
    records = VolumeRecords.read(files)
    return [*(records.coverage(claim) for claim in archived), *gaps]


def older(claims: Iterable[Json], namespaces: Iterable[str], than: datetime) -> list[Json]:
    """The claims in *namespaces* that were there, with a volume, before a time."""
    wanted = set(namespaces)
    bound = (claim for claim in claims if namespace_of(claim) in wanted and phase_of(claim) == "Bound")
    return [claim for claim in bound if time_of(claim["metadata"]["creationTimestamp"]) < than]


class Gap(StrEnum):
    """Why a backup does not hold the data of a volume, by its own files."""

    NOT_MOUNTED = "not mounted"
    NOT_UPLOADED = "not uploaded"
    FAILED = "failed"
    EMPTY = "empty"
    NOT_CONFIRMED = "not confirmed"


@dataclass(frozen=True)
class VolumeData:
    """What a backup holds of a volume: its *bytes* and who *moved* them, or the *gap* and its *text*."""

    gap: Gap | None = None
    text: str = ""
    moved: str = ""
    bytes: int | None = None
    # Whether the data is in a backup repository; a snapshot that was not moved is where the volume is.
    in_repository: bool = False


# Snapshots by their method in volumeinfo, and what describes them there.
SNAPSHOTS = {"CSISnapshot": "csiSnapshotInfo", "NativeSnapshot": "nativeSnapshotInfo"}
# A volume of a pod: namespace, pod, name of the volume.
Mount = tuple[str, str, str]


class VolumeRecords:
    """What the files of one backup say of its volumes.

    *volume_info* is the content of ``<backup>-volumeinfo.json.gz``. A volume is held by a Completed PodVolumeBackup
    with a snapshot that volumeinfo confirms, or by a snapshot of the storage, moved or not, that volumeinfo calls
    succeeded.
    """

    def __init__(self, pods: Iterable[Json], volume_backups: Iterable[Json], volume_info: Iterable[Json]) -> None:
        self.pods = [pod for pod in pods if phase_of(pod) == "Running"]
        self._backups: dict[Mount, Json] = {_mount(backup): backup for backup in volume_backups}
        self._of_claims, self._of_mounts = dict[tuple[str, str], Json](), dict[Mount, Json]()
        for info in volume_info:
            if info.get("pvcName"):
                self._of_claims[info.get("pvcNamespace", ""), info["pvcName"]] = info
            if moved := info.get("pvbInfo"):
                self._of_mounts[moved["podNamespace"], moved["podName"], moved["volumeName"]] = info
        self._mounts: dict[tuple[str, str], list[Mount]] = {}
        for pod in self.pods:
            for volume, claim in claims_of(pod):
                mount = (namespace_of(pod), name_of(pod), volume)
                self._mounts.setdefault((namespace_of(pod), claim), []).append(mount)

    @classmethod
    def read(cls, files: BackupFiles) -> "VolumeRecords":
        return cls(files.objects("pods"), files.volume_backups, files.volume_info)

    def coverage(self, claim: Json) -> ClaimCoverage:
        namespace, name = namespace_of(claim), name_of(claim)
        data = self.of_claim(namespace, name)
        return ClaimCoverage(namespace, name, BLOCK if data.gap and is_block(claim) else data.text)

    def of_claim(self, namespace: str, claim: str) -> VolumeData:
        return self._data(self._mounts.get((namespace, claim), []), self._of_claims.get((namespace, claim)))

    def of_mount(self, mount: Mount) -> VolumeData:
        """The data of a volume without a claim."""
        return self._data([mount], None)

    def skipped(self, namespace: str, claim: str) -> str:
        """Velero's own reason for leaving a claim out; empty without one."""
        return str(self._of_claims.get((namespace, claim), {}).get("skippedReason") or "")

    def _data(self, mounts: Sequence[Mount], info: Json | None) -> VolumeData:
        info = info or next((self._of_mounts[mount] for mount in mounts if mount in self._of_mounts), None)
        backups = [self._backups[mount] for mount in mounts if mount in self._backups]
        if not backups and info and (snapshot := _snapshot(info)):
            return snapshot
        if gap := _gap(backups, mounts, info):
            return VolumeData(*gap)
        (done, *_) = filter(_is_done, backups)
        progress = done["status"].get("progress") or {}
        uploader = done["spec"].get("uploaderType") or "restic"
        return VolumeData(moved=uploader, bytes=int(progress.get("totalBytes", 0)), in_repository=True)


def audit(
    claims: Sequence[Json], pods: Sequence[Json], volume_backups: Sequence[Json], volume_info: Sequence[Json]
) -> list[ClaimCoverage]:
    """Every claim with its coverage, from the objects at the time of the backup and Velero's records."""
    records = VolumeRecords(pods, volume_backups, volume_info)
    return [records.coverage(claim) for claim in claims]


def is_block(claim: Json) -> bool:
    """Whether its volume is a block device."""
    return (claim.get("spec") or {}).get("volumeMode") == "Block"


def gaps(coverage: Iterable[ClaimCoverage]) -> list[ClaimCoverage]:
    return [claim for claim in coverage if claim.gap]


def table(coverage: Iterable[ClaimCoverage]) -> str:
    return "\n".join(claim.line() for claim in coverage) or "no claim in scope"


def claims_of(pod: Json) -> Iterator[tuple[str, str]]:
    """The names of the volumes of a pod that are claims, each with its claim."""
    for volume in pod["spec"].get("volumes") or []:
        if claim := (volume.get("persistentVolumeClaim") or {}).get("claimName"):
            yield volume["name"], claim
        elif "ephemeral" in volume:  # Kubernetes names the claim that it makes for it
            yield volume["name"], f"{name_of(pod)}-{volume['name']}"


def _mount(backup: Json) -> Mount:
    spec = backup["spec"]
    return spec["pod"]["namespace"], spec["pod"]["name"], spec["volume"]


def _is_done(backup: Json) -> bool:
    return phase_of(backup) == "Completed" and bool(backup["status"].get("snapshotID"))


def _snapshot(info: Json) -> VolumeData | None:
    """What volumeinfo says of a snapshot; None when none was taken (velero, internal/volume/volumes_information.go)."""
    method, result = info.get("backupMethod"), info.get("result")
    if info.get("skipped") or method not in SNAPSHOTS:
        return None
    taken = info.get(SNAPSHOTS[method]) or {}
    moved = (info.get("snapshotDataMovementInfo") or {}) if info.get("snapshotDataMoved") else None
    # Velero gives a CSI snapshot a result when the backup is finalized, older releases give it none.
    ready = taken.get("ReadyToUse") if moved is None else moved.get("Phase") == "Completed"
    if not (result == "succeeded" if result else ready) or (moved is None and not taken.get("snapshotHandle")):
        return VolumeData(Gap.FAILED, f"its {method} is {result or 'not ready'}")
    if moved is None:
        return VolumeData(moved=str(method), bytes=taken.get("size"))
    mover = moved.get("dataMover") or "velero"
    uploader = moved.get("uploaderType") or "kopia"
    return VolumeData(moved=uploader if mover == "velero" else mover, bytes=moved.get("size"), in_repository=True)


def _gap(backups: Sequence[Json], mounts: Sequence[Mount], info: Mapping[str, object] | None) -> tuple[Gap, str] | None:
    if not mounts:
        return Gap.NOT_MOUNTED, "no running pod in the backup mounts it"
    if not backups:
        skipped = (info or {}).get("skippedReason")
        return Gap.NOT_UPLOADED, f"no PodVolumeBackup{f' ({skipped})' if skipped else ''}"
    if not any(map(_is_done, backups)):
        status = backups[0].get("status") or {}
        phase, message = status.get("phase") or "not started", status.get("message", "no snapshot")
        empty = phase == "Completed" and "volume was empty" in message
        return Gap.EMPTY if empty else Gap.FAILED, f"its PodVolumeBackup is {phase}: {message}"
    if info is None:
        return Gap.NOT_CONFIRMED, "volumeinfo does not name it"
    if info.get("skipped") or info.get("backupMethod") != "PodVolumeBackup" or info.get("result") != "succeeded":
        text = f"volumeinfo says {info.get('backupMethod')}, {info.get('result')}, skipped {info.get('skipped')}"
        return Gap.NOT_CONFIRMED, text
    return None
