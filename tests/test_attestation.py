"""Signed evidence: what was signed verifies, whatever is altered does not, and common tools agree."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from in_toto_attestation.v1.statement import STATEMENT_TYPE_URI
from securesystemslib.dsse import Envelope

from tests.commands import ROOT
from tests.sample_runs import STARTED, run
from velero_acceptance.core.errors import Refusal
from velero_acceptance.report.attestation import keys, statement
from velero_acceptance.report.attestation.verify import Findings, verify


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs and the key that signed them, written once: the tests alter copies."""
    home = tmp_path_factory.mktemp("signed")
    with pytest.MonkeyPatch.context() as changed:
        changed.setenv("XDG_CONFIG_HOME", str(home / "config"))
        changed.delenv(keys.VARIABLE, raising=False)
        run(home / "reports", "first")
        run(home / "reports", "second", started=STARTED + timedelta(hours=1))
    return home


@pytest.fixture
def folder(signed: Path, tmp_path: Path) -> Path:
    """The second of two runs."""
    shutil.copytree(signed, tmp_path, dirs_exist_ok=True)
    return tmp_path / "reports/second"


def checked(folder: Path, key: Path | None = None) -> Findings:
    return verify(folder, keys.verifier(key or keys.public_path()))


def payloads(folder: Path) -> list[Any]:
    lines = (folder / statement.FILE).read_text().splitlines()
    return [json.loads(Envelope.from_dict(json.loads(line)).payload) for line in lines]


def test_a_run_says_which_it_is(folder: Path) -> None:
    found = checked(folder)
    for part in ("run second: ", "target lab", "profile ", "started 2026-11-24T03:00:00"):
        assert part in found.run


def test_a_copy_of_another_run_is_found(folder: Path) -> None:
    """A red run's folder that was replaced by a copy of a green one."""
    shutil.rmtree(folder)
    shutil.copytree(folder.with_name("first"), folder)
    assert checked(folder).problems == ["the folder second holds the run first: it was renamed, or is a copy"]
    assert checked(folder).run.startswith("run first: ")


@pytest.mark.parametrize("place", ["evidence/more", "evidence/more.txt", "records/more"])
def test_a_link_among_the_evidence_is_found(folder: Path, tmp_path: Path, place: str) -> None:
    (outside := tmp_path / "outside").mkdir()
    (outside / "any.txt").touch()
    (folder / place).symlink_to(outside / "any.txt" if place.endswith("txt") else outside)
    assert f"{place} is a link, and no part of the evidence" in checked(folder).problems


def test_a_folder_of_evidence_that_is_a_link_is_found(folder: Path) -> None:
    (folder / "evidence").rename(folder / "kept")
    (folder / "evidence").symlink_to("kept")
    assert "evidence is a link, and no part of the evidence" in checked(folder).problems


def test_a_run_that_nobody_touched_verifies(folder: Path) -> None:
    found = checked(folder)
    assert (found.problems, found.notes, found.runs) == ([], [], 2)
    assert found.files == len(statement.digests(folder)) > 5


def test_the_statements_are_those_of_in_toto(folder: Path) -> None:
    result, verdicts = payloads(folder)
    assert result["_type"] == verdicts["_type"] == STATEMENT_TYPE_URI == "https://in-toto.io/Statement/v1"
    assert result["predicateType"] == "https://in-toto.io/attestation/test-result/v0.1"
    assert result["predicate"]["result"] == "PASSED"
    assert result["predicate"]["passedTests"] == ["AC-003-01"]
    assert {"name": "velero-acceptance", "digest": {"gitCommit": "0123456789abcdef" * 2 + "01234567"}} in result[
        "predicate"
    ]["configuration"]
    names = {subject["name"] for subject in result["subject"]}
    assert {"traceability.json", "junit.xml", "records/AC-003-01-0.json"} <= names
    assert verdicts["predicate"]["verdicts"]["AC-003-01"] == {
        "verdict": "VERIFIED",
        "faultsSeeded": 1,
        "faultsCaught": 1,
    }
    assert verdicts["predicate"]["run"]["id"] == "second"
    assert verdicts["predicate"]["previous"]["run"] == "first"


