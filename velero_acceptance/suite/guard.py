"""What is around a run: the opt-in to disrupt, the run lock, and the fingerprint of what is not ours."""

from __future__ import annotations

import signal
import threading

import pytest

from velero_acceptance.core.errors import AcceptanceError, Refusal
from velero_acceptance.core.settings import Environment, Profile, Target
from velero_acceptance.drivers.kinds import STORAGE_LOCATION, name_of
from velero_acceptance.drivers.kubernetes import Kubernetes
from velero_acceptance.drivers.s3 import Bucket
from velero_acceptance.drivers.velero import Velero
from velero_acceptance.report.publish import refuse_locations
from velero_acceptance.suite.options import option
from velero_acceptance.suite.session import TROUBLE, Run, fail, is_worker
from velero_acceptance.target.clocks import Clocks
from velero_acceptance.target.created_resources import ResourceCleaner
from velero_acceptance.target.lock import RunLock
from velero_acceptance.target.selection import require_opt_in
from velero_acceptance.target.snapshot import ClusterSnapshot, Comparison, take_snapshot
from velero_acceptance.target.sweep import sweep

SHOWN = 5


class Guard:
    """Around one run, in the process that was started."""

    def __init__(self, session: pytest.Session, run: Run, environment: Environment) -> None:
        self._session, self.run, self._environment = session, run, environment
        self._kubernetes = Kubernetes(
            environment.kubeconfig, environment.context, call_seconds=run.timeouts["api_call"]
        )
        self._bucket = Bucket(environment.s3, environment.bucket, call_seconds=run.timeouts["s3_call"])
        self._lock = RunLock(self._kubernetes, environment.velero_namespace, run.settings.run_id)
        self._before: ClusterSnapshot | None = None

    @property
    def _writes(self) -> bool:
        return self.run.settings.effective_profile is not Profile.OBSERVE

    @property
    def _disrupts(self) -> bool:
        return self.run.settings.effective_profile.rank >= Profile.DISRUPT.rank

    def begin(self, *, sweeps: bool) -> None:
        """Refuse what is not allowed, take the lock unless nothing is written, and look at what is not ours."""
        if self._disrupts and self._environment.target is Target.CURRENT:
            require_opt_in(self._kubernetes, self._environment.velero_namespace)
        if self.run.results is not None:
            refuse_locations(self.run.results, self._locations())
        if self._writes:
            self._lock.acquire()
            self._lock.keep(self._stop)
        elif sweeps:
            raise Refusal(
                "the profile observe writes nothing: sweep with `acceptance sweep`, or choose another profile"
            )
        if sweeps:
            for line in sweep(self._environment, self.run.timeouts, keep=self.run.settings.run_id):
                print(f"swept: {line}")
        self._before = take_snapshot(self._kubernetes, self._bucket, self._environment)

    def _locations(self) -> list[tuple[str, str, str]]:
        """Every location of this Velero: name, bucket, prefix."""
        found = self._kubernetes.list_all(STORAGE_LOCATION, self._environment.velero_namespace)
        stores = {name_of(item): item["spec"].get("objectStorage") or {} for item in found}
        return [(name, str(store.get("bucket", "")), str(store.get("prefix", ""))) for name, store in stores.items()]

    def end(self) -> None:
        """See what the run has left, compare what is not ours with what it was, and give the lock back."""
        try:
            if self._writes:
                self.run.leaks += self._cleaner().leftovers(self.run.settings.run_id)
            if self._before is not None:
                self._compare(self._before)
        finally:
            self.release()

    def _cleaner(self) -> ResourceCleaner:
        found = self._environment
        velero = Velero(self._kubernetes, found.velero_namespace, found.location, self.run.timeouts)
        return ResourceCleaner(self._kubernetes, velero, self._bucket, found.prefix, self.run.timeouts)

    def release(self) -> None:
        """Give the lock back, if it is ours."""
        self._lock.release()

    def _compare(self, before: ClusterSnapshot) -> None:
        after = take_snapshot(self._kubernetes, self._bucket, self._environment)
        changed = frozenset({self._environment.velero_namespace, self._environment.flux_namespace})
        found = Comparison(before, after, changed if self._disrupts else frozenset(), self._disrupts).changes()
        self.run.foreign_changes += found.by_run
        counted = f"{len(before.objects)} foreign objects and {len(before.keys)} foreign keys compared"
        self._note("fingerprint", counted)
        if found.by_others:
            self._note("changed by others meanwhile", _shown(found.by_others))
        if after.unseen:
            self._note("not in the fingerprint", "may not be listed: " + ", ".join(sorted(after.unseen)))
        if self._bucket.incomplete_uploads() is None:
            self._note("incomplete uploads", "not looked for: the suite's keys may not list them")

    def _note(self, what: str, text: str) -> None:
        """Say it in the report, whose environment is that of the first of several labs."""
        shown = self.run.environment
        assert shown is not None
        shown.notes[what if shown is self._environment else f"{what} of {self._environment.name}"] = text

    def _stop(self, reason: str) -> None:
        """End the run as Ctrl-C does: what was made is removed, and the report written."""
        self._session.config.stash[TROUBLE] = f"stopped: {reason}"
        parallel = self._session.config.pluginmanager.get_plugin("dsession")
        if parallel is not None:  # its workers finish their scenarios
            parallel.shouldstop = reason
        else:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


GUARDS = pytest.StashKey[list[Guard]]()


def begin(session: pytest.Session, run: Run, others: list[Environment]) -> None:
    """Called once the target was found to be there, and the *others* that have a worker each.

    Raises Refusal when the run must not start.
    """
    assert run.environment is not None
    environment = run.environment
    kubernetes = Kubernetes(environment.kubeconfig, environment.context, call_seconds=run.timeouts["api_call"])
    nodes = environment.target is not Target.LAB
    run.clocks = Clocks(kubernetes, nodes=nodes, seconds=run.timeouts["clocks_compared"]).start()
    if not is_worker(session.config):
        guards = [Guard(session, run, found) for found in (environment, *others)]
        try:
            for guard in guards:
                guard.begin(sweeps=bool(option(session.config, "sweep")))
        except BaseException:
            for guard in guards:
                guard.release()
            raise
        session.config.stash[GUARDS] = guards


def pytest_sessionfinish(session: pytest.Session) -> None:
    """After the fixtures' clean-up, before the report is written."""
    guards = session.config.stash.get(GUARDS, [])
    for guard in guards:
        try:
            guard.end()
        except AcceptanceError as error:
            fail(session, f"what is not ours could not be compared with what it was: {error}")
    if not guards:
        return
    run = guards[0].run
    if run.clocks is not None and run.environment is not None:
        run.environment.notes["clock skew"] = run.clocks.note()


def _shown(entries: list[str]) -> str:
    more = f" and {len(entries) - SHOWN} more" if len(entries) > SHOWN else ""
    return ", ".join(entries[:SHOWN]) + more
