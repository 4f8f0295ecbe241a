"""`make acceptance`: options are refused before anything is brought up."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("LABS=9",), "less than or equal to 4"),
        (("LABS=1", "PYTEST_ARGS=--data-size=1"), "data_size: "),
        (("LABS=4", "WORKERS=2"), "4 labs need as many workers"),
        (("TARGET=kind", "PYTEST_ARGS=--hours=0"), "hours: "),
        (("PYTEST_ARGS=-k typo",), "no tests collected"),
    ],
)
def test_options_are_refused_before_anything_is_brought_up(
    tmp_path: Path, arguments: tuple[str, ...], says: str
) -> None:
    if os.geteuid() != 0:
        pytest.skip("make acceptance takes root")
    (tools := tmp_path / "bin").mkdir()
    (tools / "pytest").write_text(f'#!/bin/sh\nexec {sys.executable} -m pytest "$@"\n')
    (tools / "acceptance").write_text(f"#!/bin/sh\ntouch {tmp_path}/up\n")
    for program in tools.iterdir():
        program.chmod(0o755)
    (tmp_path / "ready").touch()
    done = subprocess.run(
        ["make", "acceptance", f"VENV={tmp_path}", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2 and says in done.stderr, done.stdout + done.stderr
    assert not (tmp_path / "up").exists()
