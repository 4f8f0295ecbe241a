"""A run that is refused, or in which nothing runs: one true sentence, the documented exit code, and nothing left."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.small_suite import GREEN, HEAD, Suite, scenario

REAL = "prepare._bring_up = lambda *_: None\nprepare._reachable = reachable\n"


def refused(suite: Suite, done: subprocess.CompletedProcess[str], says: str, code: int = 4) -> None:
    said = done.stdout + done.stderr
    assert done.returncode == code, said
    assert says in said and "Traceback" not in said and "INTERNALERROR" not in said, said
    assert "generated xml file" not in said
    assert not (suite.folder / "reports").exists()


def change(suite: Suite, before: str, after: str) -> None:
    """Change what the small suite replaces of the real one."""
    path = suite.folder / "conftest.py"
    assert before in path.read_text()
    path.write_text(path.read_text().replace(before, after))


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("ACCEPTANCE_LAB_NODES", "0", "the setting nodes of LabSettings is not valid: Input should be greater"),
        ("ACCEPTANCE_LAB_NODS", "1", "did you mean ACCEPTANCE_LAB_NODES?"),
    ],
)
def test_a_setting_of_the_lab_that_is_refused(
    suite: Suite, workers: tuple[str, ...], name: str, value: str, says: str
) -> None:
    change(suite, "prepare._bring_up = lambda *_: None\n", "")
    refused(suite, suite.run(*workers, **{name: value}), says)


def test_an_error_of_the_system_while_preparing_is_its_own_cause(suite: Suite) -> None:
    change(suite, "def reachable(found, number):\n", "def reachable(found, number):\n    open('/nonexistent/token')\n")
    done = suite.run()
    refused(suite, done, "No such file or directory: /nonexistent/token", 1)
    assert "make room" not in done.stdout and "cannot be written" not in done.stdout


@pytest.mark.parametrize("kind", ["file", "link", "read-only"])
def test_a_folder_of_reports_that_cannot_be_written(suite: Suite, tmp_path: Path, kind: str) -> None:
    place = tmp_path / "elsewhere"
    if kind == "file":
        place.touch()
    elif kind == "link":
        place.symlink_to("nowhere")
    elif os.geteuid() == 0:
        place = Path("/proc/sys/reports")  # /proc takes no new file, not even from root
    else:
        place.mkdir(mode=0o500)
    done = suite.run(ACCEPTANCE_REPORTS=str(place))
    refused(suite, done, "cannot be made: ")
    assert len(done.stderr.strip().splitlines()) == 1 and "ACCEPTANCE_REPORTS" in done.stderr


def test_a_path_that_is_too_long(suite: Suite) -> None:
    refused(suite, suite.run(ACCEPTANCE_REPORTS="x" * 300), "File name too long")


@pytest.mark.parametrize("content", [b"Nothing of Gherkin", b"\xff\xfe", None])
@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_a_malformed_feature_that_was_not_selected(
    suite: Suite, workers: tuple[str, ...], content: bytes | None
) -> None:
    other = suite.folder / "features/AC-004-05-other.feature"
    if content is None:
        other.symlink_to("nowhere")
    else:
        other.write_bytes(content)
    refused(suite, suite.run(*workers), "AC-004-05-other.feature: ")
    assert not (suite.folder / "begun-main").exists()


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
@pytest.mark.parametrize("arguments", [("-k", "typo"), ("--profile=observe",)])
def test_nothing_selected_brings_nothing_up(suite: Suite, workers: tuple[str, ...], arguments: tuple[str, ...]) -> None:
    refused(suite, suite.run(*workers, *arguments), "no scenario was selected: look at -k, -m and --profile", 5)
    assert not (suite.folder / "begun-main").exists()


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_a_feature_that_cannot_be_collected_brings_nothing_up(suite: Suite, workers: tuple[str, ...]) -> None:
    suite.write(GREEN.replace("a start", "a galaxy"))
    refused(suite, suite.run(*workers), "cannot be collected" if workers else "no step definition fits", 2)
    assert not (suite.folder / "begun-main").exists()


def test_what_others_keep_in_the_folder_stays(suite: Suite) -> None:
    (suite.folder / "reports/r").mkdir(parents=True)
    (suite.folder / "reports/r/notes.txt").touch()
    assert suite.run("-k", "typo").returncode == 5
    assert [path.name for path in (suite.folder / "reports/r").iterdir()] == ["notes.txt"]


PRINTS = """
@given("a start")
def start():
    import logging, sys
    print("printed planted-secret https://me:pl4nted-password@host/")
    print("printed planted-secret", file=sys.stderr)
    logging.getLogger("x").warning("logged planted-secret")
"""


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_no_secret_is_in_the_output_of_a_failing_scenario(suite: Suite, workers: tuple[str, ...]) -> None:
    change(suite, '@given("a start")\ndef start(): pass\n', PRINTS)
    (suite.folder / "leak").write_text("left planted-secret")
    suite.write(HEAD + scenario("Red", "it raises bug"))
    done = suite.run(*workers, "-rA")
    assert done.returncode == 1 and "logged [redacted]" in done.stdout, done.stdout
    files = [path for path in (suite.folder / "reports").rglob("*") if path.is_file()]
    for text in (done.stdout, done.stderr, *(path.read_text(errors="replace") for path in files)):
        assert "planted-secret" not in text and "pl4nted-password" not in text
