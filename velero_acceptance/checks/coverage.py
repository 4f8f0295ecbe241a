"""AC-003-03, AC-005-03: which claims a backup really contains, whatever its phase.

Velero leaves out volumes with no more than a warning: host paths, claims that no running pod mounts, volumes that
were opted out (velero issues 8251, 5705, 6182).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

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
    return [*audit(archived, files.objects("pods"), files.volume_backups(), files.volume_info()), *gaps]


def older(claims: Iterable[Json], namespaces: Iterable[str], than: datetime) -> list[Json]:
    """The claims in *namespaces* that were there, with a volume, before a time."""
    wanted = set(namespaces)
    bound = (claim for claim in claims if namespace_of(claim) in wanted and phase_of(claim) == "Bound")
    return [claim for claim in bound if time_of(claim["metadata"]["creationTimestamp"]) < than]


def audit(
    claims: Sequence[Json], pods: Sequence[Json], volume_backups: Sequence[Json], volume_info: Sequence[Json]
) -> list[ClaimCoverage]:
    """Every claim with its coverage, from the objects at the time of the backup and Velero's records.

    *volume_info* is the content of ``<backup>-volumeinfo.json.gz``. A claim is covered only by a
    Completed PodVolumeBackup with a snapshot that volumeinfo confirms.
    """
    backups = {
        (b["spec"]["pod"]["namespace"], b["spec"]["pod"]["name"], b["spec"]["volume"]): b for b in volume_backups
    }
    recorded = {(i.get("pvcNamespace"), i.get("pvcName")): i for i in volume_info}
    found = []
    for claim in claims:
        namespace, name = namespace_of(claim), name_of(claim)
        mounts = [(namespace, name_of(pod), volume) for pod in pods for volume in _volumes_of(pod, namespace, name)]
        made = [backups[mount] for mount in mounts if mount in backups]
        gap = BLOCK if is_block(claim) else _gap(made, mounts, recorded.get((namespace, name)))
        found.append(ClaimCoverage(namespace, name, gap))
    return found


def is_block(claim: Json) -> bool:
    """Whether its volume is a block device."""
    return (claim.get("spec") or {}).get("volumeMode") == "Block"


def gaps(coverage: Iterable[ClaimCoverage]) -> list[ClaimCoverage]:
    return [claim for claim in coverage if claim.gap]


def table(coverage: Iterable[ClaimCoverage]) -> str:
    return "\n".join(claim.line() for claim in coverage) or "no claim in scope"


def _volumes_of(pod: Json, namespace: str, claim: str) -> list[str]:
    """Names of the volumes of a running pod in *namespace* that mount the claim."""
    if pod["metadata"]["namespace"] != namespace or phase_of(pod) != "Running":
        return []
    return [
        str(volume["name"])
        for volume in pod["spec"].get("volumes", [])
        if (volume.get("persistentVolumeClaim") or {}).get("claimName") == claim
    ]


def _gap(backups: Sequence[Json], mounts: Sequence[object], info: Mapping[str, object] | None) -> str:
    if not mounts:
        return "no running pod in the backup mounts it"
    if not backups:
        skipped = (info or {}).get("skippedReason")
        return f"no PodVolumeBackup{f' ({skipped})' if skipped else ''}"
    if not any(phase_of(backup) == "Completed" and backup["status"].get("snapshotID") for backup in backups):
        status = backups[0].get("status") or {}
        phase, message = status.get("phase") or "not started", status.get("message", "no snapshot")
        return f"its PodVolumeBackup is {phase}: {message}"
    if info is None:
        return "volumeinfo does not name it"
    if info.get("skipped") or info.get("backupMethod") != "PodVolumeBackup" or info.get("result") != "succeeded":
        return f"volumeinfo says {info.get('backupMethod')}, {info.get('result')}, skipped {info.get('skipped')}"
    return ""
