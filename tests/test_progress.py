"""AC-003-02 and AC-004-02: the judgement of a volume's progress, seen to go red."""

from __future__ import annotations

import pytest

from velero_acceptance.checks import backups
from velero_acceptance.core.errors import AcceptanceError
from velero_acceptance.drivers.volumes import Sample, names


def samples(*said: tuple[str, int], total: int = 500, stored: tuple[int, ...] = ()) -> list[Sample]:
    counts = stored or tuple(range(len(said)))
    return [
        Sample(10.0 * n, "v", phase, done, total, count)
        for n, ((phase, done), count) in enumerate(zip(said, counts, strict=True))
    ]


GOOD = (("", 0), ("InProgress", 0), ("InProgress", 100), ("InProgress", 200), ("InProgress", 350), ("InProgress", 500))
END = ("Completed", 500)


def test_every_step_forward_before_the_end_counts() -> None:
    assert [sample.done for sample in backups.growing(samples(*GOOD, END))] == [100, 200, 350]


@pytest.mark.parametrize(
    "said",
    [
        (),
        (("InProgress", 0), END),
        (("InProgress", 0), ("InProgress", 500), END),  # a small volume: only the end is seen
        (("InProgress", 100), ("InProgress", 300), ("InProgress", 200), END),  # it goes back
        (("Completed", 100), ("Completed", 200), ("Completed", 300)),  # told when it was over
    ],
)
def test_what_is_no_progress_has_no_growing_samples(said: tuple[tuple[str, int], ...]) -> None:
    assert backups.growing(samples(*said)) == []


def test_a_standstill_is_one_sample() -> None:
    still = (("InProgress", 100), ("InProgress", 100), ("InProgress", 100), END)
    assert len(backups.growing(samples(*still))) == 1


def test_the_size_is_the_last_one_that_was_told() -> None:
    """While restic still counts the files, done can equal what it has counted so far."""
    early = [Sample(0, "v", "InProgress", 100, 100), Sample(10, "v", "InProgress", 300, 500)]
    assert len(backups.growing([*early, Sample(20, "v", "Completed", 500, 500)])) == 2


@pytest.mark.parametrize(("stored", "more"), [((5, 10, 15), 3), ((5, 5, 5), 1), ((0, 0, 0), 0), ((5, 4, 6), 2)])
def test_only_samples_that_saw_more_packs_count(stored: tuple[int, ...], more: int) -> None:
    moving = (("InProgress", 100), ("InProgress", 200), ("InProgress", 300))
    assert backups.stored_more(samples(*moving, stored=stored)) == more


@pytest.mark.parametrize(
    "phases", ["InProgress Completed", "- InProgress Completed", "- Accepted Prepared InProgress Completed"]
)
def test_phases_in_order(phases: str) -> None:
    assert backups.in_order(samples(*((phase.strip("-"), 0) for phase in phases.split())))


@pytest.mark.parametrize(
    "phases",
    ["", "-", "InProgress", "Completed", "- Completed", "Completed InProgress", "InProgress Failed", "- New Completed",
     "InProgress Completed InProgress", "InProgress - InProgress Completed", "InProgress Cancelling Completed"],
)  # fmt: skip
def test_phases_out_of_order(phases: str) -> None:
    assert not backups.in_order(samples(*((phase.strip("-"), 0) for phase in phases.split())))


def test_the_time_on_the_move_ends_with_the_volume_not_with_the_backup() -> None:
    said = samples(("", 0), ("InProgress", 0), ("InProgress", 500), END)
    assert backups.seconds(said, "v") == 20
    assert backups.seconds(said, "another") is None
    assert backups.seconds(said[:3], "v") is None


def test_no_volume_at_all_is_an_error() -> None:
    assert names(samples(*GOOD)) == ["v"]
    with pytest.raises(AcceptanceError, match="has no volumes"):
        names([])
