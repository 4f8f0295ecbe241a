"""The acceptance command: one sentence and a documented exit code for every bad call."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
COMMAND = Path(sys.prefix) / "bin/acceptance"


def call(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, *arguments], cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize(
    ("arguments", "environment", "code", "says"),
    [
        (("fly",), {}, 2, "No such command 'fly'"),
        (("lab", "fly"), {}, 2, "No such command 'fly'"),
        (("lint", "--hard"), {}, 2, "No such option"),
        (("lab", "logs"), {}, 2, "Missing argument"),
        (("lab", "status"), {"XDG_STATE_HOME": "/nonexistent"}, 1, "there is no lab"),
        (("lab", "kubeconfig"), {"XDG_STATE_HOME": "/nonexistent"}, 1, "there is no lab"),
        (("lab", "shell"), {"XDG_STATE_HOME": "/nonexistent"}, 1, "there is no lab"),
        (("lab", "logs", "etcd"), {"XDG_STATE_HOME": "/nonexistent"}, 2, "no log of 'etcd'"),
        (("lab", "up"), {"ACCEPTANCE_LAB_NODES": "many"}, 2, "the setting nodes of LabSettings is not valid"),
        (("sweep",), {"XDG_STATE_HOME": "/nonexistent"}, 2, "the lab is not up"),
        (("sweep",), {"ACCEPTANCE_TARGET": "mars"}, 2, "target: Input should be"),
        (("estimate",), {"XDG_STATE_HOME": "/nonexistent"}, 2, "the lab is not up"),
        (("sizes",), {"XDG_STATE_HOME": "/nonexistent"}, 2, "the lab is not up"),
        (("reliability",), {"XDG_STATE_HOME": "/nonexistent"}, 2, "the lab is not up"),
        (("capacity",), {"XDG_STATE_HOME": "/nonexistent"}, 2, "the lab is not up"),
        (("sweep", "--target", "mars"), {}, 2, "target: Input should be"),
        *(
            ((command, "--target", "current"), {"ACCEPTANCE_TARGET": "lab"}, 2, "no context is on the allow-list")
            for command in ("sweep", "unlock", "estimate", "sizes", "capacity", "reliability", "doctor")
        ),
        (("capacity", "--limit", "0"), {}, 2, "Invalid value for '--limit'"),
        (("lint", "--age-key"), {}, 2, "Option '--age-key' requires an argument"),
    ],
)
def test_a_bad_call_is_one_sentence(
    arguments: tuple[str, ...], environment: dict[str, str], code: int, says: str
) -> None:
    done = call(*arguments, **environment)
    assert done.returncode == code, done.stdout + done.stderr
    assert done.stderr.startswith("acceptance: ") and says in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr


def test_no_lab_is_no_failure_to_take_it_down(tmp_path: Path) -> None:
    done = call("lab", "down", XDG_STATE_HOME=str(tmp_path), ACCEPTANCE_LAB_NAME="none")
    assert (done.returncode, done.stdout) == (0, "There is no lab.\n")
    assert list(tmp_path.iterdir()) == []


def test_lint_is_green_and_needs_no_cluster() -> None:
    done = call("lint", XDG_STATE_HOME="/nonexistent")
    assert (done.returncode, done.stdout) == (0, "Register, features and steps agree.\n")


def test_the_register_is_listed_and_its_schema_printed() -> None:
    assert "AC-004-05" in call("criteria").stdout
    assert call("criteria", "--schema").stdout == (ROOT / "criteria/schema.json").read_text()
