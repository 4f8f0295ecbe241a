"""``--allure-page``: Allure's report of the run too, before pytest's own last line. It decides nothing."""

from __future__ import annotations

import pytest

from velero_acceptance.core.errors import AcceptanceError
from velero_acceptance.suite.options import option
from velero_acceptance.suite.report import REPORT
from velero_acceptance.suite.session import RUN


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if not option(config, "allure-page") or REPORT not in config.stash:
        return
    from velero_acceptance.report.allure import generate

    try:
        terminalreporter.write_line(f"Allure's report: {generate(config.stash[RUN].folder)}")
    except AcceptanceError as error:
        terminalreporter.write_line(f"Allure's report was not made: {error}")
