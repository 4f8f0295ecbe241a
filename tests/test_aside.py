"""What is done beside the scenarios: its result, its error, and its turn."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from threading import Event

import pytest

from fixtures.environment.background import Aside
from velero_acceptance.core.errors import AcceptanceError


def test_its_result_is_waited_for_and_its_turn_lasts_until_then() -> None:
    turns: list[str] = []
    go_on = Event()

    @contextmanager
    def turn() -> Iterator[None]:
        turns.append("taken")
        yield
        turns.append("given back")

    aside = Aside(lambda: go_on.wait(5), turn(), "test", seconds=10)
    aside.wait(0.05)
    assert "given back" not in turns
    go_on.set()
    assert aside.result() is True
    aside._thread.join(5)
    assert turns == ["taken", "given back"]


def test_whoever_waits_gets_its_error_every_time() -> None:
    @contextmanager
    def turn() -> Iterator[None]:
        raise AcceptanceError("this scenario's turn was not seen")
        yield

    aside = Aside(lambda: 1, turn(), "test", seconds=10)
    for _ in range(2):
        with pytest.raises(AcceptanceError, match="turn was not seen"):
            aside.result()


def test_what_does_not_end_is_given_up_on_and_named() -> None:
    go_on = Event()
    aside = Aside(lambda: go_on.wait(5), nullcontext(), "the test", seconds=0.05)
    with pytest.raises(AcceptanceError, match=r"the test has not ended 0\.05 s after it was begun"):
        aside.result()
    go_on.set()
