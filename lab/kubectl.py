"""kubectl against the lab, for setting it up; the suite itself uses the Kubernetes client."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from lab.processes import Processes
from lab.settings import LabSettings
from velero_acceptance.core import timeouts
from velero_acceptance.core.errors import AcceptanceError
from velero_acceptance.core.programs import ExecResult, ProgramTimedOut, execute
from velero_acceptance.core.waiting import poll

# What kubectl prints while an API server is overloaded or still starting, or has a new kind not served yet.
TRANSIENT = re.compile(
    r"timed? ?out|did not complete within|deadline exceeded|connection (refused|reset)|connection lost|unexpected EOF"
    r"|broken pipe|too many requests|server is currently unable|server could not find the requested resource"
    r"|unable to return a response|an error on the server|Internal error|internal server error|service unavailable"
    r"|bad gateway|failed calling webhook|no endpoints available|leader changed|etcdserver:|no matches for kind",
    re.I,
)


class TransientError(AcceptanceError):
    """The API server could not answer now; the same call may succeed later."""


class Kubectl:
    """Calls the kubectl of the Python environment with the lab's kubeconfig."""

    def __init__(self, settings: LabSettings) -> None:
        self.program = str(Path(sys.prefix) / "bin/kubectl")
        # Its cache of definitions would otherwise outlive the lab in the user's home.
        cache = f"--cache-dir={settings.state / 'kubectl-cache'}"
        self._command = [self.program, f"--kubeconfig={settings.state / 'kubeconfig'}", cache]

    def run(self, *arguments: str, stdin: str = "") -> str:
        """Standard output of a call that may be repeated; raises AcceptanceError with kubectl's words.

        Transient errors are retried until the deadline ``lab_api_answers``.
        """
        done = self._retried(*arguments, stdin=stdin)
        if done.code != 0:
            raise AcceptanceError(f"kubectl {arguments[0]}: {done.stderr.strip()[-500:]}")
        return done.text

    def apply(self, manifests: str) -> None:
        """Server-side apply of one or more YAML documents."""
        self.run("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=manifests)

    def get(self, *arguments: str) -> dict[str, Any] | None:
        """One object, or None when it, or its kind, does not exist yet."""
        done = self._retried("get", *arguments, "-o", "json")
        if done.code == 0:
            return dict(json.loads(done.text))
        if _is_absent(done):
            return None
        raise AcceptanceError(f"kubectl get {' '.join(arguments)}: {done.stderr.strip()[-500:]}")

    def wait_for_api(self, seconds: float, processes: Processes) -> None:
        """Wait until the API server says that it is ready."""
        poll(
            lambda: self._call("get", "--raw=/readyz"),
            until=lambda done: done.code == 0,
            terminal=lambda _: next((f"{name} ended: {processes.tail(name)}" for name in processes.dead()), None),
            retry_on=(TransientError,),
            event="the API server is ready",
            timeout=seconds,
            interval=0.25,
        )

    def _retried(self, *arguments: str, stdin: str = "") -> ExecResult:
        def call() -> ExecResult:
            done = self._call(*arguments, stdin=stdin)
            if done.code != 0 and TRANSIENT.search(done.stderr) and not _is_absent(done):
                raise TransientError(f"kubectl {arguments[0]}: {done.stderr.strip()[-500:]}")
            return done

        return poll(
            call,
            until=lambda _: True,
            retry_on=(TransientError,),
            event=f"the API server answers kubectl {arguments[0]}",
            timeout=timeouts.seconds("lab_api_answers"),
            interval=1,
        )

    def _call(self, *arguments: str, stdin: str = "") -> ExecResult:
        try:
            return execute(
                *self._command, *arguments, stdin=stdin, timeout=timeouts.seconds("lab_kubectl_call"), what="kubectl"
            )
        except ProgramTimedOut as error:
            raise TransientError(str(error)) from None


def _is_absent(done: ExecResult) -> bool:
    return "NotFound" in done.stderr or "doesn't have a resource type" in done.stderr
