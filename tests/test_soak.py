"""What a round of the soak does, and how the soak goes on after an interruption."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from velero_acceptance.checks.reliability.soak import DESCRIBED, KEEP, BackupAge, Soak, actions, resume
from velero_acceptance.core.errors import Refusal

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def soak(**change: object) -> Soak:
    return Soak.model_validate({"cluster": "c1", "started": NOW, **change})


def test_the_number_of_backups_does_not_grow() -> None:
    kept = 0
    for number in range(200):
        kept += 1
        kept -= actions(number, kept, "s").expire
        assert kept <= KEEP


def test_latest_and_older_backups_are_restored_in_turn_and_only_kept_ones() -> None:
    found = [actions(number, KEEP + 1, "s") for number in range(60)]
    samples = [one.sample for one in found if one.sample]
    assert samples[:4] == [BackupAge.LATEST, BackupAge.OLDER, BackupAge.LATEST, BackupAge.OLDER]
    assert len(samples) == 20
    for one in found:
        if one.restore is not None:
            assert one.expire <= one.restore <= KEEP
            assert (one.restore == KEEP) == (one.sample is BackupAge.LATEST)
    older = Counter(one.restore for one in found if one.sample is BackupAge.OLDER)
    assert len(older) > 1, "always the same one"


def test_the_same_seed_restores_the_same_backups() -> None:
    first, second, other = ([actions(n, KEEP, seed) for n in range(60)] for seed in ("a", "a", "b"))
    assert first == second != other


@pytest.mark.parametrize("number", range(12))
def test_without_a_finished_backup_nothing_is_restored(number: int) -> None:
    assert actions(number, 0, "s").restore is None


def test_with_one_backup_it_is_the_latest() -> None:
    assert actions(5, 1, "s").sample is BackupAge.LATEST


def test_it_goes_on_where_it_was_interrupted(tmp_path: Path) -> None:
    path = tmp_path / "deep/soak.json"
    state = soak(seconds=600, rounds=10, backups=10, restores={"latest": 2})
    state.problem("a restore was not equal")
    state.save(path)
    found = resume(path, "c1", hours=1)
    assert found.interruptions == 1
    assert found.model_copy(update={"interruptions": 0}) == state


def test_a_soak_that_came_to_its_end_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "soak.json"
    soak(seconds=3600, rounds=60).save(path)
    assert resume(path, "c1", hours=1).rounds == 0
    assert resume(path, "c1", hours=2).rounds == 60


def test_without_a_state_it_begins(tmp_path: Path) -> None:
    assert resume(tmp_path / "soak.json", "c1", hours=1).seconds == 0


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b'{"cluster": "c1"}', b'{"schema_version": "2"}'])
def test_a_damaged_state_is_one_sentence(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "soak.json"
    path.write_bytes(content)
    with pytest.raises(Refusal, match=r"soak\.json is damaged, or of another version: remove it to start a new soak"):
        resume(path, "c1", hours=1)
    assert path.read_bytes() == content


def test_the_state_of_another_cluster_is_refused(tmp_path: Path) -> None:
    soak().save(tmp_path / "soak.json")
    with pytest.raises(Refusal, match="of another cluster"):
        resume(tmp_path / "soak.json", "c2", hours=1)


def test_a_state_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="cannot be read: Is a directory"):
        resume(tmp_path, "c1", hours=1)


def test_problems_are_all_counted_and_not_all_described() -> None:
    state = soak()
    for number in range(DESCRIBED + 5):
        state.problem(str(number))
    assert (state.problems, len(state.described)) == (DESCRIBED + 5, DESCRIBED)


def test_the_line_says_how_far_it_is() -> None:
    state = soak(seconds=750, backups=12, backups_failed=1, restores={"latest": 2, "older": 1}, expired=5, deleted=4)
    assert state.line(1) == (
        "0:12:30 of 1:00:00: 12 backups (1 failed), 3 restores, 4 of 5 expired ones deleted, 0 problems"
    )
