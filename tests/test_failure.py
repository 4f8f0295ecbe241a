"""A failed backup has to say that it failed, how, and why."""

from __future__ import annotations

import pytest

from velero_acceptance.checks.backups import logged, unreported, unsaved
from velero_acceptance.drivers.kinds import Json

WORDS = ["", "pod volume backup failed: Access Denied."]


def test_a_backup_that_says_all() -> None:
    assert unreported("PartiallyFailed", "PartiallyFailed", "access denied", WORDS) == []


@pytest.mark.parametrize(
    ("phase", "expected", "cause", "says"),
    [
        ("Completed", "PartiallyFailed", "Access Denied", "as if nothing had failed"),
        ("InProgress", "Failed", "Access Denied", "the backup is InProgress, as if nothing had failed"),
        ("", "Failed", "Access Denied", "in no phase"),
        ("PartiallyFailed", "Failed", "Access Denied", "is PartiallyFailed, not Failed"),
        ("Failed", "Failed", "connection refused", "nothing names 'connection refused'"),
    ],
)
def test_a_backup_that_keeps_something_to_itself_is_red(phase: str, expected: str, cause: str, says: str) -> None:
    (found,) = unreported(phase, expected, cause, WORDS)
    assert says in found


def test_only_lines_about_the_backup_count() -> None:
    lines = ['msg="cannot upload" backup=velero/b1', 'msg="cannot upload" backup=velero/b2']
    assert logged(lines, "b1") == lines[:1]
    assert logged(lines, "b3") == []


def volume(phase: str, snapshot: str = "s") -> Json:
    return {"metadata": {"name": "v"}, "status": {"phase": phase, "snapshotID": snapshot}}


def test_a_backup_that_survived_is_whole() -> None:
    assert unsaved("Completed", [volume("Completed"), volume("Completed")]) == []


@pytest.mark.parametrize(
    ("phase", "volumes", "says"),
    [
        ("PartiallyFailed", [volume("Completed")], "the backup is PartiallyFailed, not Completed"),
        ("Completed", [volume("Completed"), volume("Canceled")], "the volume v is Canceled"),
        ("Completed", [volume("Completed", "")], "the volume v is Completed, with no snapshot"),
        ("Completed", [], "it holds no volume"),
    ],
)
def test_a_backup_that_survived_only_by_its_word_is_red(phase: str, volumes: list[Json], says: str) -> None:
    (found,) = unsaved(phase, volumes)
    assert says in found
