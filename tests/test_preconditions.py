"""Needs: each is asked in one place, its fixture raises what the doctor says, and those of scenarios are found."""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pytest_bdd.steps import step_function_context_registry

from velero_acceptance.core.errors import AcceptanceError, Blocked
from velero_acceptance.core.installation import modules
from velero_acceptance.core.timeouts import Timeouts
from velero_acceptance.criteria.load import load
from velero_acceptance.drivers.kinds import (
    GIT_REPOSITORY,
    HELM_RELEASE,
    SCHEDULE,
    STORAGE_CLASS,
    VOLUME,
    Json,
    Kind,
    name_of,
)
from velero_acceptance.drivers.kubernetes import ApiError, Kubernetes
from velero_acceptance.drivers.minio_admin import Users
from velero_acceptance.drivers.minio_trace import S3Trace
from velero_acceptance.drivers.s3 import Bucket
from velero_acceptance.drivers.velero import Velero
from velero_acceptance.gherkin.documents import ScenarioText, StepText, read_all
from velero_acceptance.gherkin.lint import Definition
from velero_acceptance.preconditions import probes, runnable
from velero_acceptance.preconditions.probes import NEEDS, TargetProbe, missing
from velero_acceptance.target.clocks import Clocks, Skew

ROOT = Path(__file__).parents[1]


class Cluster:
    """Answers with the objects it was given; other kinds it does not know."""

    def __init__(self, items: dict[Kind, list[Json]]) -> None:
        self.items = items

    def list_all(self, kind: Kind, *_: object, **__: object) -> list[Json]:
        if kind not in self.items:
            raise ApiError(404, "the server could not find the requested resource")
        return self.items[kind]

    def get(self, kind: Kind, name: str, _: str | None = None) -> Json | None:
        return next((item for item in self.items.get(kind, []) if name_of(item) == name), None)

    def require(self, kind: Kind, name: str, namespace: str | None = None) -> Json:
        found = self.get(kind, name, namespace)
        assert found is not None
        return found


class Clock:
    """Clocks that were measured."""

    def __init__(self, *skews: Skew) -> None:
        self.skews = list(skews)

    def problem(self) -> str:
        measured = Clocks(cast(Kubernetes, None), nodes=False, seconds=1, skews=self.skews)
        measured._thread = cast(Any, SimpleNamespace(join=lambda _: None, is_alive=lambda: False))
        return measured.problem()


def look(items: dict[Kind, list[Json]] | None = None, *skews: Skew, every: str = "1h0m0s", **place: Any) -> TargetProbe:
    """A target that has nothing but *items* and what *place* names."""
    nothing: dict[str, Any] = dict.fromkeys(
        (
            "gitops",
            "age_key",
            "toxiproxy",
            "foreign_bucket",
            "audit_log",
            "velero_cli",
            "oracle",
            "corpus",
            "s3",
            "prometheus",
            "promtool",
        )
    )
    names = {
        "uploader": "restic",
        "flux_namespace": "flux-system",
        "flux_name": "home",
        "schedule": "nightly",
        "storage_class": "slow",
    }
    environment = SimpleNamespace(
        **{**nothing, **names, "capture": [], "bucket": "b", "alert_durations": {}, "cgroups": {}, **place}
    )
    velero = SimpleNamespace(namespace="backup", argument=lambda *_: every)
    cluster = Cluster({STORAGE_CLASS: [], VOLUME: [], SCHEDULE: [], **(items or {})})
    parts = (environment, cluster, velero, Timeouts(), Clock(*skews))
    return TargetProbe(*cast(tuple[Any, Kubernetes, Velero, Timeouts, Clocks], parts))


def raising(error: Exception) -> Callable[..., Any]:
    def call(*_: object, **__: object) -> Any:
        raise error

    return call


@pytest.fixture(autouse=True)
def no_minio(monkeypatch: pytest.MonkeyPatch) -> None:
    """An S3 server that shows nothing of itself."""
    monkeypatch.setattr(S3Trace, "readable", lambda _: False)
    monkeypatch.setattr(Users, "__init__", lambda *_: None)
    monkeypatch.setattr(Users, "permitted", lambda _: False)
    monkeypatch.setattr(Bucket, "__init__", lambda *_, **__: None)
    monkeypatch.setattr(Bucket, "state", raising(AcceptanceError("the versioning of b cannot be read: denied")))


