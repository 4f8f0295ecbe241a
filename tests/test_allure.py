"""The Allure report up to the point where Node is needed; lab/tests/test_pages.py makes a real one."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.sample_runs import report_of, scenarios
from velero_acceptance.core.errors import AcceptanceError, Refusal
from velero_acceptance.report import allure


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run folder with one Allure result."""
    scenarios(tmp_path, "AC-003-01", 3)
    (tmp_path / allure.RESULTS).mkdir()
    (tmp_path / allure.RESULTS / "1-result.json").write_text("{}")
    return tmp_path


def program(folder: Path, name: str, script: str) -> None:
    path = folder / "bin" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_times_and_sizes_go_to_allure(folder: Path) -> None:
    allure.write_performance(report_of(folder), folder / allure.RESULTS)
    figures = json.loads((folder / allure.RESULTS / "performance.json").read_text())
    assert {figure["key"]: figure["value"] for figure in figures} == {"AC-003-01 initiation": 3}
    assert figures[0]["stop"] - figures[0]["start"] == 60_000
    environment = (folder / allure.RESULTS / "environment.properties").read_text()
    assert environment == "Velero=v1.16.2\n"


def test_a_run_without_allure_results_gets_none(folder: Path, tmp_path: Path) -> None:
    allure.write_performance(report_of(folder), tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize(
    ("node", "says"),
    [
        (None, "needs Node 20 or later with npm, which is not installed"),
        ("echo v18.20.4", "needs Node 20 or later; this is v18.20.4"),
        ("exit 1", "needs Node 20 or later; this is an unknown version"),
    ],
)
def test_without_a_node_it_is_one_sentence(
    folder: Path, monkeypatch: pytest.MonkeyPatch, node: str | None, says: str
) -> None:
    (folder / "bin").mkdir()
    if node:
        program(folder, "node", node)
        program(folder, "npm", "exit 0")
    monkeypatch.setenv("PATH", str(folder / "bin"))
    with pytest.raises(Refusal, match=says) as refusal:
        allure.generate(folder)
    assert "\n" not in str(refusal.value)


def test_a_registry_that_is_away_is_one_sentence(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program(folder, "node", "echo v20.1.0")
    program(folder, "npm", "echo 'npm error network' >&2; exit 1")
    source = tmp_path / "allure-report"
    source.mkdir()
    (source / "package-lock.json").write_text("{}")
    monkeypatch.setattr(allure, "SOURCE", source)
    monkeypatch.setenv("PATH", f"{folder / 'bin'}:/usr/bin:/bin")
    with pytest.raises(AcceptanceError, match="npm ci failed: npm error network"):
        allure.generate(folder)


def test_the_page_reaches_nobody() -> None:
    page = allure._kept_offline('<html><head><title>x</title></head><script async src="https://a.example/x"></script>')
    assert "a.example" not in page
    assert page.startswith('<html><head><meta http-equiv="Content-Security-Policy" content="default-src \'unsafe')
    with pytest.raises(AcceptanceError, match="without a head"):
        allure._kept_offline("<html></html>")


def test_a_run_that_has_nothing_to_show_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="holds no results of this run for Allure"):
        allure.generate(tmp_path)


def test_versions_are_pinned_and_no_address_is() -> None:
    wanted = json.loads((allure.SOURCE / "package.json").read_text())["dependencies"]
    lock = (allure.SOURCE / "package-lock.json").read_text()
    packages = json.loads(lock)["packages"]
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in wanted.values())
    assert packages["node_modules/allure"]["version"] == wanted["allure"]
    assert all("integrity" in package for name, package in packages.items() if name)
    assert '"resolved"' not in lock
