"""promtool, which comes with Prometheus: unit tests of alert rules."""

from __future__ import annotations

import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import yaml

from velero_acceptance.drivers.kinds import Json

CALL_SECONDS = 120.0
# What a test file calls the rules that it tests.
RULES = "rules.yaml"


@dataclass(frozen=True)
class PromtoolResult:
    """Whether all went well, and promtool's words."""

    passed: bool
    words: str


def rules_of(manifest: Path) -> Json:
    """The rule file that a PrometheusRule stands for."""
    return dict(yaml.safe_load(manifest.read_text())["spec"])


def judge(program: Path, rules: Json, tests: Path) -> PromtoolResult:
    """Check *rules* and run the unit tests of the file *tests* on them."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / RULES).write_text(yaml.safe_dump(rules))
        (folder / tests.name).write_text(tests.read_text())
        calls = (("check", "rules", RULES), ("test", "rules", tests.name))
        done = [_run(program, folder, *call) for call in calls]
    return PromtoolResult(
        all(call.returncode == 0 for call in done), "\n".join(f"{call.stdout}{call.stderr}".strip() for call in done)
    )


def _run(program: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program.absolute(), *arguments], cwd=folder, capture_output=True, text=True, timeout=CALL_SECONDS
    )
