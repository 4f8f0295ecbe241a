"""A failed backup has to say that it failed, how, and why."""

from __future__ import annotations

import pytest

from acceptance.checks.failure import logged, unreported

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
