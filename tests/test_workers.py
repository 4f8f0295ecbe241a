"""Which worker does what, and which lab it has."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pytest_bdd.scenario import make_python_name
from typer.testing import CliRunner

from fixtures.environment.background_scenarios import BEGUN
from lab.lifecycle import Lab
from lab.programs import Release
from lab.settings import MOST_LABS, LabSettings
from tests.small_suite import GREEN, Suite, scenario
from velero_acceptance.cli.main import app
from velero_acceptance.core.errors import Refusal
from velero_acceptance.core.settings import Profile, Settings, Target
from velero_acceptance.gherkin.documents import FEATURES, read, read_all
from velero_acceptance.gherkin.selection import BESIDE
from velero_acceptance.suite.prepare import Interruption, _bring_up
from velero_acceptance.suite.workers import TOGETHER, ByFeature, scope_of
from velero_acceptance.target.selection import environments


def feature_of(criterion: str) -> Path:
    return next(feature.path for feature in read_all() if criterion in feature.tag_line)


@pytest.mark.parametrize("group", TOGETHER, ids=lambda group: " ".join(sorted(group)))
def test_features_that_share_their_work_go_to_one_worker(group: frozenset[str]) -> None:
    assert len({scope_of(feature_of(criterion), "test_any") for criterion in group}) == 1


def test_any_other_feature_is_a_share_of_its_own() -> None:
    together = frozenset[str]().union(*TOGETHER)
    alone = [feature for feature in read_all() if not together & set(feature.tag_line)]
    assert len({scope_of(feature.path, "test_any") for feature in alone}) == len(alone) > 30


def test_what_goes_on_beside_is_one_share() -> None:
    judged = {
        criterion
        for criterion in BEGUN
        for found in read(feature_of(criterion)).scenarios
        if BESIDE in found.tags and scope_of(feature_of(criterion), f"test_{make_python_name(found.name)}") == BESIDE
    }
    assert judged == set(BEGUN)


class Worker:
    """A worker that notes what it is asked for."""

    def __init__(self, name: str) -> None:
        self.shutting_down, self.asked = False, list[int]()
        self.gateway = SimpleNamespace(id=name)

    def send_runtest_some(self, indices: list[int]) -> None:
        self.asked += indices

    def shutdown(self) -> None:
        self.shutting_down = True


@pytest.fixture
def workers() -> tuple[Worker, Worker]:
    return Worker("gw0"), Worker("gw1")


def schedule(workers: tuple[Worker, Worker], nodes: list[str]) -> ByFeature:
    """A schedule of *nodes* that has begun."""
    scheduler = ByFeature(cast(Any, _Config(FEATURES.parent)))
    for worker in reversed(workers):  # whichever is ready sooner
        scheduler.add_node(cast(Any, worker))
    for worker in workers:
        scheduler.add_node_collection(cast(Any, worker), nodes)
    scheduler.schedule()
    return scheduler


def node(criterion: str, test: str) -> str:
    return f"{feature_of(criterion).relative_to(FEATURES.parent)}::test_{test}"


def test_what_goes_on_beside_is_judged_by_the_worker_that_began_it(workers: tuple[Worker, Worker]) -> None:
    first, second = workers
    calm = next(found.name for found in read(feature_of("AC-001-04")).scenarios if BESIDE in found.tags)
    nodes = [node(criterion, str(index)) for criterion in ("AC-002-01", "AC-002-02") for index in range(4)]
    scheduler = schedule(workers, [*nodes, node("AC-001-04", make_python_name(calm))])
    assert (first.asked, second.asked) == ([0, 1, 2, 3], [4, 5, 6, 7])
    for index in range(4, 7):  # the second one is through with its own first
        scheduler.mark_test_complete(cast(Any, second), index)
    assert second.shutting_down and len(second.asked) == 4
    for index in range(3):
        scheduler.mark_test_complete(cast(Any, first), index)
    assert first.asked == [0, 1, 2, 3, 8]


def test_the_first_worker_begins_with_what_needs_no_cluster_to_itself(workers: tuple[Worker, Worker]) -> None:
    """The turn of what goes on beside is over sooner then."""
    first, second = workers
    alone, not_alone = ("AC-002-02", "AC-002-04"), ("AC-002-01", "AC-003-01")
    schedule(workers, [node(criterion, "x") for criterion in (*alone, *not_alone)])
    assert (first.asked, second.asked) == ([2, 3], [0, 1])


class _Config:
    """As much of a configuration as a scheduler asks for."""

    def __init__(self, rootpath: Path) -> None:
        self.rootpath = rootpath
        self.option = type("Option", (), {"loadscopereorder": False})()

    def getvalue(self, name: str) -> object:
        return {"tx": ["popen", "popen"]}[name]


# -- being interrupted ----------------------------------------------------------------------


def test_once_interrupted_only_another_ctrl_c_does_it_again() -> None:
    interruption = Interruption()
    with pytest.raises(KeyboardInterrupt):
        interruption(signal.SIGTERM, None)
    interruption(signal.SIGTERM, None)
    with pytest.raises(KeyboardInterrupt):
        interruption(signal.SIGINT, None)


def test_a_child_that_was_forked_ends_instead() -> None:
    interruption = Interruption()
    child = os.fork()
    if child == 0:
        try:
            interruption(signal.SIGTERM, None)
        finally:
            os._exit(1)  # it came back, or raised
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 128 + signal.SIGTERM


# -- labs -----------------------------------------------------------------------------------


def test_labs_side_by_side_share_nothing() -> None:
    labs = [LabSettings(name="own").beside(number) for number in range(1, MOST_LABS + 1)]
    assert [lab.name for lab in labs] == ["own", "own-2", "own-3", "own-4"]
    assert not any(a.network.overlaps(b.network) for a in labs for b in labs if a is not b)
    ports = [port for lab in labs for port in lab.forwarded_ports.values()]
    assert len(ports) == len(set(ports))
    assert len({lab.state for lab in labs}) == MOST_LABS


def test_a_lab_beside_is_as_the_first_otherwise() -> None:
    assert LabSettings(uploader="kopia", validation_frequency="7s").beside(2).validation_frequency == "7s"


@pytest.mark.parametrize(
    "chosen",
    [
        {"network": "10.95.255.0/24"},  # before that of the services
        {"network": "255.255.255.0/24"},
        {"s3_direct_port": 65530},
        {"name": "a" * 21},
    ],
)
def test_a_lab_that_has_no_room_beside_is_refused_and_hinders_nothing(chosen: dict[str, Any]) -> None:
    settings = LabSettings(**chosen)
    with pytest.raises(Refusal, match="no room for a lab 2"):
        settings.beside(2)
    assert settings.all()[0] is settings
    assert [lab.settings for lab in Lab(settings).all()] == settings.all()


def test_all_labs_are_down_the_last_one_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has found the kernel's settings as those before it have left them."""
    down: list[str] = []

    def noted(lab: Lab) -> bool:
        down.append(lab.settings.name)
        return False

    monkeypatch.setattr(Lab, "down", noted)
    result = CliRunner().invoke(app, ["lab", "down"])
    assert result.exit_code == 0, result.output
    assert down == ["lab-4", "lab-3", "lab-2", "lab"]


