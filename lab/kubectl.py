"""kubectl against the lab, for setting it up; the suite itself uses the Kubernetes client."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from lab.processes import Processes
from lab.settings import LabSettings
from velero_acceptance.core import timeouts
from velero_acceptance.core.errors import AcceptanceError
from velero_acceptance.core.waiting import poll


class Kubectl:
    """Calls the kubectl of the Python environment with the lab's kubeconfig."""

    def __init__(self, settings: LabSettings) -> None:
        self.program = str(Path(sys.prefix) / "bin/kubectl")
        # Its cache of definitions would otherwise outlive the lab in the user's home.
        cache = f"--cache-dir={settings.state / 'kubectl-cache'}"
        self._command = [self.program, f"--kubeconfig={settings.state / 'kubeconfig'}", cache]

    def run(self, *arguments: str, stdin: str | None = None) -> str:
        """Standard output of a call; raises AcceptanceError with kubectl's words."""
        done = subprocess.run(
            [*self._command, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeouts.seconds("lab_kubectl_call"),
        )
        if done.returncode != 0:
            raise AcceptanceError(f"kubectl {arguments[0]}: {done.stderr.strip()[-500:]}")
        return done.stdout

    def apply(self, manifests: str) -> None:
        """Server-side apply of one or more YAML documents."""
        self.run("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=manifests)

    def get(self, *arguments: str) -> dict[str, Any] | None:
        """One object, or None when it, or its kind, does not exist yet."""
        done = subprocess.run(
            [*self._command, "get", *arguments, "-o", "json"],
            capture_output=True,
            text=True,
            timeout=timeouts.seconds("lab_kubectl_call"),
        )
        if done.returncode == 0:
            return dict(json.loads(done.stdout))
        if "NotFound" in done.stderr or "doesn't have a resource type" in done.stderr:
            return None
        raise AcceptanceError(f"kubectl get {' '.join(arguments)}: {done.stderr.strip()[-500:]}")

    def wait_for_api(self, seconds: float, processes: Processes) -> None:
        """Wait until the API server says that it is ready."""
        poll(
            lambda: subprocess.run([*self._command, "get", "--raw=/readyz"], capture_output=True, text=True),
            until=lambda done: done.returncode == 0,
            terminal=lambda _: next((f"{name} ended: {processes.tail(name)}" for name in processes.dead()), None),
            event="the API server is ready",
            timeout=seconds,
            interval=0.25,
        )
