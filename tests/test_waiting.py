from __future__ import annotations

import time

import pytest

from velero_acceptance.core.waiting import Deadline, WaitEnded, WaitTimedOut, first, poll


def test_poll_returns_the_first_value_that_satisfies() -> None:
    values = iter([1, 2, 3])
    assert poll(lambda: next(values), until=lambda v: v == 3, event="three", timeout=5, interval=0) == 3


def test_poll_times_out_and_says_what_it_last_saw() -> None:
    with pytest.raises(WaitTimedOut, match=r"the moon: not seen after 0\.\d s and \d+ attempts; last seen: cheese"):
        poll(lambda: "cheese", until=lambda v: v == "moon", event="the moon", timeout=0.05, interval=0.01)


def test_poll_ends_at_once_on_a_terminal_value() -> None:
    with pytest.raises(WaitEnded, match="it broke") as caught:
        poll(
            lambda: "broken",
            until=lambda v: v == "whole",
            terminal=lambda _: "it broke",
            event="wholeness",
            timeout=60,
            interval=0.01,
        )
    assert caught.value.elapsed < 1 and caught.value.attempts == 1


def test_poll_takes_only_the_listed_exceptions_for_not_yet() -> None:
    calls = iter([ConnectionError("down"), ValueError("bug")])

    def probe() -> int:
        raise next(calls)

    with pytest.raises(ValueError, match="bug"):
        poll(probe, until=bool, event="answer", timeout=5, interval=0, retry_on=(ConnectionError,))


def test_poll_names_the_exception_it_last_met() -> None:
    def probe() -> int:
        raise ConnectionError("port refused")

    with pytest.raises(WaitTimedOut, match="port refused"):
        poll(probe, until=bool, event="answer", timeout=0.02, interval=0.01, retry_on=(ConnectionError,))


def test_first_returns_the_state_and_ends_on_a_terminal_one() -> None:
    assert first([1, 2], until=lambda v: v == 2, event="two", deadline=Deadline(1)) == 2
    with pytest.raises(WaitEnded, match="gone"):
        first([1], until=lambda v: v == 2, terminal=lambda _: "gone", event="two", deadline=Deadline(1))


def test_first_times_out_when_the_states_end() -> None:
    with pytest.raises(WaitTimedOut, match="last seen: 1"):
        first([1, 1], until=lambda v: v == 2, event="two", deadline=Deadline(1))


def test_a_long_last_state_is_cut_in_the_message() -> None:
    with pytest.raises(WaitTimedOut, match=r"…\s\(5000 characters\)"):
        first(["x" * 5000], until=lambda _: False, event="short", deadline=Deadline(1))


def test_a_slow_probe_has_at_most_half_of_the_time() -> None:
    times: list[float] = []

    def probe() -> int:
        times.append(time.monotonic())
        time.sleep(0.05)
        return len(times)

    assert poll(probe, until=lambda count: count == 2, event="two", timeout=5, interval=0) == 2
    assert times[1] - times[0] >= 0.1
