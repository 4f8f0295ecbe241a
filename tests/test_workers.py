"""Which worker does what, and which lab it has."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pytest_bdd.scenario import make_python_name
from typer.testing import CliRunner

from lab.lifecycle import Lab
from lab.programs import Release
from lab.settings import LabSettings
from tests.small_suite import GREEN, Suite, scenario
from velero_acceptance.cli.main import app
from velero_acceptance.core.errors import Refusal
from velero_acceptance.core.settings import MOST_LABS, Profile, Settings, Target
from velero_acceptance.gherkin.documents import FEATURES, read, read_all
from velero_acceptance.gherkin.selection import EXCLUSIVE, shared_with
from velero_acceptance.suite.prepare import Interruption, _bring_up, _labs
from velero_acceptance.suite.workers import ByFeature, pytest_collection_modifyitems, share_of
from velero_acceptance.target.selection import environments


def feature_of(criterion: str) -> Path:
    return next(feature.path for feature in read_all() if criterion in feature.tag_line)


SHARING = {shared for feature in read_all() if (shared := shared_with(feature.tags))}


@pytest.mark.parametrize("tag", sorted(SHARING))
def test_features_that_share_their_set_up_go_to_one_worker(tag: str) -> None:
    features = [feature for feature in read_all() if tag in feature.tags]
    names = [make_python_name(found.written) for feature in features for found in feature.scenarios]
    assert len(features) > 1
    assert {share_of(feature.path, f"test_{name}") for feature in features for name in names} == {tag}


def test_any_other_feature_is_one_share_and_its_exclusive_scenarios_another() -> None:
    path = feature_of("AC-002-02")
    own, alone = (
        {
            share_of(path, f"test_{make_python_name(found.written)}")
            for found in read(path).scenarios
            if (EXCLUSIVE in found.tags) is exclusive
        }
        for exclusive in (False, True)
    )
    assert (own, alone) == ({str(path)}, {f"{path} alone"})


def test_the_examples_of_an_exclusive_outline_are_exclusive() -> None:
    path = feature_of("AC-003-05")
    outline = next(name for name in read(path).declared if name.startswith("S3 denies"))
    assert share_of(path, f"test_{make_python_name(outline)}[metadata]") == f"{path} alone"


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


def test_a_worker_that_is_free_takes_the_next_share(workers: tuple[Worker, Worker]) -> None:
    first, second = workers
    nodes = [node(criterion, str(index)) for criterion in ("AC-002-01", "AC-002-02") for index in range(4)]
    scheduler = schedule(workers, [*nodes, node("AC-001-04", "x")])
    assert {tuple(first.asked), tuple(second.asked)} == {(0, 1, 2, 3), (4, 5, 6, 7)}
    asked = list(second.asked)
    for index in asked[:3]:  # the second one is through with its own first
        scheduler.mark_test_complete(cast(Any, second), index)
    assert second.asked == [*asked, 8] and len(first.asked) == 4


@dataclass(frozen=True)
class Item:
    """As much of a scenario as is asked for its place."""

    path: Path
    name: str
    marks: frozenset[str]

    def get_closest_marker(self, name: str) -> bool | None:
        return name in self.marks or None


def test_what_waits_long_comes_first_and_what_is_exclusive_last() -> None:
    marks = {"AC-001-01": ["exclusive"], "AC-001-02": [], "AC-001-03": ["long"], "AC-001-04": []}
    items = [Item(feature_of(criterion), f"test_{criterion}", frozenset(own)) for criterion, own in marks.items()]
    pytest_collection_modifyitems(cast(Any, _Options(stop=False)), cast(Any, items))
    assert [item.name[-9:] for item in items] == ["AC-001-03", "AC-001-02", "AC-001-04", "AC-001-01"]
    pytest_collection_modifyitems(cast(Any, _Options(stop=True)), cast(Any, items))
    assert [item.name[-9:] for item in items] == ["AC-001-02", "AC-001-04", "AC-001-01", "AC-001-03"]


@dataclass(frozen=True)
class _Options:
    """As much of a configuration as is asked for whether the first red ends a criterion."""

    stop: bool

    def getoption(self, *_: object) -> bool:
        return self.stop


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


def test_more_labs_than_workers_are_refused(suite: Suite) -> None:
    done = suite.run("-n", "2", "--labs", "3")
    assert done.returncode == 4
    assert "use -n 3" in done.stdout + done.stderr


def test_workers_share_the_labs_in_turn() -> None:
    settings = Settings(labs=2)
    configs = [SimpleNamespace(workerinput={"workerid": f"gw{index}"}) for index in range(4)]
    assert [_labs(settings, cast(Any, config)) for config in configs] == [[1], [2], [1], [2]]


def test_a_worker_that_crashes_is_not_replaced(suite: Suite) -> None:
    suite.write(GREEN + scenario("Deadly", "its process ends"))
    done = suite.run("-n", "2")
    assert done.returncode == 1
    assert "gw2" not in done.stdout
    assert "crashed" in done.stdout
