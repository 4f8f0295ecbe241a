"""The commands that README and docs show, by the mark after ``sh`` at their block."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCUMENTS = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md")))
BLOCK = re.compile(r"^```sh *(\w*)\n(.*?)^```$", re.M | re.S)


def commands(mark: str) -> list[str]:
    """Every command of the blocks marked *mark*: what it needs (a ``lab``, ``kind``, ``docker``), ``make``, or none."""
    blocks = (found for path in DOCUMENTS for found in BLOCK.findall(path.read_text()))
    lines = (line.partition(" #")[0].strip() for found, text in blocks if found == mark for line in text.splitlines())
    return [line for line in lines if line]


def marks() -> set[str]:
    """Every mark in use."""
    return {found for path in DOCUMENTS for found, _ in BLOCK.findall(path.read_text())}


def run(command: str, seconds: float = 60) -> subprocess.CompletedProcess[str]:
    """Run *command* in the project's folder, as a reader would who has the environment in PATH."""
    environment = {**os.environ, "PATH": f"{sys.prefix}/bin:{os.environ['PATH']}"}
    return subprocess.run(
        command, shell=True, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=seconds
    )
