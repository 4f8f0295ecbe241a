"""pytest in a new process that has its imports behind it: a hundred runs would each spend a second on them."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

# No plugins of pytest: it has to import those itself, to rewrite what they assert.
IMPORTED = (
    "pytest",
    "velero_acceptance.report.outputs",
    "velero_acceptance.report.attestation.keys",
    "velero_acceptance.target.selection",
    "rich.table",
)
_forkserver = multiprocessing.get_context("forkserver")
_forkserver.set_forkserver_preload(list(IMPORTED))


def run_pytest(
    arguments: Sequence[str], *, folder: Path, environment: Mapping[str, str], seconds: float
) -> subprocess.CompletedProcess[str]:
    """As ``python -m pytest`` in *folder*, in no other *environment*; subprocess.TimeoutExpired after *seconds*."""
    said = [folder / ".stdout", folder / ".stderr"]
    process = _forkserver.Process(target=_run, args=(list(arguments), folder, dict(environment), said))
    process.start()
    process.join(seconds)
    if process.exitcode is None:
        process.kill()
        process.join()
        raise subprocess.TimeoutExpired(list(arguments), seconds)
    out, err = (path.read_text() for path in said)
    return subprocess.CompletedProcess(list(arguments), process.exitcode, out, err)


def _run(arguments: list[str], folder: Path, environment: dict[str, str], said: list[Path]) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path.insert(0, str(folder))
    sys.argv = ["pytest", *arguments]
    for number, path in enumerate(said, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    sys.exit(int(pytest.main(arguments)))
