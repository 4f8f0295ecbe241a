"""promtool, which comes with Prometheus: unit tests of alert rules."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import yaml

from velero_acceptance.core.programs import execute
from velero_acceptance.core.timeouts import seconds
from velero_acceptance.drivers.kinds import Json

# The rule file that the test files name.
RULES = "rules.yaml"


@dataclass(frozen=True)
class PromtoolResult:
    """Whether every check and test passed, and promtool's output."""

    passed: bool
    words: str


def rules_of(manifest: Path) -> Json:
    """The rule file in a PrometheusRule."""
    return dict(yaml.safe_load(manifest.read_text())["spec"])


def judge(program: Path, rules: Json, tests: Path) -> PromtoolResult:
    """Check *rules* and run the unit tests of the file *tests* on them."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / RULES).write_text(yaml.safe_dump(rules))
        (folder / tests.name).write_text(tests.read_text())
        calls = (("check", "rules", RULES), ("test", "rules", tests.name))
        done = [execute(program.absolute(), *call, timeout=seconds("promtool_call"), folder=folder) for call in calls]
    words = "\n".join(f"{call.text}{call.stderr}".strip() for call in done)
    return PromtoolResult(all(call.code == 0 for call in done), words)
