"""The wheel, installed into an empty environment: everything runs from any folder, and nothing is in anybody's way."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import sample_runs

ROOT = Path(__file__).parents[1]
MEGABYTES = 200
# pip's own, which every environment has.
NOT_OURS = {"pip", "setuptools", "pkg_resources", "_distutils_hack"}


@dataclass(frozen=True)
class Installed:
    """An environment with the wheel, and an empty folder to work in."""

    environment: Path
    folder: Path

    def call(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        place = {"HOME": str(self.folder), "PATH": f"{self.environment / 'bin'}:/usr/bin:/bin", "COLUMNS": "120"}
        command = [str(self.environment / "bin" / program), *arguments]
        return subprocess.run(command, cwd=self.folder, env=place, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", str(ROOT)]
    subprocess.run([*build, "--wheel-dir", str(folder)], check=True, timeout=120)
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """From the package index, as a user does."""
    folder = tmp_path_factory.mktemp("installed")
    environment = folder / "environment"
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True, timeout=120)
    pip = [str(environment / "bin/pip"), "install", "--quiet", "--disable-pip-version-check", str(wheel)]
    subprocess.run(pip, check=True, timeout=300)
    (folder / "work").mkdir()
    return Installed(environment, folder / "work")


def test_it_holds_one_package_and_no_tests(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"velero_acceptance"}
    assert not [name for name in names if "/tests/" in name or "node_modules" in name]
    for name in ("conftest.py", "pyproject.toml", "criteria/errata.yaml", "lab/charts/velero/Chart.yaml",
                 "deploy/rbac/observe.yaml", "gitops/README.md"):  # fmt: skip
        assert f"velero_acceptance/data/{name}" in names


def test_the_core_is_small(installed: Installed) -> None:
    packages = installed.environment / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
    ours = [path for path in packages.iterdir() if path.name.partition("-")[0] not in NOT_OURS]
    files = (file for top in ours for file in ([top] if top.is_file() else top.rglob("*")) if file.is_file())
    assert sum(file.stat().st_blocks * 512 for file in files) < MEGABYTES * 1_000_000


def test_the_command_runs_from_any_folder(installed: Installed) -> None:
    assert installed.call("acceptance", "--version").stdout == "0.2.0\n"
    assert installed.call("python", "-m", "velero_acceptance", "--version").stdout == "0.2.0\n"
    done = installed.call("acceptance", "lint")
    assert (done.returncode, done.stdout) == (0, "Register, features and steps agree.\n"), done.stderr
    assert "AC-004-05" in installed.call("acceptance", "criteria").stdout


@pytest.mark.parametrize("command", [("acceptance", "run"), ("pytest", "--acceptance")])
def test_the_features_are_collected(installed: Installed, command: tuple[str, str]) -> None:
    done = installed.call(*command, "--collect-only", "-q")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "features/REQ-006-retention/AC-006-01-ttl.feature::" in done.stdout
    chosen = installed.call(*command, "--collect-only", "-q", "features/REQ-006-retention/AC-006-01-ttl.feature")
    assert 0 < chosen.stdout.count(".feature::") < done.stdout.count(".feature::")


def test_options_have_their_short_names_in_the_command_alone(installed: Installed) -> None:
    few = installed.call("acceptance", "run", "--collect-only", "-q", "--profile", "observe").stdout.count("::")
    every = installed.call("acceptance", "run", "--collect-only", "-q").stdout.count("::")
    assert 0 < few < every
    done = installed.call("pytest", "--acceptance", "--collect-only", "-q", "--acceptance-profile=observe")
    assert done.stdout.count("::") == few
    assert installed.call("pytest", "--acceptance", "--collect-only", "-q", "--profile=observe").returncode == 4


def test_the_plugin_is_silent_until_it_is_asked(installed: Installed) -> None:
    (installed.folder / "test_own.py").write_text("def test_own(): pass\n")
    done = installed.call("pytest", "-q", "test_own.py")
    assert done.returncode == 0 and "acceptance" not in done.stdout
    shown = installed.call("pytest", "--help").stdout
    assert "--acceptance " in shown and "--acceptance-profile" not in shown
    loaded = "import sys, pytest; pytest.main(['-q', 'test_own.py']); assert 'pydantic' not in sys.modules"
    assert installed.call("python", "-c", loaded).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("doctor",), "pip install 'velero-acceptance[lab]'"),
        (("doctor", "--target", "current"), "no context is on the allow-list"),
        (("lab", "status"), "pip install 'velero-acceptance[lab]'"),
    ],
)
def test_without_a_cluster_it_is_refused_in_one_sentence(
    installed: Installed, arguments: tuple[str, ...], says: str
) -> None:
    done = installed.call("acceptance", *arguments)
    assert done.returncode == 2
    assert says in done.stderr and done.stderr.count("\n") == 1


def test_a_run_without_a_cluster_is_refused_and_leaves_its_reports_where_it_was_started(installed: Installed) -> None:
    done = installed.call("acceptance", "run", "-k", "ttl")
    assert done.returncode == 4
    assert "refused: " in done.stdout + done.stderr
    assert not list((installed.environment / "lib").rglob("reports"))


def test_the_report_of_a_run_is_made_again(installed: Installed) -> None:
    sample_runs.run(installed.folder / "reports", "sample", 3)
    page = installed.folder / "reports/sample/traceability.html"
    page.unlink(missing_ok=True)
    done = installed.call("acceptance", "report", "html", "sample")
    assert done.returncode == 0, done.stderr
    assert "AC-003-01" in page.read_text()


def test_nothing_of_the_checkout_is_used(installed: Installed) -> None:
    code = "import velero_acceptance, sys; from velero_acceptance.core.installation import ROOT; print(ROOT)"
    found = Path(installed.call("python", "-c", code).stdout.strip())
    assert found.is_relative_to(installed.environment) and os.fspath(ROOT) not in os.fspath(found)
