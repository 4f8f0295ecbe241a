"""What a whole run leaves beside its records: signed evidence, JUnit, metrics; and what a waiver does to it."""

from __future__ import annotations

import base64
import json
import re
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.small_suite import GREEN, HEAD, Suite, scenario
from velero_acceptance.report.attestation import keys
from velero_acceptance.report.attestation.statement import FILE
from velero_acceptance.report.attestation.verify import verify


def test_the_evidence_of_a_run_is_signed_and_verifies(suite: Suite) -> None:
    done = suite.run()
    assert "signed; verify with: acceptance verify r --key " in done.stdout
    folder = suite.folder / "reports/r"
    assert verify(folder, keys.verifier(keys.public_path())).problems == []
    named = json.loads(base64.b64decode(json.loads((folder / FILE).read_text().splitlines()[0])["payload"]))
    assert {"traceability.json", "junit.xml"} <= {subject["name"] for subject in named["subject"]}


@pytest.mark.parametrize("commit", ["", "abc"])
def test_a_run_needs_no_git(suite: Suite, tmp_path: Path, commit: str) -> None:
    """As in the suite's image, which says by a variable what it was made from."""
    done = suite.run(PATH=str(tmp_path), ACCEPTANCE_COMMIT=commit)
    assert done.returncode == 0, done.stdout
    assert suite.report()["run"]["commit"] == commit


JUNIT = {
    "testsuites": {"testsuite"},
    "testsuite": {"testcase", "properties"},
    "testcase": {"properties", "failure", "error", "skipped", "system-out", "system-err"},
    "properties": {"property"},
}


def junit_problems(path: Path) -> list[str]:
    """Where a file leaves the shape that CI viewers read: elements, their order of nesting, counts and times."""
    root = ET.parse(path).getroot()
    found = [] if root.tag == "testsuites" else [f"the root is {root.tag}"]
    for parent in root.iter():
        allowed = JUNIT.get(parent.tag, set())
        found += [f"{child.tag} in {parent.tag}" for child in parent if child.tag not in allowed]
    for group in root.iter("testsuite"):
        cases = list(group.iter("testcase"))
        counts = {name: sum(case.find(tag) is not None for case in cases) for name, tag in
                  (("failures", "failure"), ("errors", "error"), ("skipped", "skipped"))}  # fmt: skip
        counts["tests"] = len(cases)
        found += [f"{name} is {group.get(name)}" for name, count in counts.items() if group.get(name) != str(count)]
        found += [f"{case.get('name')} has no {key}" for case in cases for key in ("name", "classname", "time")
                  if not case.get(key)]  # fmt: skip
        found += [f"a time is {e.get('time')}" for e in [group, *cases] if not float(e.get("time", "-1")) >= 0]
    return found


def test_junit_has_the_shape_that_viewers_read(suite: Suite) -> None:
    suite.write(GREEN + scenario("Broken", "it raises error") + scenario("Left out", "it is skipped"))
    suite.run()
    path = suite.folder / "reports/latest/junit.xml"
    assert junit_problems(path) == []
    path.write_text(path.read_text().replace('tests="4"', 'tests="5"').replace("<failure", "<mishap", 1).replace(
        "</failure", "</mishap", 1))  # fmt: skip
    assert {"tests is 5", "mishap in testcase", "failures is 1"} <= set(junit_problems(path))


def test_a_waived_criterion_does_not_fail_the_run(suite: Suite) -> None:
    suite.write(HEAD + scenario("One", "it takes 31 units"))
    entry = {"criterion": "AC-003-01", "by": "the owner", "until": "2999-12-31", "why": "a slow disk"}
    (suite.folder / "waivers.yaml").write_text(json.dumps([entry]))
    done = suite.run()
    assert done.returncode == 0, done.stdout
    assert suite.row()["verdict"] == "WAIVED"
    assert suite.row()["reason"].startswith("waived by the owner until 2999-12-31: a slow disk (FAILED: One: ")
    assert suite.row()["scenarios"][0]["outcome"] == "failed"
    (suite.folder / "waivers.yaml").write_text(json.dumps([{**entry, "until": "2020-01-01"}]))
    assert suite.run("--run-id=later").returncode == 1


def test_a_malformed_waiver_is_refused_before_anything_starts(suite: Suite) -> None:
    (suite.folder / "waivers.yaml").write_text("[{}]")
    done = suite.run()
    assert done.returncode == 4
    assert re.search(r"waivers\.yaml is malformed at by", done.stderr)


def test_metrics_that_nobody_takes_change_no_verdict(suite: Suite) -> None:
    done = suite.run(ACCEPTANCE_PUSHGATEWAY="http://user:planted-secret@127.0.0.1:1")
    assert done.returncode == 0, done.stdout
    assert "the Pushgateway 127.0.0.1:1 did not take the metrics: " in done.stdout
    assert "planted-secret" not in done.stdout + done.stderr


def test_allures_page_is_made_before_the_last_line_or_it_is_said_why_not(suite: Suite, tmp_path: Path) -> None:
    (programs := tmp_path / "programs").mkdir()
    (programs / "git").symlink_to(str(shutil.which("git")))
    done = suite.run("--allure-page", PATH=str(programs))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Allure's report was not made: the Allure report needs Node 20 or later" in done.stdout
    assert re.fullmatch(r"=+ 2 passed.* in .*=+", done.stdout.splitlines()[-1])
    assert "Allure" not in suite.run().stdout
