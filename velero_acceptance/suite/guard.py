"""What protects the target around a run: the opt-in to disrupt, the run lock, and the snapshot of what is foreign."""

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
    """The protection of one target, in the main process."""

    def __init__(self, session: pytest.Session, run: Run, environment: Environment) -> None:
        self._session, self.run, self._environment = session, run, environment
        self._kubernetes = _kubernetes(run, environment)
        self._bucket = Bucket(environment.s3, environment.bucket, call_seconds=run.timeouts["s3_call"])
        self.lock = RunLock(self._kubernetes, environment.velero_namespace, run.settings.run_id, environment.target)
        self._before: ClusterSnapshot | None = None
        profile = run.settings.effective_profile
        self._writes, self._disrupts = profile is not Profile.OBSERVE, profile.rank >= Profile.DISRUPT.rank

    def begin(self, *, sweeps: bool) -> None:
        """Refuse what is not allowed, take the lock if the run writes, and take the first snapshot."""
        if self._disrupts and self._environment.target is Target.CURRENT:
            require_opt_in(self._kubernetes, self._environment.velero_namespace)
        if self.run.results is not None:
            refuse_locations(self.run.results, self._locations())
        if self._writes:
            self.lock.acquire()
            self.lock.keep(self._stop)
        elif sweeps:
            command = self._environment.target.command("sweep")
            raise Refusal(f"the profile observe writes nothing: sweep with `{command}`, or choose another profile")
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
        """Find the run's leftovers, compare the snapshots, and release the lock."""
        try:
            if self._writes:
                self.run.leaks += self._cleaner().leftovers(self.run.settings.run_id)
            if self._before is not None:
                self._compare(self._before)
        finally:
            self.lock.release()

    def _cleaner(self) -> ResourceCleaner:
        found = self._environment
        velero = Velero(self._kubernetes, found.velero_namespace, found.location, self.run.timeouts)
        return ResourceCleaner(self._kubernetes, velero, self._bucket, found.prefix, self.run.timeouts)

    def _compare(self, before: ClusterSnapshot) -> None:
        after = take_snapshot(self._kubernetes, self._bucket, self._environment)
        changed = frozenset({self._environment.velero_namespace, self._environment.flux_namespace})
        found = Comparison(before, after, changed if self._disrupts else frozenset(), self._disrupts).changes()
        self.run.foreign_changes += found.by_run
        self._note("fingerprint", f"{len(before.objects)} foreign objects and {len(before.keys)} foreign keys compared")
        if found.by_others:
            more = f" and {len(found.by_others) - SHOWN} more" if len(found.by_others) > SHOWN else ""
            self._note("changed by others meanwhile", ", ".join(found.by_others[:SHOWN]) + more)
        if after.unseen:
            self._note("not in the fingerprint", "may not be listed: " + ", ".join(sorted(after.unseen)))
        if self._bucket.incomplete_uploads() is None:
            self._note("incomplete uploads", "not checked: the suite's keys may not list them")

    def _note(self, what: str, text: str) -> None:
        """Note it in the report, whose environment is the first of several labs."""
        shown = self.run.environment
        assert shown is not None
        shown.notes[what if shown is self._environment else f"{what} of {self._environment.name}"] = text

    def _stop(self, reason: str) -> None:
        """End the run as Ctrl-C does: clean up and write the report."""
        self._session.config.stash[TROUBLE] = f"stopped: {reason}"
        parallel = self._session.config.pluginmanager.get_plugin("dsession")
        if parallel is not None:  # its workers finish their scenarios
            parallel.shouldstop = reason
        else:
            signal.pthread_kill(
                threading.main_thread().ident or 0, signal.SIGTERM
            )  # SIGINT is ignored in a job of a shell


GUARDS = pytest.StashKey[list[Guard]]()


def begin(session: pytest.Session, run: Run, others: list[Environment]) -> None:
    """Protect the run's target and those of further workers; raises Refusal when the run must not start."""
    assert run.environment is not None
    nodes = run.environment.target is not Target.LAB
    clocks = Clocks(_kubernetes(run, run.environment), nodes=nodes, seconds=run.timeouts["clocks_compared"])
    run.clocks = clocks.start()
    if not is_worker(session.config):
        guards = [Guard(session, run, found) for found in (run.environment, *others)]
        try:
            for guard in guards:
                guard.begin(sweeps=bool(option(session.config, "sweep")))
        except BaseException:
            for guard in guards:
                guard.lock.release()
            raise
        session.config.stash[GUARDS] = guards


def pytest_sessionfinish(session: pytest.Session) -> None:
    """After the fixtures' clean-up, before the report is written."""
    guards = session.config.stash.get(GUARDS, [])
    for guard in guards:
        try:
            guard.end()
        except AcceptanceError as error:
            fail(session, f"the target could not be compared with its first snapshot: {error}")
    run = guards[0].run if guards else None
    if run and run.clocks is not None and run.environment is not None:
        run.environment.notes["clock skew"] = run.clocks.note()


def _kubernetes(run: Run, environment: Environment) -> Kubernetes:
    return Kubernetes(environment.kubeconfig, environment.context, call_seconds=run.timeouts["api_call"])
