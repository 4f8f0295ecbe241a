"""AC-003-02, AC-004-02: whether a volume's object told of its progress while the data moved.

Velero looks at its uploader every 10 s, so a volume that takes less shows only its last value.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from acceptance.drivers.volumes import Sample

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
