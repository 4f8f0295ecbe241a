"""The workflows of CI: sound by actionlint, every action pinned to a commit, every target of make there."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.build import go_program
from lab.programs import TOOLS
from velero_acceptance.core.errors import Refusal

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}")
Lint = Callable[[Path], str]


@pytest.fixture(scope="session")
def actionlint(tmp_path_factory: pytest.TempPathFactory) -> Lint:
    """What actionlint says of a workflow; empty when it has nothing to say."""
    try:
        go = go_program()
    except Refusal as refusal:
        pytest.skip(str(refusal))
    program = tmp_path_factory.mktemp("actionlint") / "actionlint"
    subprocess.run(
        [go, "build", "-o", program, "github.com/rhysd/actionlint/cmd/actionlint"],
        cwd=TOOLS / "actionlint",
        env={**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local"},
        check=True,
    )

    def lint(path: Path) -> str:
        return subprocess.run([program, "-no-color", path], capture_output=True, text=True).stdout

    return lint


def unpinned(workflow: Any) -> list[str]:
    """The actions that are not pinned to a commit."""
    used = [step["uses"] for job in workflow["jobs"].values() for step in job["steps"] if "uses" in step]
    return [action for action in used if not PINNED.fullmatch(action)]


def commands(workflow: Any) -> str:
    return "\n".join(step.get("run", "") for job in workflow["jobs"].values() for step in job["steps"])


def test_there_are_workflows() -> None:
    assert {path.name for path in WORKFLOWS} == {"guests.yml", "nightly.yml", "pull-request.yml"}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_it_is_sound(path: Path, actionlint: Lint) -> None:
    assert actionlint(path) == ""


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("runs-on: ubuntu-24.04", "runs-on: nowhere-1.0"), "nowhere-1.0"),
        (("github.run_id", "github.run_idea"), "run_idea"),
        (("timeout-minutes:", "timeout-hours:"), "timeout-hours"),
    ],
)
def test_a_fault_is_seen(change: tuple[str, str], says: str, actionlint: Lint, tmp_path: Path) -> None:
    faulty = tmp_path / ".github/workflows/nightly.yml"
    faulty.parent.mkdir(parents=True)
    faulty.write_text((ROOT / ".github/workflows/nightly.yml").read_text().replace(*change))
    assert says in actionlint(faulty)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_action_is_pinned_and_every_target_exists(path: Path) -> None:
    workflow = yaml.safe_load(path.read_text())
    assert unpinned(workflow) == []
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    assert set(re.findall(r'(?:^|" )make ([a-z-]+)', commands(workflow), re.M)) <= targets


def test_an_unpinned_action_is_seen() -> None:
    step = {"uses": "actions/checkout@v4"}
    assert unpinned({"jobs": {"a": {"steps": [step, {"run": "true"}]}}}) == ["actions/checkout@v4"]
