"""What README and docs say is so: commands run, links lead somewhere, options, settings and messages exist."""

from __future__ import annotations

import ast
import json
import re
import shlex
import shutil
import tomllib
from pathlib import Path

import pytest
import yaml

from lab.kind.settings import KindSettings
from lab.settings import LabSettings
from tests.commands import ROOT, commands, marks, run
from velero_acceptance.core.settings import CurrentTarget, Settings
from velero_acceptance.criteria.load import load
from velero_acceptance.evidence.verdicts import Verdict
from velero_acceptance.gherkin.lint import KNOWN_TAGS
from velero_acceptance.report.folders import RENAMED
from velero_acceptance.suite.options import FLAGS, VALUES

PAGES = (
    *sorted(ROOT.glob("*.md")),
    *(path for folder in ("docs", "gitops", ".github") for path in sorted((ROOT / folder).rglob("*.md"))),
    ROOT / "reports/README.md",
)
LINK = re.compile(r"\]\((?![a-z]+:)([^)#]*)(?:#([^)]*))?\)")
CODE = re.compile(r"^```.*?^```$", re.M | re.S)


def test_every_command_is_run_by_some_test() -> None:
    """``lab``, ``kind``, ``current``, ``suite`` ones on clusters, ``make`` by .ci/run; ``docker`` ones by nobody."""
    assert marks() == {"", "make", "collect", "install", "lab", "kind", "current", "suite", "docker"}
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


SELECTIONS = [command for command in commands("collect") if command.startswith("pytest ")]


