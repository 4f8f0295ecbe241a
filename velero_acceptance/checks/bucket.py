"""AC-002-04 and the validation of locations: the keys of a backup, a restore and a repository; missed validations.

Source: velero, pkg/persistence/object_store_layout.go at v1.16.2; for repositories corpus/uploaders.py.
"""

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
# Velero refuses a location with anything else directly below its prefix.
TOP_LEVEL = frozenset({"backups", "restores", *(uploader.folder for uploader in UPLOADERS.values())})
# Velero checks every 10 s which locations are due (bslValidationEnqueuePeriod); its times are whole seconds.
TICK = timedelta(seconds=10)
ROUNDING = timedelta(seconds=2)


@dataclass(frozen=True)
class LayoutFindings:
    """Keys that the layout requires and that are missing, and keys that it does not have."""

    missing: tuple[str, ...]
    unexpected: tuple[str, ...]

    def table(self) -> str:
        return "\n".join(
            [
                f"{len(self.missing)} missing, {len(self.unexpected)} unexpected",
                *(f"missing     {key}" for key in self.missing),
                *(f"unexpected  {key}" for key in self.unexpected),
            ]
        )


def backup_keys(prefix: str, name: str, uploader: Uploader) -> set[str]:
    """Every key of a backup; *prefix* ends with a slash or is empty."""
    files = (*BACKUP_FILES, *uploader.extra_files)
    return {f"{prefix}backups/{name}/{file.format(name=name)}" for file in files}


def restore_keys(prefix: str, name: str) -> set[str]:
    return {f"{prefix}restores/{name}/{file.format(name=name)}" for file in RESTORE_FILES}


def inspect(
    keys: Iterable[str], prefix: str, *, backup: str, restore: str, uploader: Uploader, namespace: str, snapshots: int
) -> LayoutFindings:
    """Compare all keys of the bucket with those that one backup, restore and repository must have.

    *snapshots* is the number of volumes of *namespace* in all backups, each of which must have a key if the *uploader*
    gives it one. Keys of other backups, restores and namespaces are ignored, except outside the known folders.
    """
    found = set(keys)
    own = {
        f"{prefix}backups/{backup}/": backup_keys(prefix, backup, uploader),
        f"{prefix}restores/{restore}/": restore_keys(prefix, restore),
    }
    expected = set().union(*own.values())
    below = {key for key in found if key.startswith(tuple(own))}
    repository = f"{prefix}{uploader.folder}/{namespace}/"
    inside = {key.removeprefix(repository) for key in found if key.startswith(repository)}
    missing = [*(expected - found), *(repository + part for part in _missing_parts(inside, uploader, snapshots))]
    unexpected = [
        *(below - expected),
        *(repository + key for key in inside if not uploader.key.fullmatch(key)),
        *(key for key in found if not _in_known_folder(key, prefix)),
    ]
    return LayoutFindings(tuple(sorted(missing)), tuple(sorted(unexpected)))


def unreadable(contents: Mapping[str, Exception | None]) -> list[str]:
    """Keys whose content could not be unpacked or parsed, with the reason."""
    return [f"{key}: {error}" for key, error in sorted(contents.items()) if error is not None]


def _missing_parts(inside: set[str], uploader: Uploader, snapshots: int) -> list[str]:
    missing = [part for part in uploader.parts if not any(key.startswith(part) for key in inside)]
    if (part := uploader.snapshots) is not None:
        there = sum(key.startswith(part) for key in inside)
        missing += [f"{part} (number {n + 1} of {snapshots})" for n in range(there, snapshots)]
    return missing


def _in_known_folder(key: str, prefix: str) -> bool:
    return key.startswith(prefix) and key.removeprefix(prefix).partition("/")[0] in TOP_LEVEL


@dataclass(frozen=True)
class Validation:
    """A validation of a location: Velero's time and the resulting phase."""

    at: datetime
    phase: str


@dataclass(frozen=True)
class Validity:
    """The periods that passed, those without a validation as Available, and the longest one."""

    periods: int
    missed: int
    longest: timedelta


def judge(validations: Sequence[Validation], frequency: timedelta) -> Validity:
    """Count the periods between successive validations, and those that were late or did not end as Available."""
    allowed = frequency + TICK + ROUNDING
    gaps = [later.at - earlier.at for earlier, later in pairwise(validations)]
    late = sum(max(0, -(-gap // allowed) - 1) for gap in gaps)
    unavailable = sum(validation.phase != "Available" for validation in validations)
    return Validity(len(gaps), late + unavailable, max(gaps, default=timedelta(0)))
