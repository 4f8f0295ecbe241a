"""What every scenario is given: names that are removed, results that are kept, a slot on the cluster, lines to read."""

from __future__ import annotations

import base64
import fcntl
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from fixtures.environment import cluster as cluster_fixtures
from fixtures.environment import run_scope, velero_health
from fixtures.environment.memoize import memoized
from fixtures.environment.run_scope import Scope, request_removal
from fixtures.environment.status_line import status_line
from fixtures.environment.velero_health import VeleroHealth
from tests.fake_cluster import RUN_ID, FakeBucket, FakeCluster, make_target
from tests.fake_velero import FakeVelero
from tests.fixture_functions import ScenarioFailed, fail, fixture, fixture_of, set_up
from velero_acceptance.core.errors import AcceptanceError
from velero_acceptance.core.naming import RUN_LABEL, belongs_to_run
from velero_acceptance.core.redaction import Redactor
from velero_acceptance.core.timeouts import Timeouts
from velero_acceptance.core.waiting import WaitEnded, WaitTimedOut
from velero_acceptance.drivers.kinds import BACKUP, NAMESPACE, NETWORK_POLICY, SCHEDULE, SECRET, phase_of
from velero_acceptance.drivers.velero import REPOSITORY_SECRET, Velero
from velero_acceptance.evidence.failure_bundle import LogStreams
from velero_acceptance.gherkin.selection import EXCLUSIVE, OWN_VELERO
from velero_acceptance.suite.session import RUN as RUN_KEY
from velero_acceptance.suite.session import Run
from velero_acceptance.target.created_resources import CreatedResources, ResourceCleaner

# -- names and their removal ------------------------------------------------------------------


def test_an_alias_has_one_name_throughout_the_scenario(scope: Scope) -> None:
    assert scope.name("source") == scope.name("source") != scope.name("target")
    assert scope.backup_name("x") == scope.backup_name("x") != scope.restore_name("x")
    assert belongs_to_run(scope.name("source"), RUN_ID)


def test_what_gets_a_name_is_removed(scope: Scope) -> None:
    names = {
        "namespaces": scope.expect_namespace("source"),
        "backups": scope.backup_name("a"),
        "restores": scope.restore_name("a"),
        "schedules": scope.schedule_name("a"),
        "secrets": scope.enter("secrets", "a"),
        "workloads": f"shop/{scope.workload_name('shop')}",
    }
    assert {entry: getattr(scope.created, entry) for entry in names} == {entry: {name} for entry, name in names.items()}


def test_a_namespace_is_labelled_and_isolated_before_it_is_used(scope: Scope, cluster: FakeCluster) -> None:
    name = scope.namespace("source")
    (namespace,) = cluster.list_all(NAMESPACE)
    assert namespace["metadata"]["labels"][RUN_LABEL] == RUN_ID and scope.created.namespaces == {name}
    assert cluster.list_all(NETWORK_POLICY, name)


def test_runs_that_a_schedule_made_meanwhile_are_awaited_too(cluster: FakeCluster, scope: Scope) -> None:
    target, session = make_target(cluster), CreatedResources()
    schedule = {"metadata": {"name": scope.schedule_name("s"), "namespace": "velero"}, "spec": {}}
    cluster.put(SCHEDULE, schedule)
    run = FakeVelero(cluster).run(schedule)
    request_removal(scope.created, cleaner_of(cluster), session)
    assert session.backups == {run} and cluster.get(SCHEDULE, scope.schedule_name("s"), target.namespace) is None


def test_an_error_of_the_removal_leaves_the_names_to_the_end_of_the_session(cluster: FakeCluster, scope: Scope) -> None:
    def refuse(method: str, *_: object) -> None:
        if method == "DELETE":
            raise AcceptanceError("the API server did not answer")

    cluster.store.before, session = refuse, CreatedResources()
    name = scope.expect_namespace("source")
    request_removal(scope.created, cleaner_of(cluster), session)
    assert session.namespaces == {name}


def cleaner_of(cluster: FakeCluster) -> ResourceCleaner:
    cleaner: ResourceCleaner = set_up(run_scope, "cleaner", target=make_target(cluster, FakeBucket()))
    return cleaner


def test_what_stays_at_the_end_of_the_session_is_a_leak() -> None:
    run = cast(Run, SimpleNamespace(leaks=[]))
    cleaner = cast(ResourceCleaner, SimpleNamespace(finish=lambda made: sorted(made.names)))
    with fixture(run_scope, "created_by_session", cleaner=cleaner, run=run) as created:
        created.namespaces.add("left")
    assert run.leaks == ["left"]


