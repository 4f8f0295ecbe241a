"""Options of a run, its folder, and the target brought up before the first scenario."""

import os
import signal
import tempfile
from functools import partial
from pathlib import Path
from types import FrameType

import pytest

from velero_acceptance.core.errors import Refusal
from velero_acceptance.core.settings import Environment, Profile, Settings, Target
from velero_acceptance.core.timeouts import Timeouts
from velero_acceptance.suite.door import ending, leave_nothing, refusing, require_writable, withhold
from velero_acceptance.suite.options import VALUES, option
from velero_acceptance.suite.session import RUN, Run, index_of, is_worker, runs_features

# Tag of scenarios that need a newer Velero beside the deployed one.
UPGRADE = "upgrade"

SESSION = pytest.StashKey[pytest.Session]()


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Read the settings, and give JUnit and Allure their place in the run's folder."""
    with refusing():
        values = {name.removeprefix("profile-").replace("-", "_"): option(config, name) for name in VALUES}
        settings = Settings.read(**values)
        run = Run(settings, Timeouts.from_environment())
        _check_signing_key()
        _check_results(settings)
        _check_run_id(run, config)
        _labs(settings, config)
    config.stash[RUN] = run
    # Workers of pytest-xdist are children of this process: one run, one name.
    os.environ["ACCEPTANCE_RUN_ID"] = settings.run_id
    if runs_features(config):
        with refusing():
            require_writable(run)
        if not is_worker(config):
            config.add_cleanup(partial(leave_nothing, run, made=not settings.reports.exists()))
        # What a crashed worker has left of its lab is not known: no other one goes on with it.
        config.option.maxworkerrestart = "0"
        if not config.option.xmlpath:
            config.option.xmlpath = str(run.folder / "junit.xml")
        if getattr(config.option, "allure_report_dir", "") is None:
            config.option.allure_report_dir = str(run.folder / "allure-results")
    interruption = Interruption()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup sets for SIGHUP
            signal.signal(number, interruption)


def _check_run_id(run: Run, config: pytest.Config) -> None:
    """Raise Refusal for the name of a run that has records or a report already: evidence belongs to one run."""
    used = run.records.exists() or (run.folder / "traceability.json").exists() or run.folder.is_symlink()
    if used and not is_worker(config) and not config.option.collectonly:
        raise Refusal(f"{run.folder} holds another run: choose another --run-id, or none")


class Interruption:
    """What Ctrl-C and SIGTERM do: CI cancels with the latter, which would end the process without any clean-up.

    Once interrupted, a process cleans up, whatever else asks it to end; only Ctrl-C once more stops that.
    """

    def __init__(self) -> None:
        self._own, self._begun = os.getpid(), False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._own:  # a child that a library has forked just ends
            os._exit(128 + number)
        if self._begun and number == signal.SIGTERM:
            return
        self._begun = True
        signal.default_int_handler(number, frame)


def _check_signing_key() -> None:
    """Refuse a key that cannot sign before the run, not after it."""
    if os.environ.get("ACCEPTANCE_SIGNING_KEY"):
        from velero_acceptance.report.attestation.keys import signer

        signer()


def _check_results(settings: Settings) -> None:
    """Refuse a place for the results that is none before anything is brought up."""
    if settings.results:
        from velero_acceptance.report import publish

        publish.parse(settings)


def pytest_report_header(config: pytest.Config) -> list[str]:
    run = config.stash[RUN]
    settings = run.settings
    return [f"acceptance: run {settings.run_id}, target {settings.target}, profile {settings.effective_profile}"]


def pytest_sessionstart(session: pytest.Session) -> None:
    session.config.stash[SESSION] = session


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_xdist_setupnodes(config: pytest.Config) -> None:
    """With workers of pytest-xdist: prepare before they start, for they do not wait; and collect before that."""
    if not runs_features(config):
        return
    session = config.stash[SESSION]
    session.perform_collect()
    if session.testsfailed:
        pytest.exit(f"{session.testsfailed} files cannot be collected: run without -n to see why", returncode=2)
    if not session.items:
        pytest.exit("no scenario was selected: look at -k, -m and --profile", returncode=5)
    _prepare(session)


def pytest_collection_finish(session: pytest.Session) -> None:
    """A session that has nothing to run leaves nothing."""
    if runs_features(session.config) and (session.testsfailed or not session.items):
        withhold(session.config)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """Without workers, and in each of them: prepare once it is known that there is something to run."""
    distributes = session.config.pluginmanager.has_plugin("dsession")
    if runs_features(session.config) and not distributes and not session.testsfailed and session.items:
        _prepare(session)


