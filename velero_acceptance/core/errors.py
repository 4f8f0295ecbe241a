"""Errors that end a command or a scenario, and exit codes.

Exit codes of the ``acceptance`` command: 0 done, 1 failed, 2 refused, 130 interrupted.
pytest keeps its own: 0 passed, 1 failed, 2 interrupted, 3 internal error, 4 refused, 5 nothing ran.
"""

EXIT_FAILED = 1
EXIT_REFUSED = 2
EXIT_INTERRUPTED = 130


class AcceptanceError(Exception):
    """A failure whose message is one sentence that says what to do."""

    exit_code = EXIT_FAILED


class Refusal(AcceptanceError):
    """The input is invalid or the machine unfit; nothing was started."""

    exit_code = EXIT_REFUSED


class CriterionNotMet(AssertionError):
    """A measured value breaks a limit of the register."""


class Blocked(AcceptanceError):
    """A precondition of the scenario does not hold, so it says nothing about the criterion."""


class Inconclusive(AcceptanceError):
    """The scenario ran, but the event it had to observe did not happen, e.g. a missed fault window."""
