"""Which calls of the API server are repeated: those that met a transient error, as often and as late as it asks for."""

import tenacity

from velero_acceptance.core.timeouts import seconds

# Retried: these statuses, and connections that never answered (0). Nothing else, ever.
TRANSIENT_STATUSES = frozenset({0, 429, 500, 502, 503, 504})
ATTEMPTS = 4
BACKOFF = tenacity.wait_exponential(multiplier=0.2, max=2)


def _error(state: tenacity.RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None


def _pause(state: tenacity.RetryCallState) -> float | None:
    """For how many seconds the API server asked to be left alone, as it does when it is overloaded."""
    return getattr(_error(state), "retry_after", None)


def _is_enough(state: tenacity.RetryCallState) -> bool:
    """Four attempts; more, until a deadline, while the API server itself asks to come back."""
    pause = _pause(state)
    if pause is None:
        return state.attempt_number >= ATTEMPTS
    return (state.seconds_since_start or 0) + pause > seconds("api_throttled")


# Decorates a call that raises errors with a *status* and maybe *retry_after*, in seconds.
transient_retry = tenacity.retry(
    retry=tenacity.retry_if_exception(lambda error: getattr(error, "status", None) in TRANSIENT_STATUSES),
    stop=_is_enough,
    wait=lambda state: max(BACKOFF(state), _pause(state) or 0),
    reraise=True,
)
