"""The commands of README and docs that need a lab, run on the one that is up."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.commands import ROOT, commands


@pytest.mark.parametrize("command", commands("lab"))
def test_command(command: str) -> None:
    path = f"{sys.prefix}/bin:{os.environ['PATH']}"
    done = subprocess.run(
        command, shell=True, cwd=ROOT, env={**os.environ, "PATH": path}, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