LACKING: dict[str, tuple[TargetProbe, str]] = {
    "age_key": (look(), "set current.age_key"),
    "alert_drill": (look(), "with shortened durations: only the lab has one"),
    "audit": (look(audit_log=Path("/nowhere")), "set current.audit_log"),
    "bucket_state": (look(), "the versioning of b cannot be read"),
    "capture_command": (look(), "set current.capture"),
    "changes": (look(gitops=Path("/nowhere")), "cannot be pushed to"),
    "checkout": (look(), "set current.gitops"),
    "clocks_agree": (look(None, Skew("node a", 7.5, 9.5)), "the clock of node a is 7.5 s or more off"),
    "collector": (look(), "collects garbage every 1h0m0s and the suite waits 120 s"),
    "corpus_program": (look(), "corpus is missing in PATH"),
    "deployed_schedule": (look(), "there is no Schedule backup/nightly: set current.schedule"),
    "enabled_schedule": (look(), "there is no Schedule backup/nightly: set current.schedule"),
    "flux": (look(), "there is no Flux with a GitRepository flux-system/home"),
    "foreign_bucket": (look(), "set current.foreign_bucket"),
    "kustomizations": (look(), "the cluster has no Flux"),
    "monitoring": (look(), "set current.gitops to a checkout that has it"),
    "oracle_program": (look(), "restic is missing in PATH"),
    "pod_groups": (look(), "only those of the lab are on this machine"),
    "prometheus": (look(), "set current.prometheus"),
    "promtool": (look(), "promtool is missing in PATH"),
    "s3_administrator": (look(), "not those of one"),
    "s3_trace": (look(), "only in the trace of a MinIO"),
    "toxiproxy": (look(), "only the lab has one"),
    "velero_command": (look(), "the command velero is missing in PATH"),
    "workloads": (look(), "there is no StorageClass slow"),
}


def test_every_need_is_tried() -> None:
    assert LACKING.keys() == NEEDS.keys()


@pytest.mark.parametrize("need", LACKING)
def test_the_fixture_of_a_need_says_what_the_doctor_says(need: str) -> None:
    found, says = LACKING[need]
    assert says in missing(need, found)
    (function,) = (function for name, function in fixture_functions() if name == need)
    known = {"probe": found, "request": Request(found)}
    with pytest.raises(Blocked) as blocked:
        set_up(function, {name: known.get(name) for name in inspect.signature(function).parameters})
    assert str(blocked.value) == missing(need, found)


def set_up(function: Callable[..., Any], arguments: dict[str, Any]) -> None:
    """As pytest sets a fixture up."""
    result = function(**arguments)
    if inspect.isgenerator(result):
        next(result)


class Request:
    """A running scenario of a criterion with a clock."""

    def __init__(self, found: TargetProbe) -> None:
        from velero_acceptance.suite.session import EVIDENCE

        self.node = SimpleNamespace(stash={EVIDENCE: SimpleNamespace(criterion=load().criteria["AC-003-01"])})
        self.getfixturevalue = {"probe": found}.__getitem__


def fixture_functions() -> list[tuple[str, Callable[..., Any]]]:
    return [
        (name, function)
        for module in modules("fixtures")
        for name, value in vars(importlib.import_module(module)).items()
        if (function := runnable._function_of(value)) is not None
    ]


def test_a_need_is_only_asked_by_the_fixture_of_its_name() -> None:
    """So that whoever depends on a need depends on its fixture, where it can be seen without a run."""
    asked = []
    for module in [*modules("fixtures"), *modules("steps")]:
        for function in ast.walk(ast.parse(inspect.getsource(importlib.import_module(module)))):
            if isinstance(function, ast.FunctionDef):
                calls = (node for node in ast.walk(function) if isinstance(node, ast.Call))
                asked += [
                    (function.name, ast.literal_eval(call.args[0]))
                    for call in calls
                    if isinstance(call.func, ast.Name) and call.func.id in ("require", "required")
                ]
    assert sorted(asked) == [(name, name) for name in sorted(NEEDS)]


@pytest.mark.parametrize(
    ("need", "found"),
    [
        ("age_key", look(age_key=ROOT)),
        ("audit", look(audit_log=ROOT)),
        ("capture_command", look(capture=["sh"])),
        ("checkout", look(gitops=ROOT)),
        ("clocks_agree", look(None, Skew("node a", -1.0, 1.0), Skew("node b", 4.9, 5.9))),
        ("collector", look(every="10s")),
        ("corpus_program", look(corpus=ROOT)),
        ("deployed_schedule", look({SCHEDULE: [{"metadata": {"name": "nightly"}, "spec": {"paused": True}}]})),
        (
            "enabled_schedule",
            look({SCHEDULE: [{"metadata": {"name": "nightly"}, "spec": {}, "status": {"phase": "Enabled"}}]}),
        ),
        ("foreign_bucket", look(foreign_bucket="other")),
        ("monitoring", look(gitops=ROOT / "gitops")),
        ("oracle_program", look(oracle=ROOT)),
        ("pod_groups", look(cgroups={"cpu": ROOT})),
        ("promtool", look(promtool=ROOT)),
        ("toxiproxy", look(toxiproxy="http://t")),
        ("velero_command", look(velero_cli=ROOT)),
        ("workloads", look({STORAGE_CLASS: [{"metadata": {"name": "slow"}}]})),
    ],
)
def test_a_need_that_is_met_is_no_problem(need: str, found: TargetProbe) -> None:
    assert missing(need, found) == ""