def test_a_red_run_is_attested_as_failed(tmp_path: Path) -> None:
    result, _ = payloads(run(tmp_path, "red", 31))
    assert (result["predicate"]["result"], result["predicate"]["failedTests"]) == ("FAILED", ["AC-003-01"])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def resign(folder: Path, change: Callable[[list[Any]], None]) -> None:
    """Sign other statements with the right key."""
    found = payloads(folder)
    change(found)
    lines = []
    for payload in found:
        envelope = Envelope(json.dumps(payload).encode(), statement.PAYLOAD_TYPE, {})
        envelope.sign(keys.signer())
        lines.append(json.dumps(envelope.to_dict()))
    (folder / statement.FILE).write_text("\n".join(lines) + "\n")


def payload_changed(folder: Path) -> None:
    lines = [json.loads(line) for line in (folder / statement.FILE).read_text().splitlines()]
    payload = base64.b64decode(lines[1]["payload"]).replace(b"VERIFIED", b"VERIFIEE")
    lines[1]["payload"] = base64.b64encode(payload).decode()
    (folder / statement.FILE).write_text("".join(json.dumps(line) + "\n" for line in lines))


def one_statement_less(folder: Path) -> None:
    path = folder / statement.FILE
    path.write_text(path.read_text().splitlines()[0] + "\n")


def added(folder: Path) -> None:
    (folder / "evidence" / "later.txt").write_text("x")


def outside(payloads: list[Any]) -> None:
    payloads[0]["subject"].append({"name": "../first/junit.xml", "digest": {"sha256": "0"}})


def without_the_report(payloads: list[Any]) -> None:
    for payload in payloads:
        payload["subject"] = [s for s in payload["subject"] if s["name"] != "traceability.json"]


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (lambda f: flip(f / "traceability.json"), "traceability.json was altered after it was signed"),
        (lambda f: flip(next((f / "evidence").rglob("*.txt"))), r"evidence/.*\.txt was altered after"),
        (lambda f: (f / "records/AC-003-01-1.json").unlink(), r"records/AC-003-01-1\.json is missing"),
        (added, r"evidence/later\.txt was added after the run was signed"),
        (payload_changed, "second: statement 2 was altered, or was signed with another key"),
        (one_statement_less, "does not hold exactly the two statements"),
        (lambda f: (f / statement.FILE).write_text("{}\n"), "second: statement 1 is not a DSSE envelope"),
        (lambda f: (f / statement.FILE).write_text("x\n"), "second: statement 1 is not a DSSE envelope"),
        (lambda f: (f / statement.FILE).write_bytes(b"\xff"), "cannot be read"),
        (lambda f: resign(f.parent / "first", lambda _: None), "the statements of first are not those that second"),
        (lambda f: resign(f, outside), r"\.\./first/junit\.xml is not a path in a report folder"),
        (lambda f: resign(f, without_the_report), "traceability.json is not among the signed files"),
    ],
)
def test_whatever_is_altered_is_one_sentence(folder: Path, fault: Callable[[Path], None], says: str) -> None:
    fault(folder)
    problems = checked(folder).problems
    assert problems and re.search(says, problems[0]), problems
    assert all("\n" not in problem for problem in problems)


def test_a_run_before_that_is_gone_ends_the_chain_without_failing(folder: Path) -> None:
    shutil.rmtree(folder.parent / "first")
    found = checked(folder)
    assert (found.problems, found.runs) == ([], 1)
    assert found.notes == ["first, the run before second, is not here: the chain ends there"]


def test_a_run_taken_out_of_the_chain_is_seen_when_it_is_replaced(folder: Path) -> None:
    third = run(folder.parent, "third", started=STARTED + timedelta(hours=2))
    shutil.copytree(folder.parent / "first", folder.parent / "copy")
    shutil.rmtree(folder)
    (folder.parent / "copy").rename(folder)
    assert "the statements of second are not those that third was chained to" in checked(third).problems


