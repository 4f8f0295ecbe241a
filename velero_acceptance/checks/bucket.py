"""AC-002-04: which keys a backup, a restore and a repository have in the bucket.

Source: velero, pkg/persistence/object_store_layout.go at v1.16.2; of repositories acceptance/uploaders.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from velero_acceptance.corpus.uploaders import UPLOADERS, Uploader

BACKUP_FILES = (
    "velero-backup.json",
    "{name}.tar.gz",
    "{name}-logs.gz",
    "{name}-podvolumebackups.json.gz",
    "{name}-volumesnapshots.json.gz",
    "{name}-itemoperations.json.gz",
    "{name}-resource-list.json.gz",
    "{name}-results.gz",
    "{name}-volumeinfo.json.gz",
)
RESTORE_FILES = (
    "restore-{name}-logs.gz",
    "restore-{name}-results.gz",
    "restore-{name}-resource-list.json.gz",
    "restore-{name}-itemoperations.json.gz",
    "{name}-volumeinfo.json.gz",
)
# Anything else directly below the prefix makes Velero refuse the location.
TOP_LEVEL = frozenset({"backups", "restores", *(uploader.folder for uploader in UPLOADERS.values())})


@dataclass(frozen=True)
class LayoutFindings:
    """Keys that the layout asks for and are not there, and keys that it does not know."""

    missing: tuple[str, ...]
    unexpected: tuple[str, ...]

    def table(self) -> str:
        lines = [f"{len(self.missing)} missing, {len(self.unexpected)} unexpected"]
        return "\n".join(
            [*lines, *(f"missing     {k}" for k in self.missing), *(f"unexpected  {k}" for k in self.unexpected)]
        )


def backup_keys(prefix: str, name: str, uploader: Uploader) -> set[str]:
    """Every key of a backup; *prefix* ends with a slash or is empty."""
    files = (*BACKUP_FILES, *uploader.extra_files)
    return {f"{prefix}backups/{name}/{file.format(name=name)}" for file in files}


def restore_keys(prefix: str, name: str) -> set[str]:
    """Every key of a restore."""
    return {f"{prefix}restores/{name}/{file.format(name=name)}" for file in RESTORE_FILES}


def inspect(
    keys: Iterable[str],
    prefix: str,
    *,
    backup: str,
    restore: str,
    uploader: Uploader,
    namespace: str,
    snapshots: int,
) -> LayoutFindings:
    """Compare all keys of the bucket with what one backup, restore and repository must have.

    *snapshots* is how many volumes of *namespace* were backed up in all; they are counted where the
    *uploader* gives each a key. Keys of other backups,
    restores and namespaces are not looked at, but nothing may stand beside the known folders.
    """
    found = set(keys)
    own = {
        f"{prefix}backups/{backup}/": backup_keys(prefix, backup, uploader),
        f"{prefix}restores/{restore}/": restore_keys(prefix, restore),
    }
    expected = set().union(*own.values())
    below = {key for key in found for folder in own if key.startswith(folder)}
    repository = f"{prefix}{uploader.folder}/{namespace}/"
    inside = {key.removeprefix(repository) for key in found if key.startswith(repository)}
    missing = [*(expected - found), *_missing_parts(inside, repository, uploader, snapshots)]
    unexpected = [
        *(below - expected),
        *(repository + key for key in inside if not uploader.key.fullmatch(key)),
        *(key for key in found if _stray(key, prefix)),
    ]
    return LayoutFindings(tuple(sorted(missing)), tuple(sorted(unexpected)))


def unreadable(contents: Mapping[str, Exception | None]) -> list[str]:
    """Keys whose content could not be unpacked or parsed, with the reason."""
    return [f"{key}: {error}" for key, error in sorted(contents.items()) if error is not None]


def _missing_parts(inside: set[str], repository: str, uploader: Uploader, snapshots: int) -> list[str]:
    missing = [f"{repository}{part}" for part in uploader.parts if not any(key.startswith(part) for key in inside)]
    if (part := uploader.snapshots) is None:
        return missing
    there = sum(key.startswith(part) for key in inside)
    return missing + [f"{repository}{part} (number {n + 1} of {snapshots})" for n in range(there, snapshots)]


def _stray(key: str, prefix: str) -> bool:
    if not key.startswith(prefix):
        return True
    return key.removeprefix(prefix).partition("/")[0] not in TOP_LEVEL


# Whether a BackupStorageLocation was validated in every period.


# Velero looks every 10 s which locations are due (bslValidationEnqueuePeriod), and stamps whole seconds.
TICK = timedelta(seconds=10)
ROUNDING = timedelta(seconds=2)


@dataclass(frozen=True)
class Validation:
    """A validation that was seen: Velero's own time stamp and the phase it came to."""

    at: datetime
    phase: str


@dataclass(frozen=True)
class Validity:
    """What was seen of a location: how many periods passed, and how many without being called available."""

    periods: int
    missed: int
    longest: timedelta


def judge(validations: Sequence[Validation], frequency: timedelta) -> Validity:
    """Count the periods between successive validations, and those that were late or did not say Available."""
    allowed = frequency + TICK + ROUNDING
    gaps = [later.at - earlier.at for earlier, later in pairwise(validations)]
    late = sum(max(0, -(-gap // allowed) - 1) for gap in gaps)
    unavailable = sum(validation.phase != "Available" for validation in validations)
    return Validity(len(gaps), late + unavailable, max(gaps, default=timedelta(0)))
