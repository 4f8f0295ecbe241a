"""AC-003, AC-004-02: how a backup starts, whether its volumes report progress, and whether a failed one says why.

Velero polls its uploader every 10 s, so a volume that takes less shows only its last value.
"""

import itertools
from collections.abc import Iterable, Sequence

from velero_acceptance.core.errors import AcceptanceError
from velero_acceptance.drivers.kinds import Json, name_of, phase_of
from velero_acceptance.drivers.velero import Operation
from velero_acceptance.drivers.volumes import Sample

# Velero 1.17 adds Accepted and Prepared.
ORDER = ("", "New", "Accepted", "Prepared", "InProgress", "Completed")
# Velero, pkg/apis/velero/v1/backup_types.go: the phases of a backup that nobody may rely on.
FAILURES = frozenset({"FailedValidation", "PartiallyFailed", "Failed"})


def held_up(first: Operation, second: Operation) -> float:
    """Seconds from the end of *first* to the start of *second*, from Velero's times, which are whole seconds."""
    return max(0.0, (second.started - first.finished).total_seconds())


def of_the_second(first: Operation, second: Operation, *, patience: float) -> float:
    """Seconds to the start of *second*, not counting its wait for *first*.

    Velero up to 1.17 starts it when *first* has ended. 1.18 has a queue: the time counts from when it left that, which
    may be a minute after the end of *first* (E-50); more than *patience* seconds are an AcceptanceError.
    """
    seconds = held_up(first, second)
    if second.left_queue is None:
        return seconds
    if seconds > patience:
        raise AcceptanceError(f"{second.name} was left in the queue for {seconds:.0f} s after {first.name} had ended")
    return second.seconds_to("InProgress") - second.left_queue


def growing(samples: Sequence[Sample]) -> list[Sample]:
    """The samples of one volume before its end, each with more bytes than the one before; empty if it goes back."""
    whole = max((sample.total for sample in samples), default=0)
    partial = [s for s in samples if s.phase == "InProgress" and 0 < s.done < whole]
    distinct = [s for before, s in zip([None, *partial], partial, strict=False) if not before or s.done != before.done]
    return distinct if all(before.done < after.done for before, after in itertools.pairwise(distinct)) else []


def stored_more(samples: Sequence[Sample]) -> int:
    """In how many of *samples* more was stored than in the one before; in the first, more than nothing."""
    counts = [0, *(sample.stored for sample in samples)]
    return sum(before < after for before, after in itertools.pairwise(counts))


def in_order(samples: Sequence[Sample]) -> bool:
    """Whether one volume went through its phases in order, and through InProgress to Completed."""
    phases = [phase for phase, _ in itertools.groupby(sample.phase for sample in samples)]
    if len(set(phases)) < len(phases) or not set(phases) <= set(ORDER):
        return False
    return phases == sorted(phases, key=ORDER.index) and phases[-2:] == ["InProgress", "Completed"]


def seconds(samples: Sequence[Sample], volume: str) -> float | None:
    """Seconds from the first sample of *volume* InProgress to the first one Completed; None when one is missing."""
    first: dict[str, float] = {}
    for sample in samples:
        if sample.volume == volume:
            first.setdefault(sample.phase, sample.seconds)
    return first["Completed"] - first["InProgress"] if {"InProgress", "Completed"} <= first.keys() else None


def table(samples: Sequence[Sample]) -> str:
    return "\n".join(
        f"{s.seconds:7.2f} s  {s.phase or '-':<11} {s.done} of {s.total} bytes, {s.stored} stored" for s in samples
    )


def unreported(phase: str, expected: str, cause: str, words: Iterable[str]) -> list[str]:
    """What *words* (a failed backup's reasons, volumes and results) do not report; empty when they report all."""
    found = []
    if phase not in FAILURES:
        found.append(f"the backup is {phase or 'in no phase'}, as if nothing had failed")
    elif phase != expected:
        found.append(f"the backup is {phase}, not {expected}")
    if not any(cause.lower() in text.lower() for text in words):
        found.append(f"nothing names {cause!r} as the cause")
    return found


def unsaved(phase: str, volumes: Sequence[Json]) -> list[str]:
    """Why a backup is not complete, by its phase and its PodVolumeBackups; empty when it is."""
    found = [] if phase == "Completed" else [f"the backup is {phase or 'in no phase'}, not Completed"]
    found += [
        f"the volume {name_of(volume)} is {phase_of(volume) or 'in no phase'}, with no snapshot"
        for volume in volumes
        if phase_of(volume) != "Completed" or not volume["status"].get("snapshotID")
    ]
    return found if volumes else [*found, "it holds no volume"]


def logged(lines: Sequence[str], *names: str) -> list[str]:
    """The error lines that name any of *names*: the backup, or its volumes."""
    return [line for line in lines if any(name in line for name in names)]
