"""The commands of README and docs that need a lab, run on the one that is up."""

from __future__ import annotations

import pytest

from tests.commands import commands, run


@pytest.mark.parametrize("command", commands("lab"))
def test_command(command: str) -> None:
    done = run(command, seconds=600)
    assert done.returncode == 0, done.stdout + done.stderr