def test_another_key_does_not_verify(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "another"))
    keys.signer()
    assert "another key" in checked(folder).problems[0]


def test_a_run_before_of_another_key_ends_the_chain(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "another"))
    third = run(folder.parent, "third", started=STARTED + timedelta(hours=2))
    found = checked(third)
    assert (found.problems, found.runs) == ([], 1)
    assert found.notes == ["second was signed with another key: the chain ends there"]


def test_a_folder_that_was_never_signed_is_refused(folder: Path) -> None:
    (folder / statement.FILE).unlink()
    with pytest.raises(Refusal, match="second is not signed: it holds no evidence"):
        checked(folder)


def test_the_key_is_made_once_and_only_the_owner_reads_it() -> None:
    first = keys.signer().public_key.keyid
    assert keys.signer().public_key.keyid == first == keys.verifier(keys.public_path()).keyid
    assert keys.private_path().stat().st_mode & 0o777 == 0o600


RSA = ["openssl", "genpkey", "-algorithm", "rsa", "-out"]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda _: None, "cannot be read: No such file"),
        (lambda path: path.write_text("x"), "is not a private key in PEM format"),
        (lambda path: subprocess.run([*RSA, path], check=True, capture_output=True), "is not an ed25519 key"),
    ],
)
def test_a_key_that_cannot_sign_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], object], says: str
) -> None:
    path = tmp_path / "key.pem"
    monkeypatch.setenv(keys.VARIABLE, str(path))
    make(path)
    if path.exists():
        path.chmod(0o600)
    with pytest.raises(Refusal, match=says):
        keys.signer()


def test_a_key_that_others_can_read_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    keys.signer()
    monkeypatch.setenv(keys.VARIABLE, str(keys.private_path()))
    keys.private_path().chmod(0o640)
    with pytest.raises(Refusal, match="can be read by others"):
        keys.signer()


def test_a_key_that_cannot_sign_leaves_the_evidence_unsigned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(keys.VARIABLE, str(tmp_path / "none"))
    folder = run(tmp_path, "r")
    assert (folder / "traceability.json").exists() and not (folder / statement.FILE).exists()


@pytest.mark.parametrize(
    ("content", "says"), [(None, "there is no public key"), ("x", "is not a public key in PEM format")]
)
def test_a_public_key_that_is_none_is_refused(tmp_path: Path, content: str | None, says: str) -> None:
    if content:
        (tmp_path / "key.pub").write_text(content)
    with pytest.raises(Refusal, match=says):
        keys.verifier(tmp_path / "key.pub")


DOCUMENTED = re.compile(r"<!-- verify with common tools -->\n```bash\n(.*?)```", re.S)


def by_hand(folder: Path) -> subprocess.CompletedProcess[str]:
    """The way that docs/reading-the-report.md shows, run as it stands there."""
    match = DOCUMENTED.search((ROOT / "docs/reading-the-report.md").read_text())
    assert match
    environment = {**os.environ, "PUBLIC_KEY": str(keys.public_path())}
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", match[1]],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is missing")
def test_common_tools_verify_it_too(folder: Path) -> None:
    done = by_hand(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("Signature Verified Successfully") == 2
    assert "traceability.json: OK" in done.stdout


@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is missing")
@pytest.mark.parametrize("fault", [payload_changed, lambda f: flip(f / "junit.xml")])
def test_common_tools_see_what_was_altered(folder: Path, fault: Callable[[Path], None]) -> None:
    fault(folder)
    assert by_hand(folder).returncode != 0


def test_every_later_run_of_a_folder_verifies_though_latest_is_another_name(tmp_path: Path) -> None:
    folders = []
    for number, name in enumerate(("first", "second", "third")):
        folders.append(run(tmp_path, name, 20 + number))
        latest = folders[-1].parent / "latest"
        latest.unlink(missing_ok=True)
        latest.symlink_to(name)
    assert payloads(folders[2])[1]["predicate"]["previous"]["run"] == "second"
    for runs, folder in enumerate(folders, 1):
        found = checked(folder)
        assert (found.problems, found.runs) == ([], runs)