def test_a_lab_beside_that_is_up_is_swept_and_unlocked_too(
    settings: LabSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    up = [settings.name, settings.beside(3).name]
    monkeypatch.setattr("lab.facts.load", lambda lab: lab if lab.name in up else None)
    asked: list[int] = []
    monkeypatch.setattr(
        "velero_acceptance.target.selection.environment", lambda _settings, *, number=1: asked.append(number)
    )
    environments(Settings(target=Target.LAB))
    assert asked == [1, 3]


class Brought:
    """A cluster that notes what it is asked for."""

    def __init__(self, asked: list[str]) -> None:
        self._asked = asked

    def up(self, _steps: object) -> None:
        self._asked.append("up")

    def provide(self, release: Release, _steps: object) -> None:
        self._asked.append(release.uploader)


@pytest.mark.parametrize("target", [Target.LAB, Target.KIND])
@pytest.mark.parametrize(
    ("profile", "marks", "asked"),
    [
        (Profile.SOAK, [()], ["up"]),
        (Profile.SOAK, [(), ("upgrade",)], ["up", "kopia"]),
        (Profile.SOAK, [], ["up", "kopia"]),  # workers: nobody knows what they will run
        (Profile.DISRUPT, [], ["up"]),
    ],
)
def test_the_newer_velero_is_at_hand_where_an_upgrade_may_be_run(
    monkeypatch: pytest.MonkeyPatch, target: Target, profile: Profile, marks: list[tuple[str, ...]], asked: list[str]
) -> None:
    done: list[str] = []
    monkeypatch.setattr("velero_acceptance.target.selection.cluster_of", lambda *_: Brought(done))
    items = [SimpleNamespace(get_closest_marker=lambda name, own=own: name in own) for own in marks]
    _bring_up(Settings(target=target, profile=profile), cast(Any, items), [1])
    assert done == asked


def test_more_workers_than_labs_are_refused(suite: Suite) -> None:
    done = suite.run("-n", str(MOST_LABS + 1))
    assert done.returncode == 4
    assert f"use -n {MOST_LABS}" in done.stdout + done.stderr


def test_a_worker_that_crashes_is_not_replaced(suite: Suite) -> None:
    suite.write(GREEN + scenario("Deadly", "its process ends"))
    done = suite.run("-n", "2")
    assert done.returncode == 1
    assert "gw2" not in done.stdout
    assert "crashed" in done.stdout
