"""AC-003-05: whether a backup that something failed says so, and says why."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

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


def logged(lines: Sequence[str], *names: str) -> list[str]:
    """The error lines that name any of *names*: the backup, or the volumes that it is about."""
    return [line for line in lines if any(name in line for name in names)]
