"""``--allure-page``: Allure's report of the run too, before pytest's own last line. It decides nothing."""

from __future__ import annotations

import pytest

from acceptance.errors import AcceptanceError
from acceptance.plugins.report import REPORT
from acceptance.plugins.run import RUN


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("acceptance", "acceptance suite")
    group.addoption("--allure-page", action="store_true", help="make allure.html too; needs Node 20 or later")


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if not config.getoption("--allure-page") or REPORT not in config.stash:
        return
    from acceptance.traceability.allure import generate

    try:
        terminalreporter.write_line(f"Allure's report: {generate(config.stash[RUN].folder)}")
    except AcceptanceError as error:
        terminalreporter.write_line(f"Allure's report was not made: {error}")
