"""Around a run: who may disrupt, who holds the lock, what is compared, and how a run that lost its lock ends."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pydantic import SecretStr

from tests.api_server import ApiServer, client, serving
from velero_acceptance.core.errors import AcceptanceError, Refusal
from velero_acceptance.core.naming import DISRUPT_LABEL, DISRUPT_VALUE
from velero_acceptance.core.settings import Environment, Profile, S3Access, Settings, Target
from velero_acceptance.core.timeouts import Timeouts
from velero_acceptance.core.waiting import WaitTimedOut, poll
from velero_acceptance.drivers.kinds import LEASE, NAMESPACE, STORAGE_LOCATION
from velero_acceptance.report.publish import Destination
from velero_acceptance.suite import guard as module
from velero_acceptance.suite.guard import Guard
from velero_acceptance.suite.session import TROUBLE, Run
from velero_acceptance.target.lock import NAME, RunLock
from velero_acceptance.target.snapshot import ClusterSnapshot, ForeignObject, ObjectKey, VeleroState

LOCK = LEASE.path("velero", NAME)


@dataclass
class Scene:
    """A guard before a small API server; *events* is what was done, in order."""

    server: ApiServer
    session: Any
    environment: Environment
    events: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    fingerprints: list[ClusterSnapshot | AcceptanceError] = field(default_factory=list)

    def guard(self, profile: Profile, target: Target = Target.CURRENT) -> Guard:
        settings = Settings(profile=profile, target=target, run_id="mine")
        environment = self.environment.model_copy(update={"target": target})
        return Guard(self.session, Run(settings, Timeouts(), environment=environment), environment)


def seen(*names: str) -> ClusterSnapshot:
    objects = {ObjectKey("ConfigMap", "shop", name): ForeignObject(name, {"data": "x"}) for name in names}
    return ClusterSnapshot(datetime.now(UTC), objects, {}, VeleroState())


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    with serving() as server:
        access = S3Access(endpoint="e", access_key=SecretStr("a"), secret_key=SecretStr("b"))
        kubeconfig = client(server, tmp_path).kubeconfig
        kept = tmp_path / "kept"
        environment = Environment(
            target=Target.CURRENT, kubeconfig=kubeconfig, s3=access, corpus_image="x", ledger=kept, soak=kept
        )
        plugins = SimpleNamespace(get_plugin=lambda _: None)
        session = SimpleNamespace(config=SimpleNamespace(stash={}, pluginmanager=plugins))
        found = Scene(server, session, environment)

        def take(*_: object) -> ClusterSnapshot:
            found.events.append(f"fingerprint, lock {'held' if LOCK in server.objects else 'free'}")
            answer = found.fingerprints.pop(0) if found.fingerprints else seen("a")
            if isinstance(answer, AcceptanceError):
                raise answer
            return answer

        def sweep(*_: object, **__: object) -> Iterator[str]:
            found.events.append(f"sweep, lock {'held' if LOCK in server.objects else 'free'}")
            yield "x"

        # A renewal that found the server gone would interrupt whatever test runs by then.
        monkeypatch.setattr(RunLock, "keep", lambda *_: None)
        monkeypatch.setattr(module, "take_snapshot", take)
        monkeypatch.setattr(module, "sweep", sweep)
        monkeypatch.setattr(Guard, "_cleaner", lambda _: SimpleNamespace(leftovers=lambda _run: found.left))
        monkeypatch.setattr(module, "Bucket", lambda *_, **__: SimpleNamespace(incomplete_uploads=list))
        server.put(NAMESPACE, {"metadata": {"name": "velero", "labels": {}}})
        yield found


@pytest.mark.parametrize("profile", [Profile.DISRUPT, Profile.SOAK])
def test_a_cluster_is_disrupted_only_when_it_agrees(scene: Scene, profile: Profile) -> None:
    with pytest.raises(Refusal) as refused:
        scene.guard(profile).begin(sweeps=False)
    assert "has not agreed to be disrupted" in str(refused.value) and "\n" not in str(refused.value)
    assert f"kubectl label namespace velero {DISRUPT_LABEL}={DISRUPT_VALUE}" in str(refused.value)
    assert scene.events == [] and LOCK not in scene.server.objects

    scene.server.put(NAMESPACE, {"metadata": {"name": "velero", "labels": {DISRUPT_LABEL: DISRUPT_VALUE}}})
    scene.guard(profile).begin(sweeps=False)
    assert LOCK in scene.server.objects


def test_our_own_lab_needs_no_label(scene: Scene) -> None:
    scene.guard(Profile.DISRUPT, Target.LAB).begin(sweeps=False)
    assert LOCK in scene.server.objects


def test_observe_writes_nothing(scene: Scene) -> None:
    guard = scene.guard(Profile.OBSERVE)
    guard.begin(sweeps=False)
    guard.end()
    assert {method for method, _ in scene.server.asked} <= {"GET"}
    assert scene.events == ["fingerprint, lock free"] * 2


def test_observe_does_not_sweep(scene: Scene) -> None:
    with pytest.raises(Refusal, match="observe writes nothing"):
        scene.guard(Profile.OBSERVE).begin(sweeps=True)
    assert scene.events == []


def test_everything_happens_under_the_lock(scene: Scene) -> None:
    guard = scene.guard(Profile.EXERCISE)
    guard.begin(sweeps=True)
    guard.end()
    assert scene.events == ["sweep, lock held", "fingerprint, lock held", "fingerprint, lock held"]
    assert LOCK not in scene.server.objects


def test_what_is_left_is_looked_for_once_the_workers_have_ended(scene: Scene) -> None:
    guard = scene.guard(Profile.EXERCISE)
    guard.begin(sweeps=False)
    scene.left = ["Namespace acc-r-1 of a scenario"]
    guard.end()
    assert guard.run.leaks == scene.left


def test_without_the_namespace_nothing_starts(scene: Scene) -> None:
    scene.server.objects.clear()
    with pytest.raises(Refusal, match="namespace velero does not exist"):
        scene.guard(Profile.DISRUPT).begin(sweeps=False)


@pytest.mark.parametrize(("prefix", "refused"), [("results", True), ("", True), ("results/other", False)])
def test_results_never_go_into_another_location_of_this_velero(scene: Scene, prefix: str, refused: bool) -> None:
    store = {"bucket": "backups", "prefix": prefix}
    scene.server.put(STORAGE_LOCATION, {"metadata": {"name": "second"}, "spec": {"objectStorage": store}}, "velero")
    guard = scene.guard(Profile.EXERCISE)
    guard.run.results = Destination("backups", "results/mine/", scene.environment.s3)
    if not refused:
        guard.begin(sweeps=False)
        return
    with pytest.raises(Refusal, match="which is Velero's own location second"):
        guard.begin(sweeps=False)
    assert scene.events == [] and LOCK not in scene.server.objects


def test_a_difference_is_kept_for_the_report(scene: Scene) -> None:
    scene.fingerprints += [seen("a", "b"), seen("a")]
    guard = scene.guard(Profile.EXERCISE)
    guard.begin(sweeps=False)
    guard.end()
    assert guard.run.foreign_changes == ["ConfigMap shop/b is gone"]
    assert guard.run.environment is not None
    assert guard.run.environment.notes["fingerprint"] == "2 foreign objects and 0 foreign keys compared"


def test_the_lock_is_given_back_although_nothing_could_be_compared(scene: Scene) -> None:
    scene.fingerprints += [seen("a"), AcceptanceError("away")]
    guard = scene.guard(Profile.EXERCISE)
    guard.begin(sweeps=False)
    with pytest.raises(AcceptanceError, match="away"):
        guard.end()
    assert LOCK not in scene.server.objects


def test_a_run_that_lost_its_lock_is_interrupted_as_by_ctrl_c(scene: Scene) -> None:
    guard = scene.guard(Profile.EXERCISE)
    threading.Timer(0.1, guard._stop, ["the run lock was taken"]).start()
    with pytest.raises(KeyboardInterrupt):
        poll(lambda: None, until=lambda _: False, event="never", timeout=20)
    assert scene.session.config.stash[TROUBLE] == "stopped: the run lock was taken"


def test_parallel_workers_finish_what_they_are_at(scene: Scene) -> None:
    parallel = SimpleNamespace(shouldstop="")
    scene.session.config.pluginmanager.get_plugin = lambda name: parallel if name == "dsession" else None
    scene.guard(Profile.EXERCISE)._stop("the run lock was taken")
    with pytest.raises(WaitTimedOut):  # not interrupted
        poll(lambda: None, until=lambda _: False, event="never", timeout=0.3, interval=0.1)
    assert cast(str, parallel.shouldstop) == "the run lock was taken"


def test_what_went_wrong_before_is_not_lost(scene: Scene) -> None:
    def end() -> None:
        raise AcceptanceError("the bucket is gone")

    run = SimpleNamespace(clocks=None, environment=None)
    stash = scene.session.config.stash
    stash[module.GUARDS], stash[TROUBLE] = [SimpleNamespace(run=run, end=end)], "the clean-up met an error: x"
    module.pytest_sessionfinish(scene.session)
    assert stash[TROUBLE].startswith("the clean-up met an error: x; the target could not be compared")
    assert scene.session.exitstatus == pytest.ExitCode.TESTS_FAILED
