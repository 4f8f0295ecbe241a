"""The only place that sleeps. Every wait has a name, a deadline and a useful error.

Objects of the API server are watched (``drivers.kubernetes``); what has no watch (an S3
listing, a socket, a process) is polled here. A condition that can no longer come true ends
the wait at once through *terminal*.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import tenacity

from velero_acceptance.core.errors import AcceptanceError

T = TypeVar("T")


@dataclass
class Deadline:
    """A point in time, *seconds* from now by the monotonic clock."""

    seconds: float

    def __post_init__(self) -> None:
        self.started = time.monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds since the deadline was set."""
        return time.monotonic() - self.started

    @property
    def remaining(self) -> float:
        """Seconds left, never below 0."""
        return max(0.0, self.seconds - self.elapsed)

    @property
    def passed(self) -> bool:
        return self.remaining <= 0


@dataclass
class Wait:
    """A wait at work."""

    event: str
    deadline: Deadline
    last: object = "nothing"

    def __str__(self) -> str:
        seconds = f"{self.deadline.elapsed:.0f} of {self.deadline.seconds:.0f} s"
        return f"waiting until {self.event} ({seconds}); last seen: {_short(self.last, 200)}"


# By thread, the outermost of each.
_waits: dict[int, Wait] = {}


def current_waits() -> list[str]:
    """What the threads of this process wait for now, for a reader."""
    return [str(wait) for wait in list(_waits.values())]


class WaitFailed(AcceptanceError):
    """A wait ended without its event; the message has the event, the seconds waited and the last state."""

    def __init__(self, event: str, why: str, *, elapsed: float, attempts: int, last: object) -> None:
        self.event, self.elapsed, self.attempts, self.last = event, elapsed, attempts, last
        super().__init__(f"{event}: {why} after {elapsed:.1f} s and {attempts} attempts; last seen: {_short(last)}")


class WaitTimedOut(WaitFailed):
    """The deadline passed."""


class WaitEnded(WaitFailed):
    """A terminal state was reached that rules the event out."""


def poll(
    probe: Callable[[], T],
    *,
    until: Callable[[T], bool],
    event: str,
    timeout: float,
    interval: float = 0.5,
    terminal: Callable[[T], str | None] = lambda _: None,
    retry_on: tuple[type[Exception], ...] = (),
) -> T:
    """Call *probe* every *interval* seconds until its value satisfies *until*; return that value.

    After a probe that took longer than *interval* it waits as long again: on a slow machine half of the time is left
    to what is waited for.
    *terminal* returns a reason when the value can no longer lead to the event. Exceptions of
    the types in *retry_on* count as "not yet"; all others end the wait.
    Raises :class:`WaitTimedOut` after *timeout* seconds and :class:`WaitEnded` on a terminal value.
    """

    deadline = Deadline(timeout)
    wait, thread, took = Wait(event, deadline), threading.get_ident(), 0.0

    def look() -> T:
        nonlocal took
        started = deadline.elapsed
        try:
            wait.last = value = probe()
        finally:
            took = deadline.elapsed - started
        if not until(value) and (reason := terminal(value)):
            attempts = int(retrying.statistics["attempt_number"])
            raise WaitEnded(event, reason, elapsed=deadline.elapsed, attempts=attempts, last=value)
        return value

    def give_up(state: tenacity.RetryCallState) -> T:
        assert state.outcome is not None
        last = state.outcome.exception() or state.outcome.result()
        raise WaitTimedOut(event, "not seen", elapsed=deadline.elapsed, attempts=state.attempt_number, last=last)

    retrying = tenacity.Retrying(
        wait=lambda _: max(interval, took),
        stop=tenacity.stop_after_delay(timeout),
        retry=tenacity.retry_if_result(lambda value: not until(value)) | tenacity.retry_if_exception_type(retry_on),
        retry_error_callback=give_up,
    )
    outermost = _waits.setdefault(thread, wait) is wait
    try:
        return retrying(look)
    finally:
        if outermost:
            del _waits[thread]


def ticks(seconds: float, stopped: threading.Event) -> Iterator[None]:
    """Yield every *seconds* seconds until *stopped* is set; for threads that do something periodically."""
    while not stopped.wait(seconds):
        yield


def first(
    states: Iterable[T],
    *,
    until: Callable[[T], bool],
    event: str,
    deadline: Deadline,
    terminal: Callable[[T], str | None] = lambda _: None,
) -> T:
    """The first of *states* that satisfies *until*; WaitTimedOut when they end, WaitEnded on a terminal state."""
    last: object = "nothing"
    seen = 0
    for state in states:
        seen, last = seen + 1, state
        if until(state):
            return state
        if reason := terminal(state):
            raise WaitEnded(event, reason, elapsed=deadline.elapsed, attempts=seen, last=last)
    raise WaitTimedOut(event, "not seen", elapsed=deadline.elapsed, attempts=seen, last=last)


def _short(value: object, limit: int = 600) -> str:
    text = str(value)
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text)} characters)"
