"""Rules of the source tree that no linter knows."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
SOURCES = {
    folder: sorted((ROOT / folder).rglob("*.py")) for folder in ("velero_acceptance", "fixtures", "lab", "steps")
}
assert all(SOURCES.values())
EVERY = [path for paths in SOURCES.values() for path in paths]


@pytest.mark.parametrize("path", EVERY, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_nothing_sleeps_outside_waiting(path: Path) -> None:
    if path != ROOT / "velero_acceptance/core/waiting.py":
        assert not re.search(r"\bsleep\(", path.read_text())


def test_fixtures_assert_nothing_about_the_system_under_test() -> None:
    """mypy needs an assert to narrow a type; those carry no message."""
    for path in SOURCES["fixtures"]:
        found = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Assert)]
        assert all("is not None" in ast.unparse(node) for node in found), path.name


@pytest.mark.parametrize("path", SOURCES["steps"], ids=lambda p: p.name)
def test_no_step_calls_a_step(path: Path) -> None:
    tree = ast.parse(path.read_text())
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    steps = {found.name for found in functions if re.search(r"^(given|when|then)\(", _decorators(found), re.M)}
    called = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    assert steps & called == set()


def _decorators(function: ast.FunctionDef) -> str:
    return "\n".join(map(ast.unparse, function.decorator_list))


@pytest.mark.parametrize("path", EVERY, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_no_file_is_too_long(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400


def test_the_lock_names_no_address_and_every_hash() -> None:
    text = (ROOT / "requirements.lock").read_text()
    assert "://" not in text and "--index-url" not in text
    pinned = re.findall(r"^[a-z0-9][a-z0-9._-]*==\S+ \\\n    --hash=sha256:", text, re.M)
    assert len(pinned) == len(re.findall(r"^[a-z0-9]", text, re.M))


def test_go_sources_are_formatted() -> None:
    mains = [str(path) for path in (ROOT / "lab/tools").rglob("*.go")]
    done = subprocess.run(["gofmt", "-l", *mains], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_gitops_holds_no_plaintext_secret() -> None:
    for path in (ROOT / "gitops").rglob("*.yaml"):
        for document in yaml.safe_load_all(path.read_text()):
            if isinstance(document, dict) and document.get("kind") == "Secret":
                assert path.name.endswith(".example.yaml"), path
                assert re.search(r"S3_SECRET_ACCESS_KEY|REPOSITORY_PASSWORD", path.read_text())
