"""Whole runs of pytest on feature files of their own: what is collected, recorded, reported and returned.

Only the target is replaced: nothing is brought up. Options, collection, records, verdicts, report
and exit codes are the suite's own.
"""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.small_suite import GREEN, HEAD, ROOT, Suite, make_suite, scenario


@dataclass
class Ended(Suite):
    """A small project whose green feature was run."""

    done: subprocess.CompletedProcess[str]


def ended(folder: Path, *arguments: str) -> Ended:
    """Run the green feature, signed with a key of its own."""
    return Ended(folder, make_suite(folder).run(*arguments, XDG_CONFIG_HOME=str(folder / "config")))


# Shared by the tests that only look at what such a run left.
@pytest.fixture(scope="module")
def green(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    return ended(tmp_path_factory.mktemp("green"))


@pytest.fixture(scope="module")
def parallel(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    return ended(tmp_path_factory.mktemp("parallel"), "-n", "2", "--labs", "2")


def test_a_green_run(green: Ended) -> None:
    suite, done = green, green.done
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith("=") or "2 passed" in done.stdout.splitlines()[-1]
    assert suite.row()["verdict"] == "VERIFIED"
    assert suite.row()["negative_proof"]["status"] == "PROVEN"
    assert [m["value"] for m in suite.row()["measurements"]] == [3]
    assert suite.report()["environment"] == {"velero": "v0"}
    assert [s["cluster"] for s in suite.row()["scenarios"]] == ["lab-1"] * 2


def test_what_a_run_leaves(green: Ended) -> None:
    folder = green.folder / "reports/latest"
    assert {p.name for p in folder.iterdir()} >= {
        "traceability.json", "traceability.md", "traceability.html", "junit.xml", "allure-results", "acceptance.prom",
        "evidence.intoto.jsonl",
    }  # fmt: skip
    cases = list(ET.parse(folder / "junit.xml").getroot().iter("testcase"))
    assert [p.get("value") for p in cases[0].iter("property") if p.get("name") == "requirement"] == ["AC-003-01"]
    shown = [json.loads(p.read_text()) for p in (folder / "allure-results").glob("*-result.json")]
    steps = {step["name"] for result in shown for step in result["steps"]}
    assert {"Given a start", "When it takes 3 units", "Then it started in time"} <= steps
    files = [a["name"] for result in shown for step in result["steps"] for a in step.get("attachments", [])]
    assert "initiation.txt" in files
    labels = {(label["name"], label["value"]) for result in shown for label in result["labels"]}
    assert ("requirement", "AC-003-01") in labels and ("epic", "REQ-003 PVC backup operations") in labels


def test_no_secret_reaches_any_file(suite: Suite) -> None:
    suite.write(GREEN + scenario("Broken", "it raises error"))
    done = suite.run()
    assert "[redacted]" in done.stdout and "planted-secret" not in done.stdout + done.stderr
    for path in (suite.folder / "reports").rglob("*"):
        if path.is_file():
            assert "planted-secret" not in path.read_text(), path


@pytest.mark.parametrize(
    ("when", "verdict", "says"),
    [
        ("it takes 31 units", "FAILED", "initiation is 31 s"),
        ("it raises error", "FAILED", "it was [redacted]"),
        ("it raises bug", "FAILED", "it was [redacted]"),
        ("it raises blocked", "BLOCKED", "it was [redacted]"),
        ("it raises inconclusive", "INCONCLUSIVE", "it was [redacted]"),
        ("nothing is measured", "INCONCLUSIVE", "initiation was not measured"),
        ("it is skipped", "NOT-RUN", "no scenario ended"),
    ],
)
def test_what_is_not_verified_fails_the_run(suite: Suite, when: str, verdict: str, says: str) -> None:
    suite.write(HEAD + scenario("One", when))
    done = suite.run()
    assert done.returncode == 1, done.stdout
    assert suite.row()["verdict"] == verdict
    assert says in suite.row()["reason"]


@pytest.mark.parametrize("stop", [True, False])
def test_once_the_verdict_is_certain_the_rest_may_be_left_out(suite: Suite, stop: bool) -> None:
    suite.write(HEAD + scenario("Late", "it takes 31 units") + scenario("Quick", "it takes 3 units"))
    suite.run(*(["--stop-at-verdict"] if stop else []))
    assert suite.row()["verdict"] == "FAILED"
    assert [s["outcome"] for s in suite.row()["scenarios"]] == ["failed", "skipped" if stop else "passed"]


def test_a_seeded_fault_that_nobody_sees_is_red(suite: Suite) -> None:
    suite.write(HEAD + scenario("Blind", "it takes 3 units", "the delay is seen", "@negative"))
    assert suite.run().returncode == 1
    assert "the seeded fault was not seen" in suite.row()["reason"]


def test_a_leak_is_red_and_named(suite: Suite) -> None:
    (suite.folder / "leak").write_text("Backup x of a scenario")
    done = suite.run()
    assert done.returncode == 1
    assert "left behind: Backup x of a scenario" in done.stdout
    assert suite.report()["summary"]["leaks"] == ["Backup x of a scenario"]


def test_a_change_of_what_is_not_ours_is_red_and_named(suite: Suite) -> None:
    (suite.folder / "changed").write_text("ConfigMap shop/settings is gone")
    done = suite.run()
    assert done.returncode == 1
    assert "changed outside the suite: ConfigMap shop/settings is gone" in done.stdout
    assert suite.report()["summary"]["foreign_changes"] == ["ConfigMap shop/settings is gone"]
    assert "ConfigMap shop/settings is gone" in (suite.folder / "reports/latest/traceability.md").read_text()


def test_what_only_looks_on_verifies_nothing_and_runs_only_there(suite: Suite) -> None:
    suite.write(GREEN + scenario("From outside", "it takes 3 units", tag="@passive"))
    done = suite.run("--profile=observe")
    assert done.returncode == 0, done.stdout
    assert [row["name"] for row in suite.row()["scenarios"]] == ["From outside"]
    assert suite.row()["verdict"] == "INCONCLUSIVE" and "only passive scenarios ran" in suite.row()["reason"]
    assert [m["value"] for m in suite.row()["measurements"]] == [3]
    assert suite.run("--run-id=another").returncode == 0
    assert {row["name"] for row in suite.row()["scenarios"]} == {"Quick", "Slow"}
    assert suite.row()["verdict"] == "VERIFIED"


def test_what_is_seen_to_fail_from_outside_is_red(suite: Suite) -> None:
    suite.write(GREEN + scenario("From outside", "it takes 31 units", tag="@passive"))
    assert suite.run("--profile=observe").returncode == 1
    assert suite.row()["verdict"] == "FAILED"


def test_the_profile_of_a_scenario_counts_before_that_of_its_criterion(suite: Suite) -> None:
    suite.write(HEAD + scenario("Looks", "it takes 3 units", tag="@observe") + scenario("Acts", "it takes 3 units"))
    assert suite.run("--profile=observe").returncode == 0
    assert [row["name"] for row in suite.row()["scenarios"]] == ["Looks"]
    assert (suite.row()["verdict"], suite.row()["reason"]) == ("INCONCLUSIVE", "1 of 2 scenarios were run")


def test_a_right_that_is_missing_is_a_precondition(suite: Suite) -> None:
    suite.write(HEAD + scenario("Forbidden", "it raises forbidden"))
    done = suite.run()
    assert (done.returncode, suite.row()["verdict"]) == (1, "BLOCKED")
    assert "BLOCKED: it was [redacted]" in done.stdout and "conftest.py:" not in done.stdout


def test_a_part_of_the_scenarios_verifies_nothing_and_fails_nothing(suite: Suite) -> None:
    done = suite.run("-k", "quick")
    assert done.returncode == 0, done.stdout
    assert (suite.row()["verdict"], suite.row()["reason"]) == ("INCONCLUSIVE", "1 of 2 scenarios were run")


@pytest.mark.parametrize("arguments", [("-m", "AC-003-01 and negative"), ("-k", "slow"), ("--lf",)])
def test_selection(suite: Suite, arguments: tuple[str, ...]) -> None:
    if "--lf" in arguments:
        suite.write(GREEN.replace("31 units", "3 units"))
        suite.run()
    done = suite.run("--collect-only", "-q", *arguments)
    assert "features/AC-003-01-start.feature::test_slow" in done.stdout
    assert "test_quick" not in done.stdout


def test_nothing_selected_is_no_success(suite: Suite) -> None:
    done = suite.run("-k", "nosuchscenario")
    assert done.returncode == 5
    assert "no scenario was selected" in done.stdout


def test_parallel_workers_make_one_report(parallel: Ended) -> None:
    assert parallel.done.returncode == 0, parallel.done.stdout + parallel.done.stderr
    assert parallel.row()["verdict"] == "VERIFIED"
    labs = "2 side by side on one machine, shared by the workers"
    assert parallel.report()["environment"] == {"velero": "v0", "labs": labs}


@pytest.mark.parametrize("how", ["green", "parallel"])
def test_a_run_begins_once_in_its_own_process(request: pytest.FixtureRequest, how: str) -> None:
    """There the lock is taken and what is not ours is looked at; with workers, before they start."""
    suite: Ended = request.getfixturevalue(how)
    assert suite.done.returncode == 0
    assert (suite.folder / "begun-main").read_text() == "x"
    assert (suite.folder / "begun-worker").exists() == (how == "parallel")


@pytest.fixture
def hangups() -> Iterator[None]:
    """SIGHUP has its effect on what is started, also where these tests run under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("hangups")
@pytest.mark.parametrize(
    ("number", "arguments"),
    [(signal.SIGINT, ()), (signal.SIGTERM, ()), (signal.SIGTERM, ("-n", "2")), (signal.SIGHUP, ())],
)
def test_an_interrupted_run_cleans_up_and_reports(
    suite: Suite, number: signal.Signals, arguments: tuple[str, ...]
) -> None:
    suite.write(GREEN + scenario("Endless", "it waits for ever"))
    (suite.folder / "leak").write_text("what the clean-up has found")
    if arguments:
        (suite.folder / "impatient").touch()  # xdist by itself ends its workers in the middle of their clean-up
    running = subprocess.Popen(suite.command(*arguments), cwd=suite.folder, stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 30
    while not (suite.folder / "waiting").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    running.send_signal(number)
    out, _ = running.communicate(timeout=30)
    assert running.returncode == 2, out
    assert (suite.folder / "cleaned").exists()
    assert suite.report()["run"]["interrupted"] is True
    assert "what the clean-up has found" in suite.report()["summary"]["leaks"]
    assert {s["outcome"] for s in suite.row()["scenarios"]} == {"passed", "interrupted"}
    assert suite.row()["verdict"] == "INCONCLUSIVE"


@pytest.mark.parametrize(
    ("arguments", "environment", "says"),
    [
        (("--target=mars",), {}, "target: Input should be 'lab', 'kind' or 'current', not 'mars'"),
        (("--profile=wild",), {}, "profile: Input should be 'observe'"),
        (("--run-id=A B",), {}, "run_id"),
        ((), {"ACCEPTANCE_TARGET": "mars"}, "target"),
        ((), {"ACCEPTANCE_SIGNING_KEY": "/nonexistent"}, "the signing key /nonexistent cannot be read"),
        ((), {"ACCEPTANCE_TIMEOUT_FACTOR": "fast"}, "ACCEPTANCE_TIMEOUT_FACTOR must be a number"),
    ],
)
def test_bad_options_are_refused_before_anything_starts(
    suite: Suite, arguments: tuple[str, ...], environment: dict[str, str], says: str
) -> None:
    done = suite.run(*arguments, **environment)
    assert done.returncode == 4
    assert says in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert not (suite.folder / "reports").exists()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda t: t + scenario("Quick", "it takes 3 units"), "'Quick' occurs 2 times"),
        (lambda t: t.replace("a start", "a galaxy"), "no step definition fits Given 'a galaxy'"),
        (lambda t: t.replace("Feature:", "Future:"), "AC-003-01-start.feature: "),
    ],
)
def test_a_malformed_feature_is_a_collection_error(suite: Suite, change: Callable[[str], str], says: str) -> None:
    suite.write(change(GREEN))
    done = suite.run()
    assert done.returncode == 2
    assert says in done.stdout


def test_a_full_disk_is_one_sentence_and_no_success(suite: Suite) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    reports = suite.folder / "reports"
    reports.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", reports], check=True)
    try:
        done = suite.run()
    finally:
        subprocess.run(["umount", reports], check=True)
    assert done.returncode not in (0, 5)
    assert "cannot be written: No space left on device; make room" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert (suite.folder / "cleaned").exists()


def test_the_real_features_are_collected_quickly_and_without_a_cluster() -> None:
    def spent() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    before = spent()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "features/", "--collect-only", "-q"],
        cwd=ROOT,
        env={**os.environ, "XDG_STATE_HOME": "/nonexistent", "KUBECONFIG": "/nonexistent"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (
        "AC-004-05-namespace-mapping.feature::test_the_restored_application_does_not_depend_on_its_source"
        in done.stdout
    )
    assert spent() - before < 5  # of processor time, which other work does not stretch much; 2 s when idle


@pytest.mark.parametrize(
    ("server", "says"),
    [
        (None, "the kubeconfig .* cannot be read"),
        ("https://127.0.0.1:1", "the API server https://127.0.0.1:1 cannot be reached: .* is the cluster up"),
    ],
)
def test_an_unreachable_cluster_is_refused(tmp_path: Path, server: str | None, says: str) -> None:
    """The real features on a target that is not there: one sentence, and nothing made."""
    kubeconfig = tmp_path / "kubeconfig"
    if server:
        cluster = {"name": "c", "cluster": {"server": server}}
        context = {"name": "home", "context": {"cluster": "c", "user": "u"}}
        users = [{"name": "u", "user": {"token": "none"}}]
        content = {"clusters": [cluster], "contexts": [context], "users": users, "current-context": "home"}
        kubeconfig.write_text(json.dumps({"apiVersion": "v1", "kind": "Config", **content}))
    (tmp_path / "corpus").write_text("#!/bin/sh\n")
    (tmp_path / "corpus").chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "features/REQ-006-retention/AC-006-01-ttl.feature", "--target=current"],
        cwd=ROOT,
        env={
            **os.environ,
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "KUBECONFIG": str(kubeconfig),
            "ACCEPTANCE_REPORTS": str(tmp_path / "reports"),
            "ACCEPTANCE_CURRENT__ALLOWED_CONTEXTS": '["home"]',
            "ACCEPTANCE_CURRENT__S3_ENDPOINT": "https://127.0.0.1:1",
            "ACCEPTANCE_CURRENT__S3_ACCESS_KEY": "nobody",
            "ACCEPTANCE_CURRENT__S3_SECRET_KEY": "nobody",
        },
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 4, done.stdout + done.stderr
    assert re.search(says, done.stdout + done.stderr)
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("profile", "ran", "verdict"),
    [("exercise", {"Quick"}, "VERIFIED"), ("soak", {"Quick", "Long"}, "VERIFIED"), ("observe", set(), None)],
)
def test_a_profile_leaves_out_what_does_more(suite: Suite, profile: str, ran: set[str], verdict: str | None) -> None:
    """The criterion's own profile is exercise; a scenario of @soak adds to its verdict."""
    suite.write(HEAD + scenario("Quick", "it takes 3 units") + scenario("Long", "it takes 4 units", tag="@soak"))
    done = suite.run(f"--profile={profile}")
    assert done.returncode == (0 if ran else 5), done.stdout
    if verdict:
        assert {row["name"] for row in suite.row()["scenarios"]} == ran
        assert suite.row()["verdict"] == verdict


def test_what_a_lower_profile_leaves_out_is_missed(suite: Suite) -> None:
    suite.write(HEAD + scenario("Quick", "it takes 3 units") + scenario("Rough", "it takes 4 units", tag="@disrupt"))
    assert suite.run("--profile=exercise").returncode == 0
    assert (suite.row()["verdict"], suite.row()["reason"]) == ("INCONCLUSIVE", "1 of 2 scenarios were run")


def test_the_name_of_a_run_is_used_once(suite: Suite) -> None:
    suite.write(GREEN)
    assert suite.run().returncode == 0
    before = {path: path.read_bytes() for path in (suite.folder / "reports/r").rglob("*") if path.is_file()}
    done = suite.run()
    assert done.returncode == 4 and "reports/r holds another run: choose another --run-id" in done.stderr
    assert {path: path.read_bytes() for path in (suite.folder / "reports/r").rglob("*") if path.is_file()} == before
    assert suite.run("--run-id=latest").returncode == 4
    assert suite.run("--collect-only").returncode == 0
