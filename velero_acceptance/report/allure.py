"""The Allure report: figures for it at the end of a run, and its page, made by npm's `allure`.

Its verdicts are Allure's; the suite's are in traceability.json. A machine without Node lacks only this report.
"""

import json
import os
import re
import shutil
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from velero_acceptance.core.errors import AcceptanceError, Refusal
from velero_acceptance.core.installation import ROOT
from velero_acceptance.core.programs import execute
from velero_acceptance.core.timeouts import seconds
from velero_acceptance.report.build import Report
from velero_acceptance.report.html import finished

SOURCE = ROOT / "allure-report"
# Units of performance; counts of things are none.
PERFORMANCE = ("s", "GB", "MB", "MiB", "CPU")
RESULTS, FILE, HISTORY = "allure-results", "allure.html", "allure-history.jsonl"
POLICY = "default-src 'unsafe-inline' 'unsafe-eval' data: blob:; form-action 'none'"
FOREIGN_SCRIPT = re.compile(r'<script\b[^>]*\bsrc="https?:[^>]*></script>')
OLDEST_NODE = 20


def write_performance(report: Report, results: Path) -> None:
    """Write measurements and environment next to the results of Allure's plugin, if there are any."""
    if not results.is_dir():
        return
    start = round(datetime.fromisoformat(report.run.started).timestamp() * 1000)
    stop = round(finished(report).timestamp() * 1000)
    figures = [
        {"id": name, "key": name, "value": m.value, "start": start, "stop": stop}
        for row in report.criteria
        for m in row.decisive()
        if m.unit in PERFORMANCE and (name := f"{row.id} {m.name}")
    ]
    (results / "performance.json").write_text(json.dumps(figures, indent=1) + "\n")
    lines = [f"{key.replace(' ', '_')}={' '.join(value.split())}\n" for key, value in report.environment.items()]
    (results / "environment.properties").write_text("".join(lines))


def generate(folder: Path) -> Path:
    """Make the page of the run in *folder*; return its path. Raises Refusal without Node or results."""
    folder = folder.absolute()  # Node runs in another folder
    results = folder / RESULTS
    if not any(results.glob("*-result.json")):
        raise Refusal(
            f"{results} holds no results of this run for Allure: it needs `pip install 'velero-acceptance[report]'`"
        )
    node = _node()
    lock, installed = SOURCE / "package-lock.json", SOURCE / "node_modules" / ".installed"
    if not installed.exists() or installed.read_text() != lock.read_text():
        _run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], seconds("allure_installed"))
        installed.write_text(lock.read_text())
    output = folder / ".allure"
    _run(
        [node, str(SOURCE / "node_modules/allure/cli.js"), "generate", "--config", str(SOURCE / "allurerc.mjs")],
        seconds("allure_generated"),
        ACCEPTANCE_RUN_FOLDER=str(folder),
        ACCEPTANCE_ALLURE_OUTPUT=str(output),
        ACCEPTANCE_ALLURE_HISTORY=str(folder.parent / HISTORY),
    )
    made = next(iter(sorted(output.rglob("index.html"))), None)
    if made is None:
        raise AcceptanceError(f"allure made no report of {results}")
    (folder / FILE).write_text(_kept_offline(made.read_text()))
    shutil.rmtree(output)
    return folder / FILE


def _kept_offline(text: str) -> str:
    """The page without external scripts, and with a policy against requests: allure's own page reports each visit."""
    head = "<head>"
    if head not in text:
        raise AcceptanceError("allure made a page without a head: its version is not the one that is pinned")
    policy = f'{head}<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
    return FOREIGN_SCRIPT.sub("", text).replace(head, policy, 1)


def _node() -> str:
    """The path of Node; raises Refusal when it is missing or too old."""
    node = shutil.which("node")
    if node is None or shutil.which("npm") is None:
        raise Refusal(f"the Allure report needs Node {OLDEST_NODE} or later with npm, which is not installed")
    version = ""
    with suppress(AcceptanceError):
        version = execute(node, "--version", timeout=seconds("local_call")).text.strip()
    number = re.match(r"v(\d+)\.", version)
    if number is None or int(number[1]) < OLDEST_NODE:
        raise Refusal(f"the Allure report needs Node {OLDEST_NODE} or later; this is {version or 'an unknown version'}")
    return node


def _run(command: list[str], seconds: float, **variables: str) -> None:
    environment = {**os.environ, "NO_COLOR": "1", **variables}
    done = execute(*command, timeout=seconds, folder=SOURCE, environment=environment)
    if done.code != 0:
        said = [line for line in (done.stderr or done.text).splitlines() if line.strip()]
        raise AcceptanceError(f"{' '.join(command[:2])} failed: {' | '.join(said[:3])}")
