"""Somebody's own cluster: looked at without a write, exercised in namespaces of our own, and left as it was."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lab.tests.home import ROOT, SETTINGS, VELERO, Home, command, report
from tests.commands import commands
from velero_acceptance.core.waiting import poll

FEATURES = str(ROOT / "features")
# A handful of rows for which nothing but Velero and a volume is needed.
EXERCISED = ("AC-003-01", "AC-003-03", "AC-004-03", "AC-004-05")
SEEN_FROM_OUTSIDE = ("AC-001-02", "AC-001-04", "AC-002-03", "AC-003-03", "AC-005-01", "AC-005-03", "AC-006-01")
OF_FLUX = ("AC-007-02", "AC-007-03", "AC-007-04")
READS = {"get", "list", "watch"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """The cluster; it is down before and after."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SETTINGS.items():
            patch.setenv(name, value)
        command("lab", "down")
        try:
            yield Home.up(tmp_path_factory.mktemp("home"))
        finally:
            if os.environ.get("KEEP_LAB") is None:
                command("lab", "down")


@pytest.fixture(scope="module")
def observed(home: Home, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a whole run of the profile observe, by an account that may only read."""
    folder = tmp_path_factory.mktemp("observe")
    home.settings(folder, home.account("observe"))
    done = home.call(folder, "pytest", FEATURES, "--profile", "observe")
    (folder / "said").write_text(done.stdout + done.stderr)
    assert done.returncode == 1, done.stdout + done.stderr  # rows of Flux are BLOCKED
    return folder


def rows(folder: Path) -> dict[str, Any]:
    return {row["id"]: row for row in report(folder)["criteria"]}


def test_the_doctor_tells_what_can_run(home: Home, tmp_path: Path) -> None:
    home.settings(tmp_path, home.account("observe"))
    done = home.call(tmp_path, "acceptance", "doctor", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert [finding for finding in found["findings"] if finding["state"] == "broken"] == []
    assert found["rights"]["observe"] == [] and "create namespaces" in found["rights"]["exercise"]
    by_id = {row["criterion"]: row for row in found["rows"]}
    for name in SEEN_FROM_OUTSIDE:
        assert by_id[name]["profiles"]["observe"]["can_run"] == "read-only", name
    assert any("Flux" in reason for reason in by_id["AC-007-02"]["profiles"]["observe"]["reasons"])
    # A review is a question, of which nothing is kept.
    assert {asked for asked in home.requests_of("observe") if asked[0] not in READS} == {
        ("create", "selfsubjectaccessreviews")
    }


def test_observe_writes_nothing(home: Home, observed: Path) -> None:
    asked = home.requests_of("observe")
    assert len(asked) > 100, "the audit log shows nothing of the run"
    assert {one for one in asked if one[0] not in READS} <= {("create", "selfsubjectaccessreviews")}
    assert home.own_objects() == []
    assert report(observed)["summary"]["foreign_changes"] == []


def test_observe_claims_no_more_than_it_saw(observed: Path) -> None:
    found = rows(observed)
    assert [name for name, row in found.items() if row["verdict"] in ("VERIFIED", "FAILED")] == []
    for name in SEEN_FROM_OUTSIDE:
        assert found[name]["verdict"] == "INCONCLUSIVE", found[name]
        assert found[name]["measurements"], name
        assert {scenario["outcome"] for scenario in found[name]["scenarios"]} == {"passed"}, found[name]
    for name in OF_FLUX:
        assert found[name]["verdict"] == "BLOCKED" and "Flux" in found[name]["reason"], found[name]
    assert "Traceback" not in (observed / "said").read_text()
    notes = report(observed)["environment"]
    assert "the worst of 4 clocks" in notes["clock skew"], notes
    assert "foreign objects" in notes["fingerprint"] and "Secret" in notes["not in the fingerprint"], notes


def test_exercise_verifies_and_leaves_the_cluster_as_it_was(home: Home, tmp_path: Path) -> None:
    home.settings(tmp_path, home.account("exercise"))
    done = home.call(tmp_path, "pytest", FEATURES, "-m", " or ".join(EXERCISED), "-n", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    found, summary = rows(tmp_path), report(tmp_path)["summary"]
    assert {name: found[name]["verdict"] for name in EXERCISED} == dict.fromkeys(EXERCISED, "VERIFIED")
    assert (summary["leaks"], summary["foreign_changes"]) == ([], [])
    assert home.own_objects() == []
    assert report(tmp_path)["run"]["profile"] == "exercise"


def test_what_a_killed_run_left_is_swept_and_not_before_it_is_known_to_be_dead(home: Home, tmp_path: Path) -> None:
    home.settings(tmp_path, home.account("exercise"))
    feature = f"{FEATURES}/REQ-003-backup/AC-003-01-initiation.feature"
    running = home.start(tmp_path, "pytest", feature, "--run-id", "killed")
    poll(
        home.own_objects,
        until=lambda names: any(name.startswith("acc-killed-") for name in names),
        terminal=lambda _: "the run ended" if running.poll() is not None else None,
        event="the run has made something",
        timeout=120,
        interval=0.2,
    )
    running.kill()
    running.wait()
    assert "killed: left alone, it is at work" in home.call(tmp_path, "acceptance", "sweep").stdout
    assert home.own_objects() != []
    assert home.call(tmp_path, "acceptance", "unlock", "--run", "killed").returncode == 0
    done = home.call(tmp_path, "acceptance", "sweep", "--run", "killed")
    assert done.returncode == 0 and "left:" not in done.stdout, done.stdout + done.stderr
    assert home.own_objects() == []


@pytest.mark.parametrize("line", commands("current"))
def test_the_commands_of_the_docs(home: Home, tmp_path: Path, line: str) -> None:
    """As the owner of the cluster, whose Velero is in the namespace that the docs take as their example."""
    home.settings(tmp_path, home.facts.kubeconfig, home.context)
    (tmp_path / "deploy").symlink_to(ROOT / "deploy")
    done = home.call(tmp_path, "sh", "-c", line)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--profile", "disrupt"), "this cluster has not agreed to be disrupted"),
        (("--profile", "soak"), "this cluster has not agreed to be disrupted"),
    ],
)
def test_what_is_not_allowed_is_refused(home: Home, tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    home.settings(tmp_path, home.account("exercise"))
    done = home.call(tmp_path, "pytest", f"{FEATURES}/REQ-003-backup/AC-003-01-initiation.feature", *arguments)
    assert done.returncode == 4, done.stdout + done.stderr
    assert says in done.stdout + done.stderr and "Traceback" not in done.stdout + done.stderr


def test_one_run_at_a_time(home: Home, tmp_path: Path) -> None:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    spec = f"{{holderIdentity: other of ann@desk, leaseDurationSeconds: 600, renewTime: '{now}', acquireTime: '{now}'}}"
    metadata = f"{{name: velero-acceptance, namespace: {VELERO}}}"
    home.lab.kubectl.apply(f"apiVersion: coordination.k8s.io/v1\nkind: Lease\nmetadata: {metadata}\nspec: {spec}\n")
    home.settings(tmp_path, home.account("exercise"))
    feature = f"{FEATURES}/REQ-003-backup/AC-003-01-initiation.feature"
    done = home.call(tmp_path, "pytest", feature)
    assert done.returncode == 4 and "the run other of ann@desk" in done.stdout + done.stderr
    assert home.call(tmp_path, "acceptance", "unlock").returncode == 2
    done = home.call(tmp_path, "acceptance", "unlock", "--run", "other")
    assert done.returncode == 0, done.stdout + done.stderr
    assert home.own_objects() == []
