"""Gherkin steps, tags and evidence in Allure; allure-pytest-bdd shows nothing of a scenario whose fixture fails."""

import threading
from pathlib import Path
from typing import Any

import allure
import pytest
from allure_commons._core import plugin_manager
from allure_commons.utils import uuid4
from pytest_bdd.parser import Feature, Scenario, Step

from velero_acceptance.criteria.current import register
from velero_acceptance.suite.session import EVIDENCE

TYPES = {".json": allure.attachment_type.JSON, ".yaml": allure.attachment_type.YAML}


class StepReporter:
    """Reports the steps of the running scenario."""

    def __init__(self) -> None:
        self.open: str | None = None
        self.done = 0

    def start(self, step: Step) -> None:
        self.open = uuid4()
        plugin_manager.hook.start_step(uuid=self.open, title=f"{step.keyword} {step.name}", params={})

    def stop(self, error: BaseException | None = None) -> None:
        plugin_manager.hook.stop_step(
            uuid=self.open,
            title="",
            exc_type=type(error) if error else None,
            exc_val=error,
            exc_tb=error.__traceback__ if error else None,
        )
        self.open = None
        self.done += 1


REPORTER = pytest.StashKey[StepReporter]()


@pytest.hookimpl(trylast=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Attach each file of evidence to the step that recorded it."""
    if EVIDENCE in item.stash:
        item.stash[EVIDENCE].listeners.append(_attach)


def _attach(path: Path) -> None:
    # Allure only knows the running step of this thread.
    if threading.current_thread() is threading.main_thread():
        kind = TYPES.get(path.suffix, allure.attachment_type.TEXT)
        allure.attach.file(str(path), name=path.name, attachment_type=kind, extension=path.suffix.lstrip("."))


def pytest_bdd_before_scenario(request: pytest.FixtureRequest, feature: Feature, scenario: Scenario) -> None:
    request.node.stash[REPORTER] = StepReporter()
    allure.dynamic.title(scenario.name)
    for tag in feature.tags:
        if tag in register().criteria:
            requirement, criterion = register().requirement_of[tag], register().criteria[tag]
            allure.dynamic.epic(f"{requirement.id} {requirement.title}")
            allure.dynamic.feature(f"{tag} {feature.name}")
            allure.dynamic.label("requirement", tag)
            allure.dynamic.description(criterion.ears.text)
    allure.dynamic.story(scenario.rule.name if scenario.rule else scenario.name)


def pytest_bdd_before_step(request: pytest.FixtureRequest, step: Step) -> None:
    request.node.stash[REPORTER].start(step)


def pytest_bdd_after_step(request: pytest.FixtureRequest) -> None:
    request.node.stash[REPORTER].stop()


@pytest.hookimpl(trylast=True)
def pytest_bdd_step_error(request: pytest.FixtureRequest, exception: Exception) -> None:
    request.node.stash[REPORTER].stop(exception)


def pytest_bdd_after_scenario(request: pytest.FixtureRequest, scenario: Scenario) -> None:
    """Report the steps that were not reached; a step that skipped or was interrupted is still open."""
    reporter = request.node.stash[REPORTER]
    not_reached: Any = pytest.skip.Exception("not reached")
    if reporter.open:
        reporter.stop(not_reached)
    for step in scenario.steps[reporter.done :]:
        reporter.start(step)
        reporter.stop(not_reached)
