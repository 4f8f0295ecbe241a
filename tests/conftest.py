"""What several tests share."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fixtures.environment.cluster import TargetClients
from fixtures.environment.run_scope import Scope
from lab.build import go_program
from lab.programs import TOOLS
from lab.settings import LabSettings
from tests.fake_cluster import RUN_ID, FakeBucket, FakeCluster, make_target
from tests.fake_velero import FakeVelero, velero_objects
from tests.small_suite import Suite, make_suite
from velero_acceptance.core.errors import Refusal
from velero_acceptance.core.redaction import KNOWN, Redactor
from velero_acceptance.criteria.load import load
from velero_acceptance.evidence.recorder import Evidence
from velero_acceptance.evidence.records import Outcome, Record

MakeRecord = Callable[..., Record]


@pytest.fixture(autouse=True)
def _own_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test signs with the user's key, or remembers a cluster for the user."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("ACCEPTANCE_SIGNING_KEY", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture(autouse=True)
def _nothing_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test knows the secrets of another."""
    monkeypatch.setattr(KNOWN, "_forms", set())


@pytest.fixture
def make_record() -> MakeRecord:
    """Maker of scenario records."""

    def make(criterion: str = "AC-003-01", scenario: str = "s", **change: object) -> Record:
        content = {
            "node": f"features/{criterion}.feature::{scenario}",
            "criterion": criterion,
            "feature": f"{criterion}.feature",
            "scenario": scenario,
            "negative": False,
            "started": datetime.now(UTC),
            "outcome": Outcome.PASSED,
        }
        return Record.model_validate({**content, **change})

    return make


@pytest.fixture
def make_evidence(tmp_path: Path, make_record: MakeRecord) -> Callable[..., Evidence]:
    """Maker of evidence that is kept in a temporary folder."""

    def make(criterion: str = "AC-003-01", *secrets: str, **change: object) -> Evidence:
        record = make_record(criterion, **change)
        return Evidence(record, load().criteria[criterion], tmp_path, "scenario", Redactor(secrets))

    return make


@pytest.fixture
def cluster() -> FakeCluster:
    """A cluster in memory, with a Velero."""
    return FakeCluster(velero_objects())


@pytest.fixture
def velero(cluster: FakeCluster) -> FakeVelero:
    """What the controllers of that cluster do."""
    return FakeVelero(cluster)


@pytest.fixture
def bucket() -> FakeBucket:
    """A bucket in memory."""
    return FakeBucket()


@pytest.fixture
def target(velero: FakeVelero, bucket: FakeBucket) -> TargetClients:
    """Clients of that cluster and that bucket."""
    return make_target(velero.cluster, bucket, storage_class="local", prefix="velero", uploader="restic")


@pytest.fixture
def scope(velero: FakeVelero) -> Scope:
    """The names of a scenario on that cluster."""
    return Scope(RUN_ID, "scenario", velero.cluster)


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    """A small project with one green feature, to be run."""
    return make_suite(tmp_path)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LabSettings:
    """Settings of a lab with folders of its own, of which nothing is up."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    found = LabSettings()
    found.state.mkdir(parents=True)
    return found


@pytest.fixture(scope="session")
def build_tool(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Builds a program of the lab from its source."""
    try:
        go = go_program()
    except Refusal as refusal:
        pytest.skip(str(refusal))

    def build(name: str) -> Path:
        target = tmp_path_factory.mktemp(name) / name
        environment = {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local"}
        subprocess.run([go, "build", "-o", target, "."], cwd=TOOLS / name, env=environment, check=True)
        return target

    return build


@pytest.fixture(scope="session")
def program(build_tool: Callable[[str], Path]) -> Path:
    """The corpus program."""
    return build_tool("corpus")
