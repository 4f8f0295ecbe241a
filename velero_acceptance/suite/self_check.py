"""``--without-faults``: run the negative scenarios without their fault. Each of them must fail in a *Then*.

A scenario that stays green, or fails before its first *Then*, fails the run. No traceability report is written:
nothing was verified.
"""

from collections.abc import Generator

import pytest
from pytest_bdd.parser import Step

from velero_acceptance.suite.options import option
from velero_acceptance.suite.session import OPTION, RUN, runs_features

RED = pytest.StashKey[Step]()
# Attribute of a test's report, which workers of pytest-xdist send too.
ROW = "without_fault"
GREEN = "it stays green without its fault: the scenario proves nothing"
FILE = "without-faults.md"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if option(config, OPTION):
        others = [item for item in items if item.get_closest_marker("negative") is None]
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item not in others]


def pytest_bdd_step_error(request: pytest.FixtureRequest, step: Step) -> None:
    if step.type == "then":
        request.node.stash[RED] = step


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Invert the outcome, before the records of the run get it."""
    report = yield
    if option(item.config, OPTION) and report.when == "call" and not report.skipped:
        if report.passed:
            report.outcome, report.longrepr = "failed", GREEN
            setattr(report, ROW, _row(item, "stays green", GREEN))
        elif RED in item.stash and call.excinfo:
            report.outcome, report.longrepr = "passed", None
            setattr(report, ROW, _row(item, f"Then {item.stash[RED].name}", str(call.excinfo.value)))
    return report


def _row(item: pytest.Item, where: str, words: str) -> str:
    first = item.config.stash[RUN].redactor.text(words.splitlines()[0] if words else "").replace("|", "\\|")
    return f"| {item.path.stem} | {item.name.removeprefix('test_')} | {where} | {first} |"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    reports = [report for reports in terminalreporter.stats.values() for report in reports]
    rows = sorted(getattr(report, ROW) for report in reports if hasattr(report, ROW))
    if rows and runs_features(config):
        file = config.stash[RUN].folder / FILE
        head = ["| feature | negative scenario | fails at | message |", "|---|---|---|---|"]
        file.write_text("\n".join(["# Negative scenarios without their faults", "", *head, *rows, ""]))
        terminalreporter.write_line(f"where each went red: {file}")
