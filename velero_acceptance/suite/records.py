"""Save a record of every scenario from its start, so that even a killed run has them."""

import time
from collections.abc import Generator
from datetime import UTC, datetime

import pytest
from pytest_bdd.parser import Scenario, Step

from velero_acceptance.core.errors import Blocked, Inconclusive
from velero_acceptance.criteria.current import register
from velero_acceptance.drivers.admission import refusal
from velero_acceptance.drivers.kubernetes import ApiError
from velero_acceptance.evidence.recorder import Evidence
from velero_acceptance.evidence.records import Outcome, Record, StepTime
from velero_acceptance.suite.door import unwritable
from velero_acceptance.suite.options import option
from velero_acceptance.suite.session import EVIDENCE, RUN, is_scenario, slug_of

CLOCK = pytest.StashKey[float]()
STEP_CLOCK = pytest.StashKey[float]()
# Criteria of which a scenario has failed.
FAILED = pytest.StashKey[set[str]]()
STOP = "stop-at-verdict"


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, object, object]:
    """A run that cannot write its evidence proves nothing: stop with one sentence, and clean up."""
    try:
        return (yield)
    except OSError as error:  # also of a plugin that writes a report during the run
        pytest.exit(unwritable(session.config.stash[RUN], error), returncode=1)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    if not is_scenario(item):
        return
    run, criteria = item.config.stash[RUN], register().criteria
    criterion = next(criteria[mark.name] for mark in item.iter_markers() if mark.name in criteria)
    record = Record(
        node=item.nodeid,
        criterion=criterion.id,
        feature=item.path.name,
        scenario=item.name,
        negative=item.get_closest_marker("negative") is not None,
        passive=item.get_closest_marker("passive") is not None,
        cluster=(run.environment.context or run.environment.name) if run.environment else "",
        started=datetime.now(UTC),
    )
    item.user_properties.append(("requirement", criterion.id))
    item.user_properties.append(("requirement_group", register().requirement_of[criterion.id].id))
    item.stash[EVIDENCE] = Evidence(record, criterion, run.folder, slug_of(item), run.redactor)
    item.stash[CLOCK] = time.monotonic()
    _save(item)
    if option(item.config, STOP) and criterion.id in item.config.stash.get(FAILED, set()):
        pytest.skip(f"a scenario of {criterion.id} has failed")


def pytest_bdd_before_scenario(request: pytest.FixtureRequest, scenario: Scenario) -> None:
    request.node.stash[EVIDENCE].record.scenario = scenario.name


def pytest_bdd_before_step(request: pytest.FixtureRequest, step: Step) -> None:
    request.node.stash[EVIDENCE].record.steps.append(StepTime(text=f"{step.keyword} {step.name}"))
    request.node.stash[STEP_CLOCK] = time.monotonic()


def pytest_bdd_after_step(request: pytest.FixtureRequest) -> None:
    request.node.stash[EVIDENCE].record.steps[-1].seconds = time.monotonic() - request.node.stash[STEP_CLOCK]


def pytest_bdd_step_error(request: pytest.FixtureRequest) -> None:
    pytest_bdd_after_step(request)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    redactor = item.config.stash[RUN].redactor
    if (shown := redactor.text(report.longreprtext)) != report.longreprtext:
        report.longrepr = shown  # on the console and in JUnit
    report.sections = [(title, redactor.text(said)) for title, said in report.sections]
    if is_scenario(item) and EVIDENCE in item.stash:
        record = item.stash[EVIDENCE].record
        if report.failed and record.outcome in (Outcome.INTERRUPTED, Outcome.PASSED):
            record.outcome = _outcome(call.excinfo.value if call.excinfo else None)
            record.error = redactor.text(_words(call.excinfo.value) if call.excinfo else "")
            if record.outcome is Outcome.FAILED:
                item.config.stash.setdefault(FAILED, set()).add(record.criterion)
            if record.outcome is Outcome.BLOCKED:  # only the reason matters, not the traceback
                report.longrepr = f"BLOCKED: {record.error}"
        elif report.skipped:
            record.outcome = Outcome.SKIPPED
        elif report.when == "call":
            record.outcome = Outcome.PASSED
        record.seconds = time.monotonic() - item.stash[CLOCK]
        _save(item)
    return report


def _outcome(error: BaseException | None) -> Outcome:
    """Neither a missing right nor a policy of the cluster says anything about the criterion."""
    refused = isinstance(error, ApiError) and (error.status in (401, 403) or bool(refusal(str(error))))
    if isinstance(error, Blocked) or refused:
        return Outcome.BLOCKED
    return Outcome.INCONCLUSIVE if isinstance(error, Inconclusive) else Outcome.FAILED


def _words(error: BaseException) -> str:
    policy = refusal(str(error)) if isinstance(error, ApiError) else ""
    return f"the cluster's admission refuses it, which is no missing right: {policy}" if policy else str(error)


def _save(item: pytest.Item) -> None:
    evidence = item.stash[EVIDENCE]
    evidence.record.save(item.config.stash[RUN].records, f"{evidence.criterion.id}-{slug_of(item)}")


@pytest.fixture
def evidence(request: pytest.FixtureRequest) -> Evidence:
    found: Evidence = request.node.stash[EVIDENCE]
    return found