def _prepare(session: pytest.Session) -> None:
    """Bring lab or kind cluster up and check the target, once, before anything runs."""
    config = session.config
    run = config.stash[RUN]
    with ending(config):
        first, *others = numbers = _labs(run.settings, config)
        if run.settings.target is not Target.CURRENT and not is_worker(config):
            _bring_up(run.settings, getattr(session, "items", []), numbers)
        run.environment = _reachable(run, first)
        if run.environment.target is Target.CURRENT:
            run.environment = _by_private_kubeconfig(run.environment, config)
        if others:
            run.environment.notes["labs"] = f"{len(numbers)} side by side on one machine, shared by the workers"
        if run.settings.results:
            _choose_results(run, run.environment)
        _begin(session, run, [_reachable(run, number) for number in others])


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the scenarios that may do more to the target than the profile allows; give the others a timeout."""
    from velero_acceptance.criteria.current import register
    from velero_acceptance.gherkin.selection import LONG, selected

    profile, criteria = config.stash[RUN].settings.effective_profile, register().criteria
    left_out = []
    for item in items:
        tags = {mark.name for mark in item.iter_markers()}
        own = next((criteria[tag].verification.profile for tag in tags if tag in criteria), Profile.OBSERVE)
        if not selected(tags, own, profile):
            left_out.append(item)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
    run = config.stash[RUN]
    for item in items:
        more = run.longest if item.get_closest_marker(LONG) else 0
        # The method "thread" ends the process without any clean-up, as a timeout would that counts it.
        item.add_marker(pytest.mark.timeout(run.timeouts["scenario"] + more, method="signal", func_only=True))


def _labs(settings: Settings, config: pytest.Config) -> list[int]:
    """The labs that this process has to do with: a worker of pytest-xdist has one, who started them has all."""
    if settings.target is not Target.LAB:
        return [1]
    if is_worker(config):
        return [index_of(config) % settings.labs + 1]
    from xdist.workermanage import parse_tx_spec_config

    given = config.getoption("numprocesses", None)
    workers = given or (len(parse_tx_spec_config(config)) if config.getoption("tx", None) else 1)
    if workers < settings.labs:
        raise Refusal(f"{settings.labs} labs need as many workers: use -n {settings.labs} or more")
    return list(range(1, settings.labs + 1))


def _bring_up(settings: Settings, items: list[pytest.Item], numbers: list[int]) -> None:
    """Bring the target up with what was asked for; where a scenario upgrades Velero, with the newer one at hand."""
    from rich.console import Console

    from lab.programs import RELEASES
    from lab.progress import Steps
    from velero_acceptance.target.selection import cluster_of

    if items:
        upgrades = any(item.get_closest_marker(UPGRADE) for item in items)
    else:  # nobody knows yet what workers will run, but which profile has the upgrade
        upgrades = settings.effective_profile is Profile.SOAK
    for number in numbers:
        cluster, steps = cluster_of(settings.target, settings.uploader, number), Steps(Console(highlight=False))
        cluster.up(steps)
        if upgrades:
            cluster.provide(RELEASES["kopia"], steps)


def _reachable(run: Run, number: int) -> Environment:
    """The environment, after one call each to its API server and its bucket."""
    from velero_acceptance.drivers.kubernetes import Kubernetes
    from velero_acceptance.drivers.s3 import Bucket
    from velero_acceptance.target.selection import environment, with_uploader

    found = environment(run.settings, number=number)
    run.redactor.learn(found.s3.access_key.get_secret_value(), found.s3.secret_key.get_secret_value())
    kubernetes = Kubernetes(found.kubeconfig, found.context, call_seconds=run.timeouts["api_call"])
    version = kubernetes.version()
    Bucket(found.s3, found.bucket, call_seconds=run.timeouts["s3_call"])
    found = with_uploader(found, kubernetes, run.settings.uploader)
    return found.model_copy(update={"notes": {**found.notes, "API server": version, "uploader": found.uploader}})


def _choose_results(run: Run, environment: Environment) -> None:
    """Where the run's folder goes; Refusal for one of Velero's locations."""
    from velero_acceptance.report import publish

    run.results = publish.destination(run.settings, environment)
    if run.results is not None:
        access = run.results.access
        run.redactor.learn(access.access_key.get_secret_value(), access.secret_key.get_secret_value())
        environment.notes["results"] = str(run.results)


def _by_private_kubeconfig(environment: Environment, config: pytest.Config) -> Environment:
    """The same cluster whatever becomes of the user's kubeconfig meanwhile, and no other."""
    from velero_acceptance.target.selection import private_kubeconfig

    folder = tempfile.TemporaryDirectory(prefix="velero-acceptance-")
    config.add_cleanup(folder.cleanup)
    return environment.model_copy(update={"kubeconfig": private_kubeconfig(environment, Path(folder.name))})


def _begin(session: pytest.Session, run: Run, others: list[Environment]) -> None:
    from velero_acceptance.suite import guard

    guard.begin(session, run, others)
