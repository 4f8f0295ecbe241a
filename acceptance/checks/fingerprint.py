"""What changed that is not the suite's own, and whether the run can have done it.

The rule, as docs/safety.md tells it: whatever the suite or Velero wrote is the run's doing, unless Velero did it
of its own accord (a run of a schedule, an expired backup, the maintenance of a repository). What anybody else
wrote meanwhile is theirs. What is gone has no writer any more, and counts as the run's doing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field
from datetime import datetime

from acceptance.drivers.kubernetes import FIELD_MANAGER

# How Velero's server and node-agent call themselves when they write.
VELERO_MANAGERS = ("velero", "node-agent")
REPOSITORY_FOLDERS = frozenset({"restic", "kopia"})


@dataclass(frozen=True)
class Place:
    """Which object it is."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


@dataclass(frozen=True)
class Foreign:
    """An object that is not the suite's: which one, the hash of each of its parts, and who wrote it last when."""

    uid: str
    parts: Mapping[str, str]
    writers: Mapping[str, datetime] = field(default_factory=dict)


@dataclass(frozen=True)
class VeleroState:
    """What explains changes that Velero makes of its own accord."""

    # Backups that a deployed schedule made, when each backup expires, and the backup of each restore, by name.
    scheduled: Set[str] = frozenset()
    expirations: Mapping[str, datetime] = field(default_factory=dict)
    restores: Mapping[str, str] = field(default_factory=dict)
    # When the repository of each namespace was last maintained.
    maintained: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Fingerprint:
    """Everything foreign at one moment, by the API server's clock. *keys*: size and checksum of objects in S3."""

    taken: datetime
    objects: Mapping[Place, Foreign]
    keys: Mapping[str, tuple[int, str]]
    velero: VeleroState
    # Kinds that could not be listed, each with the reason.
    unseen: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Changes:
    """What differs: what the run did, or may have done, and what others did meanwhile."""

    by_run: list[str]
    by_others: list[str]


@dataclass(frozen=True)
class Comparison:
    """Two fingerprints, and the namespaces that the profile lets the run change and change back."""

    before: Fingerprint
    after: Fingerprint
    disrupted: Set[str] = frozenset()
    disrupts: bool = False

    def changes(self) -> Changes:
        """Every difference in objects and keys, in order."""
        found = [*self._objects(), *self._keys()]
        return Changes([text for ours, text in found if ours], [text for ours, text in found if not ours])

    # -- objects -----------------------------------------------------------------------------

    def _objects(self) -> Iterator[tuple[bool, str]]:
        before, after = self.before.objects, self.after.objects
        hidden = self.before.unseen.keys() | self.after.unseen.keys()
        for place in sorted(before.keys() | after.keys(), key=str):
            if place.kind in hidden:
                continue
            old, new = before.get(place), after.get(place)
            if new is None:
                yield not self._went_by_itself(place), f"{place} is gone"
            elif old is None:
                yield self._ours(place, new, created=True), f"{place} is new{_by(new, self.before.taken)}"
            elif old.uid != new.uid and not self._may_be_remade(place):
                yield self._ours(place, new, created=True), f"{place} was made anew{_by(new, self.before.taken)}"
            elif parts := sorted(
                part for part in {*old.parts, *new.parts} if old.parts.get(part) != new.parts.get(part)
            ):
                yield self._ours(place, new), f"{place} has another {', '.join(parts)}{_by(new, self.before.taken)}"
            elif FIELD_MANAGER in _writers(new, self.before.taken) and not self._may_be_remade(place):
                yield True, f"{place} was written by this run"

    def _ours(self, place: Place, new: Foreign, *, created: bool = False) -> bool:
        """Whether the run did it, or may have: nobody else is known to have written since."""
        writers = _writers(new, self.before.taken)
        if created and self._came_by_itself(place):
            return False
        return not writers or FIELD_MANAGER in writers or any(map(_is_velero, writers))

    def _may_be_remade(self, place: Place) -> bool:
        """A profile that disrupts deletes and edits these, and lets them come back."""
        return self.disrupts and (place.namespace in self.disrupted or not place.namespace)

    def _came_by_itself(self, place: Place) -> bool:
        runs = self.after.velero.scheduled - self.before.velero.scheduled
        return (place.kind == "Backup" and place.name in runs) or (
            place.kind == "BackupRepository" and bool(runs or self.disrupts)
        )

    def _went_by_itself(self, place: Place) -> bool:
        backup = self.before.velero.restores.get(place.name, "") if place.kind == "Restore" else place.name
        return place.kind in ("Backup", "Restore") and self._expired(backup)

    def _expired(self, backup: str) -> bool:
        at = self.before.velero.expirations.get(backup)
        return at is not None and at <= self.after.taken

    # -- keys --------------------------------------------------------------------------------

    def _keys(self) -> Iterator[tuple[bool, str]]:
        before, after = self.before.keys, self.after.keys
        differing = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
        folders: dict[tuple[str, ...], Counter[str]] = {}
        for key in differing:
            how = "new" if key not in before else "gone" if key not in after else "changed"
            folders.setdefault(tuple(key.split("/")[:2]), Counter())[how] += 1
        for folder, counts in sorted(folders.items()):
            shown = ", ".join(f"{count} {how}" for how, count in sorted(counts.items()))
            yield not self._moved_by_itself(folder, counts), f"S3 keys below {'/'.join(folder)}: {shown}"

    def _moved_by_itself(self, folder: tuple[str, ...], counts: Counter[str]) -> bool:
        kind, name = (*folder, "")[:2]
        if kind in REPOSITORY_FOLDERS:
            return self._repository_at_work(name)
        if kind == "backups" and set(counts) == {"new"}:
            return name in self.after.velero.scheduled
        backup = self.before.velero.restores.get(name, "") if kind == "restores" else name
        return set(counts) == {"gone"} and self._expired(backup)

    def _repository_at_work(self, namespace: str) -> bool:
        """Whether Velero had a reason of its own to write to the repository of *namespace*."""
        before, after = self.before.velero, self.after.velero
        return (
            self.disrupts
            or bool(after.scheduled - before.scheduled)
            or any(map(self._expired, before.expirations))
            or before.maintained.get(namespace) != after.maintained.get(namespace)
        )


def _writers(item: Foreign, since: datetime) -> list[str]:
    """Who has written an object since *since*, to the second."""
    return sorted(name for name, at in item.writers.items() if at >= since)


def _by(item: Foreign, since: datetime) -> str:
    writers = _writers(item, since)
    return f", by {', '.join(writers)}" if writers else ""


def _is_velero(manager: str) -> bool:
    return manager.startswith(VELERO_MANAGERS)
