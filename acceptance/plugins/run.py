"""Options of a run, its folder, and the target brought up before the first scenario."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from acceptance.errors import AcceptanceError, Refusal
from acceptance.gherkin.documents import FEATURES
from acceptance.redaction import Redactor
from acceptance.register.models import Profile
from acceptance.settings import Environment, Settings, Target
from acceptance.timeouts import Timeouts
from acceptance.waiting import Deadline

EXIT_USAGE = int(pytest.ExitCode.USAGE_ERROR)


@dataclass
class Run:
    """One run of the suite: what was asked for, and where its evidence goes."""

    settings: Settings
    timeouts: Timeouts
    redactor: Redactor = field(default_factory=Redactor)
    environment: Environment | None = None
    leaks: list[str] = field(default_factory=list)
    # Runs from the moment the target is up, so that it times the scenarios alone.
    clock: Deadline | None = None

    @property
    def folder(self) -> Path:
        return self.settings.reports / self.settings.run_id

    @property
    def records(self) -> Path:
        return self.folder / "records"


RUN = pytest.StashKey[Run]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("acceptance", "acceptance suite")
    group.addoption("--target", help="lab (default) or current; ACCEPTANCE_TARGET")
    group.addoption("--profile", help="observe, exercise, disrupt or soak; ACCEPTANCE_PROFILE")
    group.addoption("--run-id", help="name of the run and of its folder in reports/; ACCEPTANCE_RUN_ID")
    group.addoption("--data-size", help="of the timed runs, e.g. 256MiB (default) or 10GB; ACCEPTANCE_DATA_SIZE")
    group.addoption("--reliability-runs", help="of the accelerated schedule; ACCEPTANCE_RELIABILITY_RUNS")
    group.addoption("--hours", help="of the soak, with --profile soak; ACCEPTANCE_HOURS")
    group.addoption("--sweep", action="store_true", help="first remove what killed runs left on the target")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Read the settings, and give JUnit and Allure their place in the run's folder."""
    option = config.option
    try:
        settings = Settings.read(
            target=option.target,
            profile=option.profile,
            run_id=option.run_id,
            data_size=option.data_size,
            reliability_runs=option.reliability_runs,
            hours=option.hours,
        )
        run = Run(settings, Timeouts.from_environment())
    except Refusal as error:
        raise pytest.UsageError(str(error)) from None
    config.stash[RUN] = run
    # Workers of pytest-xdist are children of this process: one run, one name.
    os.environ["ACCEPTANCE_RUN_ID"] = settings.run_id
    if runs_features(config):
        if not option.xmlpath:
            option.xmlpath = str(run.folder / "junit.xml")
        if not option.allure_report_dir:
            option.allure_report_dir = str(run.folder / "allure-results")
    # CI cancels with SIGTERM, which would end the process without any clean-up.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def runs_features(config: pytest.Config) -> bool:
    """Whether scenarios were asked for and are to be run, not only collected."""
    asked = (Path(argument.partition("::")[0]).resolve() for argument in config.args)
    return not config.option.collectonly and any(path.is_relative_to(FEATURES) for path in asked)


def pytest_report_header(config: pytest.Config) -> list[str]:
    run = config.stash[RUN]
    settings = run.settings
    return [f"acceptance: run {settings.run_id}, target {settings.target}, profile {settings.effective_profile}"]


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """Bring the lab up and check the target, once, before anything runs."""
    config = session.config
    if not runs_features(config) or session.testsfailed or getattr(session, "items", None) == []:
        return
    run = config.stash[RUN]
    try:
        if run.settings.target is Target.LAB and not is_worker(config):
            _bring_lab_up()
        run.environment = _reachable(run)
        if config.option.sweep and not is_worker(config):
            _sweep(run.environment, run.timeouts)
        run.clock = Deadline(0)
    except Refusal as error:
        pytest.exit(f"refused: {error}", returncode=EXIT_USAGE)
    except AcceptanceError as error:
        pytest.exit(str(error), returncode=int(pytest.ExitCode.TESTS_FAILED))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the scenarios that may do more to the target than the profile allows."""
    allowed = config.stash[RUN].settings.effective_profile.rank
    above = [item for item in items if needed_rank(item) > allowed]
    if above:
        config.hook.pytest_deselected(items=above)
        items[:] = [item for item in items if item not in above]


def needed_rank(item: pytest.Item) -> int:
    """The rank of the profile that a scenario needs: its criterion's, or the higher one it is tagged with."""
    from acceptance.gherkin.collector import register

    marks, criteria = {mark.name for mark in item.iter_markers()}, register().criteria
    profiles = [criteria[name].verification.profile for name in marks if name in criteria]
    return max((profile.rank for profile in [*profiles, *(p for p in Profile if p.value in marks)]), default=0)


def is_worker(config: pytest.Config) -> bool:
    """Whether this process is a worker of pytest-xdist."""
    return hasattr(config, "workerinput")


def _bring_lab_up() -> None:
    from rich.console import Console

    from lab.lifecycle import Lab
    from lab.progress import Steps
    from lab.settings import LabSettings

    Lab(LabSettings()).up(Steps(Console(highlight=False)))


def _reachable(run: Run) -> Environment:
    """The environment, after one call each to its API server and its bucket."""
    from acceptance.drivers.kubernetes import ApiError, Kubernetes
    from acceptance.drivers.s3 import Bucket
    from acceptance.safety import environment

    found = environment(run.settings)
    run.redactor.learn(found.s3.access_key.get_secret_value(), found.s3.secret_key.get_secret_value())
    try:
        version = Kubernetes(found.kubeconfig, found.context, call_seconds=run.timeouts["api_call"]).version()
    except ApiError as error:
        raise Refusal(f"{error}: is the cluster up, and is {found.kubeconfig} its kubeconfig?") from None
    Bucket(found.s3, found.bucket, call_seconds=run.timeouts["s3_call"])
    return found.model_copy(update={"notes": {**found.notes, "API server": version}})


def _sweep(environment: Environment, timeouts: Timeouts) -> None:
    from acceptance.sweep import sweep

    for line in sweep(environment, timeouts):
        print(f"swept: {line}")