@pytest.mark.parametrize(("name", "owner"), [("scope", "a-scenario-1-"), ("session_scope", "session")])
def test_a_scope_asks_for_the_removal_also_when_its_scenario_fails(name: str, owner: str, velero: FakeVelero) -> None:
    cluster = velero.cluster
    values = {
        "request": SimpleNamespace(node=SimpleNamespace(name="test_a scenario [1]")),
        "kubernetes": cluster,
        "cleaner": cleaner_of(cluster),
        "created_by_session": CreatedResources(),
        "run": SimpleNamespace(settings=SimpleNamespace(run_id=RUN_ID, data_size=10**9)),
    }
    with pytest.raises(ScenarioFailed), fixture(run_scope, name, **values) as scope:
        fail(scope.namespace("source"))
    assert cluster.list_all(NAMESPACE) == [] and cast(CreatedResources, values["created_by_session"]).namespaces
    assert scope.owner == owner


# -- the bundle -------------------------------------------------------------------------------


def test_waits_know_timeouts_by_name_and_velero_by_its_namespace(cluster: FakeCluster) -> None:
    target = make_target(cluster, velero_namespace="velero")
    cluster.put(BACKUP, {"metadata": {"name": "b", "namespace": "velero"}})
    cluster.later.append(lambda: cluster.change(BACKUP, "b", "velero", {"status": {"phase": "Completed"}}))
    found = target.wait(BACKUP, "b", lambda item: phase_of(item) == "Completed", "it ends", "backup_finished")
    assert phase_of(found) == "Completed"
    assert target.wait(BACKUP, "none", lambda item: item is None, "it is gone", 1.0) == {}
    with pytest.raises(WaitTimedOut, match="two backups"):
        target.wait_all(BACKUP, "", lambda items: len(items) == 2, "two backups", "backup_finished")
    with pytest.raises(WaitEnded, match="never"):
        target.wait_all(BACKUP, "", lambda _: False, "two", 1.0, namespace="x", terminal=lambda _: "never")
    with pytest.raises(KeyError):
        target.wait(BACKUP, "b", lambda _: True, "x", "patience")


def test_other_settings_bring_another_client_of_velero() -> None:
    target = make_target()
    changes = {"velero_namespace": "other", "prefix": "p", "location": "second"}
    place = target.environment.model_copy(update=changes)
    other = target.with_settings(environment=place)
    assert (other.namespace, other.velero.location_name, other.key("a")) == ("other", "second", "p/a")
    assert other.timeouts is target.timeouts and target.namespace != "other"
    longer = Timeouts({"backup_finished": 7777})
    assert target.with_settings(timeouts=longer).velero._timeouts["backup_finished"] == 7777


def test_the_fixtures_of_the_target_are_of_one_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make_target()
    run = Run(cast(Any, SimpleNamespace(reports=tmp_path, run_id=RUN_ID)), Timeouts(), environment=made.environment)
    run.clocks = cast(Any, "clocks")
    monkeypatch.setattr(cluster_fixtures, "Kubernetes", lambda *_, **__: made.kubernetes)
    monkeypatch.setattr(cluster_fixtures, "Bucket", lambda *_, **__: made.bucket)
    values: dict[str, Any] = {"request": SimpleNamespace(config=SimpleNamespace(stash={RUN_KEY: run}))}
    for name in ("run", "environment", "uploader", "timeouts", "kubernetes", "velero", "bucket", "probe", "target"):
        values[name] = set_up(cluster_fixtures, name, **values)
    assert replace(values["target"], velero=made.velero, timeouts=made.timeouts) == made
    assert values["probe"].clocks == "clocks" and values["velero"].namespace == made.namespace


# -- results that are kept --------------------------------------------------------------------


class Expensive:
    def __init__(self, *results: object) -> None:
        self.results = list(results)

    @memoized
    def compute(self) -> object:
        result = self.results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result


def test_a_result_is_computed_once_for_each_object() -> None:
    first, second = Expensive(1, 2), Expensive(3)
    assert [first.compute(), first.compute(), second.compute()] == [1, 1, 3]


def test_every_caller_gets_the_error() -> None:
    expensive = Expensive(AcceptanceError("no room"), 2)
    for _ in range(2):
        with pytest.raises(AcceptanceError, match="no room"):
            expensive.compute()
    assert expensive.results == [2]


# -- lines on the terminal --------------------------------------------------------------------


class Terminal:
    def __init__(self, *, isatty: bool) -> None:
        self.isatty, self.written = isatty, list[str]()

    def ensure_newline(self) -> None:
        self.written.append("newline")

    def write_line(self, text: str) -> None:
        self.written.append(text)

    def rewrite(self, text: str, *, erase: bool) -> None:
        self.written.append(f"rewrite {text} {erase}")


def config(terminal: Terminal | None) -> pytest.Config:
    plugins = {"terminalreporter": terminal}
    return cast(pytest.Config, SimpleNamespace(pluginmanager=SimpleNamespace(get_plugin=plugins.get)))


