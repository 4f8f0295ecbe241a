"""AC-003-05: whether a backup that something failed says so, and says why."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from acceptance.drivers.kinds import Json, name_of, phase_of

# Velero, pkg/apis/velero/v1/backup_types.go: the phases that tell a reader not to rely on the backup.
FAILURES = frozenset({"FailedValidation", "PartiallyFailed", "Failed"})


def unreported(phase: str, expected: str, cause: str, words: Iterable[str]) -> list[str]:
    """What a failed backup does not say, of *words* (its reasons, volumes and results); empty when it says all."""
    found = []
    if phase not in FAILURES:
        found.append(f"the backup is {phase or 'in no phase'}, as if nothing had failed")
    elif phase != expected:
        found.append(f"the backup is {phase}, not {expected}")
    if not any(cause.lower() in text.lower() for text in words):
        found.append(f"nothing names {cause!r} as the cause")
    return found


def unsaved(phase: str, volumes: Sequence[Json]) -> list[str]:
    """Why a backup that was to survive is not whole, by its phase and its PodVolumeBackups; empty when it is."""
    found = [] if phase == "Completed" else [f"the backup is {phase or 'in no phase'}, not Completed"]
    found += [
        f"the volume {name_of(volume)} is {phase_of(volume) or 'in no phase'}, with no snapshot"
        for volume in volumes
        if phase_of(volume) != "Completed" or not volume["status"].get("snapshotID")
    ]
    return found if volumes else [*found, "it holds no volume"]


def logged(lines: Sequence[str], *names: str) -> list[str]:
    """The error lines that name any of *names*: the backup, or the volumes that it is about."""
    return [line for line in lines if any(name in line for name in names)]
