"""The Allure report: figures for it at the end of a run, and its one file, made by npm's `allure`.

Its verdicts are Allure's; ours are in traceability.json. A machine without Node loses this report and nothing else.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from velero_acceptance.core.errors import AcceptanceError, Refusal
from velero_acceptance.core.installation import ROOT
from velero_acceptance.report.build import Report
from velero_acceptance.report.html import finished

SOURCE = ROOT / "allure-report"
# Counts of things are not performance.
PERFORMANCE = ("s", "GB", "MB", "MiB", "CPU")
RESULTS, FILE, HISTORY = "allure-results", "allure.html", "allure-history.jsonl"
POLICY = "default-src 'unsafe-inline' 'unsafe-eval' data: blob:; form-action 'none'"
FOREIGN_SCRIPT = re.compile(r'<script\b[^>]*\bsrc="https?:[^>]*></script>')
OLDEST_NODE = 20
NODE_SECONDS, INSTALL_SECONDS, GENERATE_SECONDS = 60, 600, 300


def write_performance(report: Report, results: Path) -> None:
    """Put what was measured, and where, beside the results that Allure's plugin wrote."""
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
    """Make the report of the run in *folder*; return its path. Raises Refusal without Node or results."""
    folder = folder.absolute()  # Node runs elsewhere
    results = folder / RESULTS
    if not any(results.glob("*-result.json")):
        raise Refusal(f"{results} holds no results: Allure has nothing to show of this run")
    node = _node()
    _install()
    output = folder / ".allure"
    _run(
        [node, str(SOURCE / "node_modules/allure/cli.js"), "generate", "--config", str(SOURCE / "allurerc.mjs")],
        SOURCE,
        GENERATE_SECONDS,
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
    """The page without scripts of others, and with a policy that lets it reach nobody.

    As allure makes it, it reports each visit to an analytics service.
    """
    head = "<head>"
    if head not in text:
        raise AcceptanceError("allure made a page without a head: its version is not the one that is pinned")
    policy = f'{head}<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
    return FOREIGN_SCRIPT.sub("", text).replace(head, policy, 1)


def _node() -> str:
    """The Node that is there; raises Refusal when there is none, or an old one."""
    node = shutil.which("node")
    if node is None or shutil.which("npm") is None:
        raise Refusal(f"the Allure report needs Node {OLDEST_NODE} or later with npm, which is not installed")
    version = ""
    with suppress(subprocess.TimeoutExpired):
        version = subprocess.run(
            [node, "--version"], capture_output=True, text=True, timeout=NODE_SECONDS
        ).stdout.strip()
    number = re.match(r"v(\d+)\.", version)
    if number is None or int(number[1]) < OLDEST_NODE:
        raise Refusal(
            f"the Allure report needs Node {OLDEST_NODE} or later; this is {version or 'of no known version'}"
        )
    return node


def _install() -> None:
    """Install what package-lock.json names, once."""
    lock, done = SOURCE / "package-lock.json", SOURCE / "node_modules" / ".installed"
    if done.exists() and done.read_text() == lock.read_text():
        return
    _run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], SOURCE, INSTALL_SECONDS)
    done.write_text(lock.read_text())


def _run(command: list[str], folder: Path, seconds: float, **environment: str) -> None:
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, "NO_COLOR": "1", **environment},
            capture_output=True,
            text=True,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:
        raise AcceptanceError(f"{Path(command[0]).name} did not end within {seconds:.0f} s") from None
    if done.returncode != 0:
        said = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        raise AcceptanceError(f"{' '.join(command[:2])} failed: {' | '.join(said[:3])}")