@pytest.fixture(scope="module")
def selected() -> dict[str, tuple[int, str]]:
    """The exit code and the output of every selection that is shown, by its command."""
    shown = shlex.join(SELECTIONS)
    done = run(f"python -c {shlex.quote(COLLECT)} {shown}", seconds=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return {command: (code, out) for command, (code, out) in json.loads(done.stdout).items()}


@pytest.mark.parametrize("command", SELECTIONS)
def test_selections_select_something(command: str, selected: dict[str, tuple[int, str]]) -> None:
    code, out = selected[command]
    assert code == 0, out
    assert re.search(r"^[1-9]\d*(/\d+)? tests collected", out, re.M), out


@pytest.mark.parametrize("command", sorted(set(commands("collect")) - set(SELECTIONS)))
def test_runs_of_an_installation_select_something(command: str) -> None:
    done = run(f"{command} --collect-only --quiet")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^[1-9]\d*(/\d+)? tests collected", done.stdout, re.M), done.stdout


def test_a_selection_of_nothing_is_seen() -> None:
    done = run(f"python -c {shlex.quote(COLLECT)} 'pytest features -k nosuchscenario'")
    ((code, out),) = json.loads(done.stdout).values()
    assert code == pytest.ExitCode.NO_TESTS_COLLECTED, out


@pytest.mark.parametrize("command", commands("install"))
def test_installations_resolve(command: str) -> None:
    """Without the dependencies, which would have to be fetched; and every extra that is named exists."""
    done = run(f"python -m {command} --dry-run --no-deps --no-build-isolation --quiet")
    assert done.returncode == 0, done.stdout + done.stderr
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = re.findall(r"\[([a-z,]+)\]", command)
    assert {extra for names in named for extra in names.split(",")} <= set(extras)


def anchors(path: Path) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", CODE.sub("", path.read_text()), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    for target, anchor in LINK.findall(CODE.sub("", path.read_text())):
        page = path.parent / target if target else path
        assert page.exists(), f"{path.name} links to {target}"
        assert not anchor or anchor in anchors(page), f"{path.name} links to {target}#{anchor}"


# What somebody meant to fill in, and words that our readers would have to translate.
PLACEHOLDERS = re.compile(r"\b(TODO|FIXME|XXX|TBD|SECONDS|MINUTES|FIGURES?|NUMBERS?)\b")
UNIDIOMATIC = re.compile(
    r"\b(anew|beside|of (its|their|his|our) own|told (of|apart)|at rest|again and again|seen to|looks on)\b", re.I
)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_pages_are_finished_and_idiomatic(path: Path) -> None:
    text = re.sub(r"`[^`\n]*`", "", CODE.sub("", path.read_text()))
    assert [match[0] for words in (PLACEHOLDERS, UNIDIOMATIC) for match in words.finditer(text)] == []


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
    (count,) = re.findall(r"the (\d+)\s+acceptance criteria", readme)
    assert int(count) == len(register)


def test_every_setting_of_the_lab_is_documented() -> None:
    usage = (ROOT / "docs/usage.md").read_text()
    named = set(re.findall(r"`ACCEPTANCE_LAB_([A-Z0-9_]+)`", usage))
    assert named == {name.upper() for name in LabSettings.model_fields}


def test_every_setting_of_the_kind_cluster_is_documented() -> None:
    usage = (ROOT / "docs/usage.md").read_text()
    named = set(re.findall(r"`ACCEPTANCE_KIND_([A-Z0-9_]+)`", usage))
    # What gitops/ and kind-config.yaml say can be chosen in the lab alone.
    fixed = {"NODES", "DEPLOYMENT", "PROMETHEUS", "VELERO_NAMESPACE", "LOCATION", "SCHEDULE", "BUCKET", "PREFIX"}
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


def test_every_option_is_documented() -> None:
    usage = (ROOT / "docs/usage.md").read_text()
    assert set(re.findall(r"^\| `--([a-z-]+)` \|", usage, re.M)) == {*VALUES, *FLAGS}


def test_the_changelog_has_every_renamed_measurement() -> None:
    table = re.findall(r"^\| `([a-z_]+)` \| `([a-z_]+)` \|$", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert dict(table) == RENAMED and len(table) == len(RENAMED)


# -- CONTRIBUTING ---------------------------------------------------------------------------

CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()


def section(heading: str) -> str:
    """The text of a section of CONTRIBUTING.md, up to the next heading of its level."""
    text = CONTRIBUTING[CONTRIBUTING.index(f"\n## {heading}\n") + 1 :]
    return re.split(r"^## ", text, flags=re.M)[1]


def test_the_map_has_every_room_and_every_folder_of_fixtures() -> None:
    named = set(re.findall(r"^\| `([a-z]+)` \|", section("Map"), re.M))
    folders = {path.parent for package in ("velero_acceptance", "fixtures") for path in ROOT.glob(f"{package}/*/*.py")}
    assert named == {path.name for path in folders}


def test_the_glossary_is_short() -> None:
    assert 0 < len(re.findall(r"^\| (?!word )[a-z ]+ \|", section("Glossary"), re.M)) <= 15


def test_every_tag_is_explained() -> None:
    rows = re.findall(r"^\| (`@.*?) \|", CONTRIBUTING, re.M)
    tags = {tag for row in rows for tag in re.findall(r"`@([a-z-]+)(?:…)?`", row)}
    assert tags == {"shares-" if tag.startswith("shares-") else tag for tag in KNOWN_TAGS}


EXAMPLE = re.compile(r"^```\w+ (\S+/\S+)\n(.*?)^```$", re.M | re.S)
COPIED = ("criteria", "features", "fixtures", "gitops", "steps", "tests", "velero_acceptance", "lab", "deploy")


def test_the_new_criterion_can_be_added_as_it_is_shown(tmp_path: Path) -> None:
    unwanted = shutil.ignore_patterns("__pycache__", "tools", "node_modules")
    for name in COPIED:
        shutil.copytree(ROOT / name, tmp_path / name, ignore=unwanted)
    for name in ("conftest.py", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    added = EXAMPLE.findall(section("A new criterion, step by step"))
    for name, text in added:
        with (tmp_path / name).open("a") as file:
            file.write(f"\n{text}")
    (test,) = (name for name, _ in added if name.startswith("tests/"))
    (feature,) = (name for name, _ in added if name.endswith(".feature"))
    for command in ("acceptance lint", f"pytest --noconftest -q {test}", f"pytest --collect-only -q {feature}"):
        done = run(f"cd {tmp_path} && PYTHONPATH={tmp_path} {command}")
        assert done.returncode == 0, done.stdout + done.stderr


# -- messages, templates ----------------------------------------------------------------------


def messages() -> str:
    """Every text of the code."""
    files = [
        path for folder in ("velero_acceptance", "fixtures", "lab", "steps") for path in ROOT.glob(f"{folder}/**/*.py")
    ]
    nodes = (node for path in files for node in ast.walk(ast.parse(path.read_text())))
    return "\n".join(node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))


def test_the_messages_that_troubleshooting_explains_exist() -> None:
    rows = re.findall(r"^\| (.*?) \|", (ROOT / "docs/troubleshooting.md").read_text(), re.M)
    shown = [part.strip(" :") for row in rows for text in re.findall(r"`([^`]+)`", row) for part in text.split("…")]
    known = messages()
    assert len(shown) > 20
    assert [part for part in shown if part not in known] == []


@pytest.mark.parametrize(
    "path", sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("[0-9]*.yml")), ids=lambda path: path.stem
)
def test_issue_forms_are_whole(path: Path) -> None:
    form = yaml.safe_load(path.read_text())
    assert {"name", "description", "body"} <= form.keys()
    fields = [field for field in form["body"] if field["type"] != "markdown"]
    assert len({field["id"] for field in fields}) == len(fields)
    assert all(field["attributes"]["label"] for field in fields)
