"""A small project with the suite's plugins, for tests of whole runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.forked import run_pytest

ROOT = Path(__file__).parents[1]
ARGUMENTS = ("features/AC-003-01-start.feature", "--run-id=r")
CONFTEST = """
import sys
from pathlib import Path
sys.path.insert(0, {root!r})
import velero_acceptance.gherkin.documents as documents
documents.FEATURES = Path(__file__).parent / "features"
import velero_acceptance.suite.prepare as prepare
import velero_acceptance.suite.session as run
from velero_acceptance.drivers.kubernetes import ApiError
from velero_acceptance.core.errors import AcceptanceError, Blocked, Inconclusive
from velero_acceptance.core.settings import Environment, S3Access
from pydantic import SecretStr
import pytest
from pytest_bdd import given, when, then, parsers

def reachable(found, number):
    found.redactor.learn("planted-secret")
    place = Path("/nowhere")
    access = S3Access(endpoint="https://s3", access_key=SecretStr("a"), secret_key=SecretStr("b"))
    return Environment(target="lab", name=f"lab-{{number}}", kubeconfig=place, s3=access, corpus=place,
                       corpus_image="x", ledger=place, soak=place, notes={{"velero": "v0"}})

import velero_acceptance.criteria.waivers as waivers
own = Path(__file__).with_name("waivers.yaml")
if own.exists():
    waivers.load.__defaults__ = (own.parent,)
prepare._bring_up = lambda *_: None
prepare._reachable = reachable
def begin(session, found, others):
    who = "worker" if run.is_worker(session.config) else "main"
    with Path(__file__).with_name(f"begun-{{who}}").open("a") as begun:
        begun.write(found.environment.corpus_image)

prepare._begin = begin
pytest_plugins = ["velero_acceptance.suite"]

import xdist.workermanage
impatient = Path(__file__).with_name("impatient")
if impatient.exists():
    xdist.workermanage.NodeManager.EXIT_TIMEOUT = 0.2

@pytest.fixture(scope="session", autouse=True)
def clean_up(request):
    yield
    if impatient.exists():
        import time
        time.sleep(2)
    Path(__file__).with_name("cleaned").touch()
    leak = Path(__file__).with_name("leak")
    if leak.exists():
        request.config.stash[run.RUN].leaks.append(leak.read_text())
    changed = Path(__file__).with_name("changed")
    if changed.exists():
        request.config.stash[run.RUN].foreign_changes.append(changed.read_text())

@given("a start")
def start(): pass

@when(parsers.parse("it takes {{seconds:g}} units"), target_fixture="taken")
def takes(seconds): return seconds

@when("its process ends", target_fixture="taken")
def ends():
    import os
    os._exit(3)

@when("nothing is measured", target_fixture="taken")
def nothing(): return None

@when("it waits for ever", target_fixture="taken")
def waits():
    import time
    Path(__file__).with_name("waiting").touch()
    time.sleep(60)

@when(parsers.parse("it raises {{what}}"), target_fixture="taken")
def raises(what):
    forbidden = lambda text: ApiError(403, text)
    kinds = dict(blocked=Blocked, inconclusive=Inconclusive, error=AcceptanceError, bug=ValueError, forbidden=forbidden)
    raise kinds[what]("it was planted-secret")

@when("it is skipped", target_fixture="taken")
def skipped(): pytest.skip("not today")

@then("it started in time")
def started(evidence, taken):
    if taken is not None:
        evidence.measure("initiation", taken, artefact="seen planted-secret")

@then("the delay is seen")
def seen(evidence, taken): evidence.expect_violation("initiation", taken)
"""
HEAD = "@AC-003-01\nFeature: A backup starts\n\n"


def scenario(name: str, when: str, then: str = "it started in time", tag: str = "", innocent: str = "") -> str:
    """Without its fault a negative one reads *innocent* where it says *when*."""
    mark = f"    # without the fault: {innocent or 'nothing is measured'}\n" if "@negative" in tag else ""
    return f"  {tag}\n  Scenario: {name}\n    Given a start\n{mark}    When {when}\n    Then {then}\n\n"


GREEN = (
    HEAD
    + scenario("Quick", "it takes 3 units")
    + scenario("Slow", "it takes 31 units", "the delay is seen", "@negative")
)


@dataclass
class Suite:
    """A small project with the suite's plugins."""

    folder: Path

    def write(self, text: str, name: str = "AC-003-01-start.feature") -> None:
        path = self.folder / "features" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "pytest", *ARGUMENTS, *arguments]

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return run_pytest(
            [*ARGUMENTS, *arguments],
            folder=self.folder,
            environment={**os.environ, "XDG_CACHE_HOME": str(self.folder / "cache"), **environment},
            seconds=60,
        )

    def report(self) -> Any:
        return json.loads((self.folder / "reports/latest/traceability.json").read_text())

    def row(self) -> Any:
        return next(row for row in self.report()["criteria"] if row["id"] == "AC-003-01")


def make_suite(folder: Path) -> Suite:
    """The small project, with one green feature."""
    (folder / "conftest.py").write_text(CONFTEST.format(root=str(ROOT)))
    (folder / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    found = Suite(folder)
    found.write(GREEN)
    return found
