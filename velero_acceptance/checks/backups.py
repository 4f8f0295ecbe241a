"""AC-003-02, AC-004-02: whether a volume's object told of its progress while the data moved.

Velero looks at its uploader every 10 s, so a volume that takes less shows only its last value.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

from velero_acceptance.core.errors import AcceptanceError
from velero_acceptance.drivers.kinds import Json, name_of, phase_of
from velero_acceptance.drivers.velero import Operation
from velero_acceptance.drivers.volumes import Sample

# Velero 1.17 puts Accepted and Prepared in between.
ORDER = ("", "New", "Accepted", "Prepared", "InProgress", "Completed")


def growing(samples: Sequence[Sample]) -> list[Sample]:
    """The samples of one volume, taken before its end, each of which tells of more bytes than the one before it.

    Progress that goes back tracks nothing: then there are none.
    """
    whole = max((sample.total for sample in samples), default=0)
    told = [s for s in samples if s.phase == "InProgress" and 0 < s.done < whole]
    distinct = [s for before, s in zip([None, *told], told, strict=False) if before is None or s.done != before.done]
    steps = itertools.pairwise(distinct)
    return distinct if all(before.done < after.done for before, after in steps) else []


def stored_more(samples: Sequence[Sample]) -> int:
    """How many of *samples* saw more stored than the one before it, the first one more than nothing."""
    counts = [0, *(sample.stored for sample in samples)]
    return sum(before < after for before, after in itertools.pairwise(counts))


def in_order(samples: Sequence[Sample]) -> bool:
    """Whether the phases of one volume came one after the other, through InProgress to Completed."""
    phases = list(dict.fromkeys(sample.phase for sample in samples))
    turns = sum(before.phase != after.phase for before, after in itertools.pairwise(samples))
    if turns != len(phases) - 1 or not set(phases) <= set(ORDER):  # one came twice, or is none of ours
        return False
    places = [ORDER.index(phase) for phase in phases]
    return places == sorted(places) and phases[-2:] == ["InProgress", "Completed"]


def seconds(samples: Sequence[Sample], volume: str) -> float | None:
    """How long the data of *volume* moved: from the first sight of InProgress to that of Completed.

    None when one of the two was not seen.
    """
    first: dict[str, float] = {}
    for sample in samples:
        if sample.volume == volume:
            first.setdefault(sample.phase, sample.seconds)
    if not {"InProgress", "Completed"} <= first.keys():
        return None
    return first["Completed"] - first["InProgress"]


def table(samples: Sequence[Sample]) -> str:
    """The samples as text."""
    return "\n".join(
        f"{s.seconds:7.2f} s  {s.phase or '-':<11} {s.done} of {s.total} bytes, {s.stored} stored" for s in samples
    )


# AC-003-05: whether a backup that something failed says so, and says why.


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


# AC-003-01: how soon Velero starts a backup that had to wait for another.


def held_up(first: Operation, second: Operation) -> float:
    """Seconds from the end of *first* to the start of *second*, in the whole seconds of Velero's own times."""
    return max(0.0, (second.started - first.finished).total_seconds())


def of_the_second(first: Operation, second: Operation, *, patience: float) -> float:
    """Seconds to the start of *second*, not counting its wait for *first*.

    Velero up to 1.17 takes it up when *first* has ended. 1.18 has a queue: it counts from when it left that, which may
    be a minute after the end of *first* (E-50). AcceptanceError when it is more than *patience* in seconds.
    """
    if second.left_queue is None:
        return held_up(first, second)
    if (seconds := held_up(first, second)) > patience:
        raise AcceptanceError(f"{second.name} was left in the queue for {seconds:.0f} s after {first.name} had ended")
    return second.seconds_to("InProgress") - second.left_queue