@pytest.mark.parametrize(
    ("isatty", "in_place", "written"),
    [
        (True, True, ["rewrite   soak: 1 round True"]),
        (True, False, ["newline", "  soak: 1 round"]),
        (False, True, ["newline", "  soak: 1 round"]),
    ],
)
def test_a_status_line_is_replaced_on_a_terminal_only(isatty: bool, in_place: bool, written: list[str]) -> None:
    terminal = Terminal(isatty=isatty)
    status_line(config(terminal), "soak", in_place=in_place)("1 round")
    assert terminal.written == written


def test_a_worker_writes_to_the_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    status_line(config(None), "timed run")("1 GB")
    assert capsys.readouterr() == ("", "  timed run: 1 GB\n")


# -- what guards every scenario ---------------------------------------------------------------


def node(*markers: str, path: str = "a.feature") -> Any:
    return SimpleNamespace(
        path=Path(path), stash={}, get_closest_marker=lambda marker: marker if marker in markers else None
    )


def slot(run: Run, *markers: str, timeouts: Timeouts | None = None) -> Iterator[None]:
    request = SimpleNamespace(node=node(*markers))
    found: Iterator[None] = fixture_of(velero_health, "cluster_slot")(request, run, timeouts or Timeouts())
    return found


@pytest.mark.parametrize(
    ("first", "second", "together"),
    [((), (), True), ((EXCLUSIVE,), (), False), ((), (EXCLUSIVE,), False), ((EXCLUSIVE,), (EXCLUSIVE,), False)],
)
def test_an_exclusive_scenario_has_the_cluster_alone(
    tmp_path: Path, first: tuple[str, ...], second: tuple[str, ...], together: bool
) -> None:
    settings = SimpleNamespace(reports=tmp_path / "reports")
    run = cast(Run, SimpleNamespace(settings=settings, environment=SimpleNamespace(name="lab")))
    held, waiting = slot(run, *first), slot(run, *second, timeouts=Timeouts({"exclusive_use": 0.2}))
    next(held)
    if together:
        next(waiting)
    else:
        with pytest.raises(WaitTimedOut, match="slot on the cluster"):
            next(waiting)
    assert next(held, None) is None
    with (tmp_path / "reports/.turn-lab").open("w") as free:
        mode = fcntl.LOCK_EX if not together else fcntl.LOCK_SH
        fcntl.flock(free, mode | fcntl.LOCK_NB)


def guard(item: Any, cluster: FakeCluster, scope: Scope) -> Iterator[VeleroHealth | None]:
    streams = cast(LogStreams, SimpleNamespace(errors_since=lambda _: []))
    values = {"cluster_slot": None, "target": make_target(cluster), "log_streams": streams, "scope": scope}
    request = SimpleNamespace(node=item, getfixturevalue=values.__getitem__)
    found: Iterator[VeleroHealth | None] = fixture_of(velero_health, "velero_health")(request)
    return found


@pytest.mark.parametrize("item", [node(path="test_unit.py"), node(OWN_VELERO)])
def test_unit_tests_and_scenarios_with_their_own_velero_are_not_guarded(
    item: Any, cluster: FakeCluster, scope: Scope
) -> None:
    assert next(guard(item, cluster, scope)) is None and not item.stash


@pytest.mark.parametrize("markers", [(), (EXCLUSIVE,)])
def test_a_scenario_is_guarded_and_an_exclusive_one_leaves_velero_healthy(
    markers: tuple[str, ...], cluster: FakeCluster, scope: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[object] = []
    monkeypatch.setattr(Velero, "wait_healthy", lambda _: waited.append("healthy"))
    item = node(*markers)
    guarded = guard(item, cluster, scope)
    assert isinstance(next(guarded), VeleroHealth) and item.stash[velero_health.BUNDLE][0] is scope
    assert next(guarded, None) is None and len(waited) == len(markers)


def test_the_redactor_knows_velero_s_secrets_before_its_logs_are_followed(
    cluster: FakeCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def put(name: str, **data: str) -> None:
        encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
        cluster.put(SECRET, {"metadata": {"name": name, "namespace": "velero"}, "data": encoded})

    put("cloud-credentials", cloud="[default]\naws_secret_access_key = very-secret-key\n")
    put(REPOSITORY_SECRET, **{"repository-password": "very-secret-password"})
    events: list[str] = []
    monkeypatch.setattr(LogStreams, "start", lambda _: events.append("start"))
    monkeypatch.setattr(LogStreams, "stop", lambda _: events.append("stop"))
    run = cast(Run, SimpleNamespace(folder=tmp_path, redactor=Redactor()))
    with fixture(velero_health, "log_streams", target=make_target(cluster), run=run):
        shown = run.redactor.text("very-secret-key and very-secret-password")
        assert "very" not in shown and events == ["start"]
    assert events == ["start", "stop"]
