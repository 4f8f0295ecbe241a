"""The distribution of scenarios to workers of pytest-xdist, and how the workers of an interrupted run end."""

import signal
from functools import cache
from pathlib import Path

import pytest
from pytest_bdd.scenario import make_python_name
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from velero_acceptance.core.installation import ROOT
from velero_acceptance.core.waiting import WaitTimedOut, poll
from velero_acceptance.gherkin.documents import read
from velero_acceptance.gherkin.selection import EXCLUSIVE, LONG, shared_with
from velero_acceptance.suite.options import option
from velero_acceptance.suite.records import STOP
from velero_acceptance.suite.session import RUN, is_scenario, runs_features


class ByFeature(LoadScopeScheduling):
    """A free worker takes the next share of the scenarios, in the order in which they were collected."""

    def __init__(self, config: pytest.Config, log: Producer | None = None) -> None:
        super().__init__(config, log)
        # xdist orders by the number of tests, which says nothing about the duration of a scenario.
        config.option.loadscopereorder = False
        self._roots = (config.rootpath, ROOT)

    def _split_scope(self, nodeid: str) -> str:
        file, _, test = nodeid.partition("::")
        return share_of(next(path for root in self._roots if (path := root / file).exists()), test)


def share_of(path: Path, test: str) -> str:
    """The share of a scenario: its whole feature where features share their set-up, else that feature's exclusive
    scenarios or the others, so that no worker waits for the cluster while others could continue.
    """
    if shared := shared_with(read(path).tags):
        return shared
    return f"{path} alone" if test.removeprefix("test_").partition("[")[0] in _exclusive(path) else str(path)


@cache
def _exclusive(path: Path) -> frozenset[str]:
    return frozenset(make_python_name(found.written) for found in read(path).scenarios if EXCLUSIVE in found.tags)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Long scenarios run first, those that need the cluster to themselves last.

    Where the first red ends a criterion, the long ones may not be needed: they run last.
    """
    shares = {item: share_of(item.path, item.name) for item in items if is_scenario(item)}
    exclusive = {item for item in shares if item.get_closest_marker(EXCLUSIVE)}
    long = {share for item, share in shares.items() if item.get_closest_marker(LONG)}
    alone = set(shares.values()) - {share for item, share in shares.items() if item not in exclusive}
    if option(config, STOP):
        items.sort(key=lambda item: (shares.get(item) in long, shares.get(item) in alone, item in exclusive))
    else:
        items.sort(key=lambda item: (shares.get(item) in alone, shares.get(item) not in long, item in exclusive))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFeature | None:
    """The scheduler for features; --dist decides for everything else."""
    return ByFeature(config, log) if runs_features(config) else None


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Interrupt the workers of an interrupted run, and let them clean up: xdist itself gives them only seconds."""
    parallel = session.config.pluginmanager.get_plugin("dsession")
    if parallel is None or exitstatus != pytest.ExitCode.INTERRUPTED or not runs_features(session.config):
        return
    run = session.config.stash[RUN]
    # Their processes by name; both are private to xdist and execnet.
    workers = {node.gateway.id: node.gateway._io.popen for node in parallel._active_nodes}  # noqa: SLF001
    for process in workers.values():
        process.send_signal(signal.SIGTERM)  # no effect if it has ended

    def cleaning() -> list[str]:
        return [name for name, it in workers.items() if it.poll() is None and not run.leaks_of(name).exists()]

    try:
        poll(
            cleaning,
            until=lambda busy: not busy,
            event="the interrupted workers have cleaned up",
            timeout=run.timeouts["workers_cleaned_up"],
        )
    except WaitTimedOut as error:
        run.leaks.append(f"{error}: run `{run.command('sweep')}`")
