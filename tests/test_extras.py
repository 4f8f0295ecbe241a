"""Without a package of an optional extra, whatever needs it says in one sentence how to install it."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path
from typing import Any, cast

import pytest
from pydantic import SecretStr

from tests.small_suite import Suite
from tests.test_cli import call
from velero_acceptance.checks import metrics, transport
from velero_acceptance.core.errors import Refusal
from velero_acceptance.core.installation import LAB, lab_packages, missing_package
from velero_acceptance.core.settings import S3Access
from velero_acceptance.drivers.minio_admin import Users
from velero_acceptance.preconditions.probes import TargetProbe, missing

SENTENCE = "{} is not installed: `pip install 'velero-acceptance[lab]'`"
ACCESS = S3Access(endpoint="https://s3", access_key=SecretStr("a"), secret_key=SecretStr("b"))


@pytest.fixture
def absent(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of the packages is installed, and nothing that uses one is imported."""
    for name in list(sys.modules):
        if name.partition(".")[0] in {*LAB, "lab"}:
            monkeypatch.delitem(sys.modules, name)
    for name in LAB:
        monkeypatch.setitem(sys.modules, name, None)


class Place:
    """An environment that has everything but the packages."""

    capture = ("sh",)
    gitops = Path(__file__).parents[1] / "gitops"
    s3 = ACCESS


def test_what_is_installed_is_not_lacking() -> None:
    assert [missing_package(package) for package in sorted(LAB)] == [""] * len(LAB)


@pytest.mark.parametrize(
    ("need", "package"),
    [("s3_administrator", "minio"), ("capture_command", "scapy"), ("monitoring", "promql_parser")],
)
@pytest.mark.usefixtures("absent")
def test_a_need_names_the_package(need: str, package: str) -> None:
    probe = TargetProbe(cast(Any, Place()), *(cast(Any, None),) * 4)
    assert missing(need, probe).startswith(SENTENCE.format(package))


@pytest.mark.usefixtures("absent")
def test_what_uses_a_package_refuses() -> None:
    for package, use in (
        ("minio", lambda: Users(ACCESS).capacity("b")),
        ("promql_parser", lambda: metrics.metrics_of("up")),
        ("scapy", lambda: list(transport.read([]))),
    ):
        with pytest.raises(Refusal, match=re.escape(SENTENCE.format(package))):
            use()
    assert not Users(ACCESS).permitted()


def test_a_missing_module_of_the_suite_is_no_extra() -> None:
    with pytest.raises(ModuleNotFoundError, match="no_such_module"), lab_packages():
        importlib.import_module("lab.no_such_module")


def test_a_run_needs_no_allure(suite: Suite) -> None:
    (suite.folder / "without_allure.py").write_text("import sys\nsys.modules['allure'] = None\n")
    done = suite.run("-p", "without_allure", "-p", "no:allure_pytest", "--allure-page")
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (suite.folder / "reports/r/allure-results").exists()
    assert "Allure's report was not made" in done.stdout and "velero-acceptance[report]" in done.stdout


def test_the_commands_start_without_them(tmp_path: Path) -> None:
    """Each stand-in fails when it is imported."""
    for name in (*LAB, "allure", "allure_commons"):
        (tmp_path / f"{name}.py").write_text("raise ImportError(__name__)")
    path = f"{tmp_path}:{Path(__file__).parents[1]}"
    assert call("lint", PYTHONPATH=path).returncode == 0
