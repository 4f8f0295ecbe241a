"""A second lab, with a network and ports of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lab.lifecycle import Lab
from lab.settings import LabSettings
from velero_acceptance.core.waiting import poll

SETTINGS = {
    "ACCEPTANCE_LAB_NAME": "second",
    "ACCEPTANCE_LAB_NETWORK": "10.78.0.0/24",
    "ACCEPTANCE_LAB_API_PORT": "26443",
    "ACCEPTANCE_LAB_S3_PORT": "29000",
    "ACCEPTANCE_LAB_S3_DIRECT_PORT": "29001",
    "ACCEPTANCE_LAB_TOXIPROXY_PORT": "28474",
    "ACCEPTANCE_LAB_PROMETHEUS_PORT": "29090",
}


STEP_SECONDS = 120.0


@dataclass
class Second:
    """The second lab, by its command line and, for a look inside, by its handles."""

    log: Path
    lab: Lab = field(default_factory=lambda: Lab(LabSettings()))
    target: str = "lab"

    def start(self, command: str) -> subprocess.Popen[str]:
        """Start ``acceptance lab COMMAND`` (or another target's) with its output in the log."""
        program = Path(sys.prefix) / "bin/acceptance"
        with self.log.open("w") as log:
            return subprocess.Popen([program, self.target, command], stdout=log, stderr=log, text=True)

    def run(self, command: str) -> tuple[int, str]:
        """Exit code and output of that command."""
        code = self.start(command).wait(timeout=600)
        return code, self.log.read_text()

    def kill_at(self, moment: str) -> None:
        """Start ``up`` and end it with SIGKILL right after it has printed *moment*."""
        up = self.start("up")
        poll(
            self.log.read_text,
            until=lambda text: moment in text,
            terminal=lambda text: f"up ended: {text}" if up.poll() is not None else None,
            event=f"up has passed {moment!r}",
            timeout=STEP_SECONDS,
            interval=0.05,
        )
        up.kill()
        up.wait()


@pytest.fixture
def second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Second]:
    """The second lab; it is down before and after."""
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    found = Second(tmp_path / "log")
    found.run("down")
    yield found
    if os.environ.get("KEEP_LAB") is None:
        found.run("down")
