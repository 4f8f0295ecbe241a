"""What README and docs say is so: commands run, links lead somewhere, options and settings exist."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from lab.kind.settings import KindSettings
from lab.settings import LabSettings
from tests.commands import DOCUMENTS, ROOT, commands, marks, run
from velero_acceptance.core.settings import CurrentTarget, Settings
from velero_acceptance.criteria.load import load
from velero_acceptance.evidence.verdicts import Verdict

LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


def test_every_command_is_run_by_some_test() -> None:
    """``lab``, ``kind``, ``current``, ``suite`` ones on clusters, ``make`` by .ci/run; ``docker`` ones by nobody."""
    assert marks() == {"", "make", "collect", "lab", "kind", "current", "suite", "docker"}
    ci = (ROOT / ".ci/run").read_text()
    assert commands("make") and all(command in ci for command in commands("make"))


@pytest.mark.parametrize("command", commands(""))
def test_commands_that_need_no_cluster(command: str) -> None:
    done = run(command)
    assert done.returncode == 0, done.stdout + done.stderr


# One process for all of them: most of the time that a selection takes is that of importing the suite.
COLLECT = """
import contextlib, io, json, shlex, sys, pytest
found = {}
for command in sys.argv[1:]:
    program, *arguments = shlex.split(command)
    assert program == "pytest", program
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(out):
        code = pytest.main([*arguments, "--collect-only", "--quiet"])
    found[command] = [code, out.getvalue()]
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def selected() -> dict[str, tuple[int, str]]:
    """The exit code and the output of every selection that is shown, by its command."""
    shown = shlex.join(commands("collect"))
    done = run(f"python -c {shlex.quote(COLLECT)} {shown}", seconds=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return {command: (code, out) for command, (code, out) in json.loads(done.stdout).items()}


@pytest.mark.parametrize("command", commands("collect"))
def test_selections_select_something(command: str, selected: dict[str, tuple[int, str]]) -> None:
    code, out = selected[command]
    assert code == 0, out
    assert re.search(r"^[1-9]\d*(/\d+)? tests collected", out, re.M), out


def test_a_selection_of_nothing_is_seen() -> None:
    done = run(f"python -c {shlex.quote(COLLECT)} 'pytest features -k nosuchscenario'")
    ((code, out),) = json.loads(done.stdout).values()
    assert code == pytest.ExitCode.NO_TESTS_COLLECTED, out


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    for target in LINK.findall(path.read_text()):
        assert (path.parent / target).exists(), f"{path.name} links to {target}"


def test_the_picture_of_the_report_is_small() -> None:
    picture = (ROOT / "docs/images/report.png").read_bytes()
    assert picture.startswith(b"\x89PNG") and len(picture) < 200_000


def test_the_report_in_the_readme_names_real_criteria() -> None:
    register = load().criteria
    readme = (ROOT / "README.md").read_text()
    shown = dict(re.findall(r"^((?:AC|NFR|CLI)-\S+) +(VERIFIED|NOT-COVERED)", readme, re.M))
    assert shown
    for name, verdict in shown.items():
        assert (verdict == Verdict.NOT_COVERED) == register[name].planned


def test_every_setting_of_the_lab_is_documented() -> None:
    usage = (ROOT / "docs/usage.md").read_text()
    named = set(re.findall(r"`ACCEPTANCE_LAB_([A-Z0-9_]+)`", usage))
    assert named == {name.upper() for name in LabSettings.model_fields}


def test_every_setting_of_the_kind_cluster_is_documented() -> None:
    usage = (ROOT / "docs/usage.md").read_text()
    named = set(re.findall(r"`ACCEPTANCE_KIND_([A-Z0-9_]+)`", usage))
    # What gitops/ and kind-config.yaml say can be chosen in the lab alone.
    fixed = {"NODES", "DEPLOYMENT", "VELERO_NAMESPACE", "LOCATION", "SCHEDULE", "BUCKET", "PREFIX"}
    assert named == {name.upper() for name in KindSettings.model_fields} - fixed


def test_every_setting_of_a_cluster_is_documented() -> None:
    usage = (ROOT / "docs/usage.md").read_text()
    assert [
        name for name in CurrentTarget.model_fields if f"`{name}`" not in usage and f"\n{name} =" not in usage
    ] == []


def test_every_setting_of_the_results_is_documented() -> None:
    usage = (ROOT / "docs/usage.md").read_text()
    named = set(re.findall(r"`ACCEPTANCE_(RESULTS(?:_\w+)?)[`=]", usage))
    assert named == {name.upper() for name in Settings.model_fields if name.startswith("results")}


def test_every_page_is_reached_from_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    assert [path.name for path in (ROOT / "docs").glob("*.md") if f"docs/{path.name}" not in readme] == []
