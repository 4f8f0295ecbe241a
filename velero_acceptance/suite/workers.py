"""Which worker of pytest-xdist does what: whole features, and the first one what it has begun beside the others."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from pytest_bdd.scenario import make_python_name
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

from velero_acceptance.core.waiting import WaitTimedOut, poll
from velero_acceptance.gherkin.documents import read
from velero_acceptance.gherkin.selection import BESIDE, EXCLUSIVE
from velero_acceptance.suite.session import RUN, runs_features

# Criteria whose scenarios look at the same work, which takes long: one worker does it for all of them.
TOGETHER = (
    frozenset({"AC-003-02", "AC-004-02"}),
    frozenset({"AC-003-04", "AC-004-04", "NFR-PERF-001", "NFR-PERF-002"}),
    frozenset({"AC-005-01", "AC-005-02", "AC-005-03"}),
)


class ByFeature(LoadScopeScheduling):
    """A worker that is free takes the next feature; what goes on beside is judged where it was begun."""

    def __init__(self, config: pytest.Config, log: Producer | None = None) -> None:
        super().__init__(config, log)
        # xdist's own order is by the number of tests, which says nothing of how long a scenario takes.
        config.option.loadscopereorder = False
        self._root = config.rootpath

    def _split_scope(self, nodeid: str) -> str:
        file, _, test = nodeid.partition("::")
        return scope_of(self._root / file, test)

    def _reschedule(self, node: WorkerController) -> None:
        if set(self.workqueue) == {BESIDE} and not self._is_first(node):
            if not node.shutting_down:
                node.shutdown()
            return
        super()._reschedule(node)

    def _assign_work_unit(self, node: WorkerController) -> None:
        """Keep the first worker off what needs a cluster to itself, as long as it has something else to do.

        What it has begun beside has its turn on the cluster meanwhile.
        """
        scopes = sorted(self.workqueue, key=lambda scope: (scope == BESIDE, self._alone(scope) == self._is_first(node)))
        self.workqueue.move_to_end(scopes[0], last=False)
        super()._assign_work_unit(node)

    def _is_first(self, node: WorkerController) -> bool:
        """By its name: the workers are in the order in which they became ready."""
        return bool(node.gateway.id == min(worker.gateway.id for worker in self.nodes))

    def _alone(self, scope: str) -> bool:
        files = {nodeid.partition("::")[0] for nodeid in self.workqueue[scope]}
        return any(EXCLUSIVE in scenario.tags for file in files for scenario in read(self._root / file).scenarios)


def scope_of(path: Path, test: str) -> str:
    """What is done by one worker: what goes on beside, or a share of the features."""
    judges = {make_python_name(found.name) for found in read(path).scenarios if BESIDE in found.tags}
    return BESIDE if test.removeprefix("test_") in judges else share_of(path)


def share_of(path: Path) -> str:
    """The share of a feature: itself, or those that share their work."""
    tags = read(path).tag_line
    return next((" ".join(sorted(group)) for group in TOGETHER if not group.isdisjoint(tags)), str(path))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFeature | None:
    """Ours for the features; --dist decides for everything else."""
    return ByFeature(config, log) if runs_features(config) else None


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Interrupt the workers of a run that is, and let them clean up: xdist itself gives them seconds for it."""
    parallel = session.config.pluginmanager.get_plugin("dsession")
    if parallel is None or exitstatus != pytest.ExitCode.INTERRUPTED or not runs_features(session.config):
        return
    run = session.config.stash[RUN]
    # The process of each by its name; both are private to xdist and execnet.
    workers = {node.gateway.id: node.gateway._io.popen for node in parallel._active_nodes}
    for process in workers.values():
        process.send_signal(signal.SIGTERM)  # nothing where it has ended by itself

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
        run.leaks.append(f"{error}: run `acceptance sweep --run {run.settings.run_id}`")
