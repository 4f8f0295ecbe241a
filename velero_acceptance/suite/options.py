"""The suite's options of pytest: --acceptance-NAME, which no other plugin has, and in the checkout --NAME as well."""

from collections.abc import Iterable
from typing import Any

import pytest

from velero_acceptance.core.installation import IN_CHECKOUT

PREFIX = "acceptance-"
VALUES = {
    "target": "lab (default), kind or current; ACCEPTANCE_TARGET",
    "profile": "observe, exercise, disrupt or soak; ACCEPTANCE_PROFILE",
    "profile-uploader": "restic (default on the lab) or kopia; ACCEPTANCE_UPLOADER",
    "run-id": "name of the run and of its folder in reports/; ACCEPTANCE_RUN_ID",
    "data-size": "of the timed runs, e.g. 256MiB (default) or 10GB; ACCEPTANCE_DATA_SIZE",
    "reliability-runs": "of the accelerated schedule; ACCEPTANCE_RELIABILITY_RUNS",
    "hours": "of the soak, with the profile soak; ACCEPTANCE_HOURS",
    "labs": "how many labs the workers of -n share (default 1); ACCEPTANCE_LABS",
}
FLAGS = {
    "sweep": "first remove what killed runs left on the target",
    "without-faults": "run the negative scenarios without their faults: each has to go red",
    "stop-at-verdict": "leave out what is left of a criterion once a scenario of it has failed",
    "allure-page": "make allure.html too; needs Node 20 or later",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("acceptance", "acceptance suite")
    for name, text in {**VALUES, **FLAGS}.items():
        names = [f"--{PREFIX}{name}", *([f"--{name}"] if IN_CHECKOUT else [])]
        group.addoption(*names, dest=_dest(name), action="store_true" if name in FLAGS else "store", help=text)


def option(config: pytest.Config, name: str) -> Any:
    """The value of an option of the suite; None or False where it was not given."""
    return config.getoption(_dest(name), None)


def prefixed(arguments: Iterable[str]) -> list[str]:
    """*arguments* with the suite's options by their long names."""
    known = {f"--{name}": f"--{PREFIX}{name}" for name in (*VALUES, *FLAGS)}
    split = [argument.partition("=") for argument in arguments]
    return [f"{known.get(name, name)}{sign}{value}" for name, sign, value in split]


def _dest(name: str) -> str:
    return f"{PREFIX}{name}".replace("-", "_")
