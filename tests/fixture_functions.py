"""The functions behind the suite's fixtures, called without pytest."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, NoReturn

from velero_acceptance.preconditions import runnable


def fixture_of(module: ModuleType, name: str) -> Any:
    """The function behind a fixture of a module."""
    return runnable._function_of(vars(module)[name])


def set_up(module: ModuleType, name: str, **values: object) -> Any:
    """What a fixture that is not torn down makes of those *values* of its parameters that it asks for."""
    return fixture_of(module, name)(**{parameter: values[parameter] for parameter in runnable.fixtures()[name]})


@contextmanager
def fixture(module: ModuleType, name: str, **values: object) -> Iterator[Any]:
    """A fixture that is torn down when the body ends, also by an error, as pytest does after a failed scenario."""
    generator = set_up(module, name, **values)
    try:
        yield next(generator)
    finally:
        assert next(generator, None) is None


class ScenarioFailed(Exception):
    """A scenario that fails while its fixtures are set up."""


def fail(*_: object) -> NoReturn:
    """Fail a scenario, after what it has done."""
    raise ScenarioFailed