@pytest.mark.parametrize(
    ("need", "found", "says"),
    [
        ("capture_command", look(capture=["no-such-program"]), "no-such-program, which is to capture packets"),
        ("checkout", look(gitops=Path("/")), "is no checkout"),
        ("clocks_agree", look(None, Skew("node a", -9.0, -7.0)), "7.0 s or more off"),
        (
            "enabled_schedule",
            look(
                {
                    SCHEDULE: [
                        {"metadata": {"name": "nightly"}, "spec": {"paused": True}, "status": {"phase": "Enabled"}}
                    ]
                }
            ),
            "is paused",
        ),
        (
            "flux",
            look({HELM_RELEASE: [], GIT_REPOSITORY: [{"metadata": {"name": "home"}, "status": {}}]}),
            "Flux cannot fetch the repository: it has not fetched it yet",
        ),
        (
            "workloads",
            look(
                {
                    STORAGE_CLASS: [{"metadata": {"name": "slow"}}],
                    VOLUME: [{"metadata": {"name": "v"}, "spec": {"storageClassName": "slow", "hostPath": {}}}],
                }
            ),
            "makes volumes of hostPath",
        ),
    ],
)
def test_what_is_there_and_no_good_is_told(need: str, found: TargetProbe, says: str) -> None:
    assert says in missing(need, found)


# -- which scenario needs what -----------------------------------------------------------------


def test_needs_are_followed_through_fixtures() -> None:
    steps = [
        Definition("given", "a", "a".__eq__, "steps.a", ("scope", "restorer")),
        Definition("then", "b", "b".__eq__, "steps.b", ("evidence",)),
    ]
    graph = runnable.Needs(
        steps, {"restorer": ("oracle",), "oracle": ("oracle_program", "oracle"), "idle": ("toxiproxy",)}
    )
    scenario = ScenarioText("s", frozenset(), (StepText("given", "a"), StepText("then", "b")))
    untimed, timed = load().criteria["AC-001-02"], load().criteria["AC-003-01"]
    assert graph.of(scenario, untimed) == ["oracle_program"]
    assert graph.of(scenario, timed) == ["clocks_agree", "oracle_program"]


@pytest.mark.parametrize(
    ("criterion", "scenario", "wanted"),
    [
        ("AC-007-01", "Flux deploys Velero into an empty namespace", {"flux", "changes", "checkout", "clocks_agree"}),
        ("AC-001-04", "The suite reports an outage, and Velero recovers without a restart", {"toxiproxy"}),
        ("AC-002-02", "Velero signs its requests with the keys of its Secret", {"s3_trace", "foreign_bucket"}),
        ("AC-003-01", "An idle Velero starts a backup immediately", {"clocks_agree"}),
        (
            "AC-004-01",
            "S3 receives the request for the metadata in time",
            {"clocks_agree", "corpus_program", "s3_trace", "workloads"},
        ),
        (
            "AC-005-02",
            "Velero's own service account creates the run",
            {"audit", "deployed_schedule", "enabled_schedule"},
        ),
        ("AC-006-02", "Only the expired one of two backups is to be deleted", {"collector"}),
        ("CLI-list-backups", "A backup that does not exist is an error", {"clocks_agree", "velero_command"}),
    ],
)
def test_needs_of_the_suites_own_scenarios(criterion: str, scenario: str, wanted: set[str]) -> None:
    graph = runnable.suite_needs()
    feature = next(feature for feature in read_all() if criterion in feature.tag_line)
    (found,) = (entry for entry in feature.scenarios if entry.name == scenario)
    assert set(graph.of(found, load().criteria[criterion])) == wanted


def test_every_step_gets_the_fixtures_that_it_asks_for() -> None:
    """From a fixture, from its text, or from a step before it; a scenario without its fault ends at its first Then."""
    contexts = {id(context): context for context in step_function_context_registry.values()}.values()
    known = runnable.fixtures().keys() | {"evidence", "run", "request", "tmp_path", "pytestconfig"}
    assert runnable.suite_needs().steps
    outcomes = [scenario.steps for feature in read_all() for scenario in feature.scenarios]
    for scenario in (scenario for feature in read_all() for scenario in feature.control_scenarios if scenario.negative):
        first = next(number for number, step in enumerate(scenario.steps) if step.kind == "then")
        outcomes.append(scenario.steps[: first + 1])
    for steps in outcomes:
        there = set(known)
        for step in steps:
            (context,) = (c for c in contexts if c.type in (None, step.kind) and c.parser.is_matching(step.text))
            values = (context.parser.parse_arguments(step.text) or {}).keys()
            asked = inspect.signature(context.step_func).parameters.keys()
            assert asked - there <= values <= asked, step.text
            there.add(context.target_fixture or "")


def test_no_need_is_idle() -> None:
    graph, register = runnable.suite_needs(), load()
    used = {
        need
        for feature in read_all()
        for tag in feature.tag_line
        for scenario in feature.scenarios
        for need in graph.of(scenario, register.criteria[tag])
    }
    assert used == probes.NEEDS.keys()
