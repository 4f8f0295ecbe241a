"""How a session of pytest ends without a result: one sentence, exit code 4 when it was refused, and nothing left."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from velero_acceptance.core.errors import EXIT_REFUSED, AcceptanceError
from velero_acceptance.core.redaction import KNOWN
from velero_acceptance.core.sentences import known, reason
from velero_acceptance.suite.session import RUN, Run

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


@contextmanager
def refusing(collecting: pytest.Config | None = None) -> Iterator[None]:
    """While pytest configures itself, or is *collecting*: every known error is a usage error."""
    try:
        yield
    except Exception as error:
        if (found := known(error)) is None:
            raise
        if collecting is not None:
            withhold(collecting)
        raise pytest.UsageError(KNOWN.text(str(found))) from None


@contextmanager
def ending(config: pytest.Config) -> Iterator[None]:
    """While the target is prepared: a known error ends the session, which leaves nothing."""
    try:
        yield
    except Exception as error:
        if (found := known(error)) is None:
            raise
        withhold(config)
        refused = found.exit_code == EXIT_REFUSED
        code = pytest.ExitCode.USAGE_ERROR if refused else pytest.ExitCode.TESTS_FAILED
        pytest.exit(KNOWN.text(f"refused: {found}" if refused else str(found)), returncode=int(code))


def withhold(config: pytest.Config) -> None:
    """No JUnit file is written in the run's folder for a session in which nothing ran."""
    junit, place = config.pluginmanager.get_plugin("junitxml"), config.option.xmlpath
    if junit is not None and place and Path(place).is_relative_to(config.stash[RUN].folder):
        junit.pytest_unconfigure(config)


def leave_nothing(run: Run, *, made: bool) -> None:
    """Remove the folder of a run without records; with *made* also that of all reports, which was not there before."""
    if run.records.exists():
        return
    for folder in (run.folder / "allure-results", run.folder, *([run.settings.reports] if made else [])):
        with suppress(OSError):  # there is something else in it
            folder.rmdir()


def unwritable(run: Run, error: OSError) -> str:
    """Why the run's folder cannot be written, and what to do; any other error of the system by its own name."""
    if error.errno in FULL:
        return f"{run.folder} cannot be written: {error.strerror}; make room and run again"
    if error.filename and str(error.filename).startswith(str(run.settings.reports)):
        return f"{run.folder} cannot be written: {error.strerror}; name another folder with ACCEPTANCE_REPORTS"
    return KNOWN.text(reason(error))


def require_writable(run: Run) -> None:
    """Raise AcceptanceError when the run's folder cannot be made; nothing is tried that would leave something."""
    place = run.folder
    while not os.path.lexists(place) and place.parent != place:
        place = place.parent
    if not place.is_dir():
        why = f"{place} is no folder"
    elif not os.access(place, os.W_OK | os.X_OK):
        why = f"this user may not write to {place}, or it is read-only"
    else:
        return
    raise AcceptanceError(f"{run.folder} cannot be made: {why}; name another folder with ACCEPTANCE_REPORTS")
