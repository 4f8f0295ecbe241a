"""The Docker engine that kind works with: the machine's own, or one made for the cluster.

Ours is Debian's docker.io, unpacked and not installed. It has its own network namespace, mount
namespace, folder and control group; the machine's bridges, rules and routes stay as they are.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

from lab import debian
from lab.kind.settings import KindSettings
from lab.network import SWITCH
from lab.preflight import has_capability
from lab.processes import Processes
from velero_acceptance.core import timeouts
from velero_acceptance.core.errors import AcceptanceError
from velero_acceptance.core.programs import ExecResult, execute
from velero_acceptance.core.waiting import poll

DOCKERD = "dockerd"
PACKAGES = ("docker.io",)
RUNTIME = Path(__file__).with_name("runtime.py")
SYS_RESOURCE = 24  # the capability's bit in linux/capability.h
LABEL = "io.x-k8s.kind.cluster"


class Engine:
    """One Docker engine, by its command line."""

    def __init__(self, settings: KindSettings, *, own: bool) -> None:
        self.settings, self.own = settings, own

    @property
    def socket(self) -> Path:
        return self.settings.state / "docker.sock"

    @property
    def environment(self) -> dict[str, str]:
        """What a program needs to reach the engine, kind among them."""
        if not self.own:
            return dict(os.environ)
        path = f"{debian.root(PACKAGES)}/usr/bin:{os.environ['PATH']}"
        config = str(self.settings.state / "docker-config")
        return {**os.environ, "PATH": path, "DOCKER_HOST": f"unix://{self.socket}", "DOCKER_CONFIG": config}

    def docker(self, *arguments: str | Path) -> str:
        """Standard output of a docker call; raises AcceptanceError with Docker's words."""
        done = self._call(*arguments)
        if done.code != 0:
            raise AcceptanceError(f"docker {arguments[0]}: {done.stderr.strip()[-500:]}")
        return done.text.strip()

    def answers(self) -> bool:
        """Whether there is an engine at all."""
        return (self.own or shutil.which("docker") is not None) and self._call("version").code == 0

    def has_image(self, reference: str) -> bool:
        return self._call("image", "inspect", reference).code == 0

    def pull(self, reference: str) -> bool:
        """Get an image from its registry unless it is there; say whether it is there now."""
        return (
            self.has_image(reference) or self._call("pull", "--quiet", reference, limit="kind_image_pulled").code == 0
        )

    def nodes(self) -> dict[str, str]:
        """State of each node's container by name: running, exited …; empty when there is no cluster."""
        listing = ("--filter", f"label={LABEL}={self.settings.name}", "--format", "{{.Names}} {{.State}}")
        lines = self.docker("ps", "--all", *listing).splitlines()
        return dict(sorted(line.split() for line in lines))

    def remove_nodes(self) -> None:
        """Remove the cluster's nodes and their volumes, as `kind delete cluster` does."""
        if found := self.nodes():
            self.docker("rm", "--force", "--volumes", *found)

    def connect(self) -> str:
        """Make the cluster's network unless it is there; return the name of its bridge.

        Docker gives addresses of its upper half; the lower one has the S3 host and the Git server.
        """
        name, settings = self.settings.docker_network, self.settings
        if self._call("network", "inspect", name).code != 0:
            ranges = [f"--subnet={settings.network}", f"--ip-range={settings.node_addresses}"]
            self.docker("network", "create", *ranges, f"--gateway={settings.gateway}", name)
        (found,) = json.loads(self.docker("network", "inspect", name))
        return f"br-{found['Id'][:12]}"

    def disconnect(self) -> None:
        """Remove the cluster's network; one that is not there is as good."""
        self._call("network", "rm", self.settings.docker_network)

    def start(self, processes: Processes, group: str) -> None:
        """Start our own engine unless it runs, with its containers below control group *group*."""
        processes.start(DOCKERD, self._command(group), netns=SWITCH, environment=self._programs())
        poll(
            lambda: self._call("version"),
            until=lambda done: done.code == 0,
            terminal=lambda _: f"it ended: {processes.tail(DOCKERD)}" if processes.pid(DOCKERD) is None else None,
            event="the Docker engine answers",
            timeout=timeouts.seconds("kind_engine_ready"),
            interval=0.2,
        )

    def _programs(self) -> dict[str, str]:
        """dockerd finds containerd, runc and its own helpers in PATH."""
        folders = [f"{root}/usr/{kind}bin" for root in (debian.root(PACKAGES), debian.root()) for kind in ("s", "")]
        python = str(Path(__file__).parents[2])
        return {"PATH": ":".join([*folders, os.environ["PATH"]]), "PYTHONPATH": python}

    def _command(self, group: str) -> list[str | Path]:
        settings = self.settings
        command: list[str | Path] = [
            "unshare",
            "--mount",
            "--propagation=private",
            sys.executable,
            "-m",
            "lab.kind.dockerd",
            "dockerd",
            f"--host=unix://{self.socket}",
            f"--data-root={settings.state / 'docker'}",
            # Containers live below the cluster's own control group, where `down` finds them.
            f"--cgroup-parent=/{group}",
            "--exec-opt=native.cgroupdriver=cgroupfs",
            "--storage-driver=overlay2",
            "--bridge=none",
        ]
        if not has_capability(SYS_RESOURCE):
            command += [f"--add-runtime=limited={self._runtime()}", "--default-runtime=limited"]
        return command

    def _runtime(self) -> Path:
        """The runtime as an executable file that runs with this very Python."""
        path = self.settings.state / "runtime"
        path.write_text(f"#!{sys.executable} -IS\n{RUNTIME.read_text()}")
        path.chmod(0o755)
        return path

    def _call(self, *arguments: str | Path, limit: str = "kind_engine_call") -> ExecResult:
        """A docker call, whatever comes of it; one that cannot be run, or takes longer than *limit*, has failed."""
        try:
            return execute("docker", *arguments, environment=self.environment, timeout=timeouts.seconds(limit))
        except AcceptanceError as error:
            return ExecResult(b"", str(error), 1)
