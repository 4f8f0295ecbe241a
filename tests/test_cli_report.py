"""`acceptance report …` and `acceptance verify`: what they say and their exit codes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from tests.commands import ROOT
from tests.sample_runs import STARTED, run
from velero_acceptance.cli.main import main
from velero_acceptance.criteria import controls, load
from velero_acceptance.report.attestation import keys


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    """Two runs, the later one red."""
    run(tmp_path / "reports", "good")
    run(tmp_path / "reports", "bad", 31, started=STARTED + timedelta(hours=1))
    (tmp_path / "reports/latest").symlink_to("bad")
    return tmp_path / "reports"


@dataclass
class Done:
    """How a call ended."""

    code: int
    out: str
    err: str


Call = Callable[..., Done]


@pytest.fixture
def call(reports: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """The command line, called in the folder that holds reports/."""
    monkeypatch.chdir(reports.parent)

    def called(*arguments: str | Path) -> Done:
        monkeypatch.setattr(sys, "argv", ["acceptance", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return Done(int(ended.value.code or 0), *capsys.readouterr())

    return called


def test_the_page_is_made_again(reports: Path, call: Call) -> None:
    page = reports / "bad/traceability.html"
    before = page.read_text()
    page.unlink()
    done = call("report", "html")
    assert done.code == 0, done.err
    assert page.read_text() == before and "VERIFIED → FAILED" in before
    assert done.out.strip() == f"made {page.resolve()}"


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("good", "bad"), 1, "worse"),
        (("bad", "good"), 0, "nothing got worse"),
        (("good", "good"), 0, "nothing got worse"),
    ],
)
def test_diff_follows_what_got_worse(call: Call, arguments: tuple[str, str], code: int, says: str) -> None:
    done = call("report", "diff", *arguments)
    assert done.code == code, done.err
    assert says in done.out
    if arguments == ("good", "bad"):
        assert "initiation 3 → 31 s (worse)" in done.out


def test_verify_says_what_it_verified(reports: Path, call: Call) -> None:
    done = call("verify", "bad")
    assert done.code == 0, done.err
    assert "a chain of 2 runs verified" in done.out
    assert done.out.startswith("run bad: ") and "target " in done.out and "started " in done.out
    key = reports / "signer.pub"
    keys.public_path().rename(key)
    assert call("verify", "bad", "--key", key).code == 0


def test_altered_evidence_is_a_failure_of_one_sentence(reports: Path, call: Call) -> None:
    (reports / "bad/junit.xml").write_text("<testsuites></testsuites>")
    done = call("verify", "bad")
    assert done.code == 1
    assert done.err == "acceptance: junit.xml was altered after it was signed\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("report", "html", "nosuchrun"), "there is no report folder nosuchrun"),
        (("report", "html", "old"), "has schema version 0.1; this suite reads"),
        (("report", "diff", "good", "empty"), "empty holds no traceability.json"),
        (("report", "allure", "good"), "holds no results of this run for Allure"),
        (("verify", "empty"), "empty is not signed"),
        (("verify", "good", "--key", "nosuchkey"), "there is no public key nosuchkey"),
        (("report", "diff", "good"), "Missing argument"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_sentence(
    reports: Path, call: Call, arguments: tuple[str, ...], says: str
) -> None:
    (reports / "empty").mkdir()
    (reports / "old").mkdir()
    (reports / "old/traceability.json").write_text('{"schema_version": "0.1"}')
    done = call(*arguments)
    assert done.code == 2, done.out
    assert says in done.err
    assert len(done.err.strip().splitlines()) == 1, done.err


def test_the_page_of_controls_has_the_table_of_the_register(call: Call) -> None:
    table = call("report", "controls").out
    assert table == controls.markdown(controls.load(load.load()))
    assert table in (ROOT / "docs/controls.md").read_text()
