"""Bring the lab up, tell how it is, take it down.

``up`` makes what is missing and leaves the rest: it can be called again after it was
interrupted. A lab of which any process has died is removed and made anew; only the cache stays.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from acceptance import figures, timeouts
from acceptance.errors import AcceptanceError, Refusal
from acceptance.figures import cache_folder
from acceptance.waiting import Deadline, poll
from lab import (
    build,
    control_plane,
    debian,
    flux,
    gitops,
    images,
    monitoring,
    network,
    nodes,
    pki,
    preflight,
    registry,
    storage,
)
from lab.cgroups import Cgroups
from lab.facts import LabFacts, load, path_of
from lab.kubectl import Kubectl
from lab.processes import Processes
from lab.programs import AWS_PLUGIN_VERSION, FLUX_VERSIONS, KUBERNETES_VERSION, VELERO_VERSION
from lab.progress import Steps
from lab.settings import LabSettings

FORWARDER = "forwarder"
UP, DOWN = "lab up, to the location Available", "lab down"


@dataclass
class Lab:
    """One lab: its settings and the handles on what runs of it."""

    settings: LabSettings

    def __post_init__(self) -> None:
        self.cgroups = Cgroups(self.settings.name)
        self.processes = Processes(self.settings.state, self.cgroups)
        self.kubectl = Kubectl(self.settings)

    @property
    def state(self) -> Path:
        return self.settings.state

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lab's lock; raises Refusal when another command holds it."""
        folder = cache_folder() / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / f"{self.settings.name}.lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            raise Refusal(
                f"another command is bringing the lab {self.settings.name} up or down: wait until it has ended"
            ) from None
        try:
            yield
        finally:
            lock.release()

    # -- up ------------------------------------------------------------------------------

    def up(self, steps: Steps) -> LabFacts:
        """Bring the lab up and return its facts; raises Refusal or AcceptanceError.

        Whatever was made before a failure stays, for a look and for the next ``up``.
        """
        preflight.check(self.settings)
        clock = Deadline(0)
        with self.locked(), steps.display("lab"):
            if self.processes.dead():
                with steps.step("removing a lab whose processes are gone"):
                    self._remove()
            if self.processes.pid(FORWARDER) is None:
                network.refuse_taken_ports(self.settings)
            if (facts := load(self.settings)) is not None:
                return facts
            with steps.step("Debian packages"):
                cold = debian.ensure()
            with steps.step("programs"):
                cold = build.build(steps) > 0 or cold
            with steps.step("images"):
                archives = images.archives()
            facts = self._start(steps, archives)
            if not cold:
                figures.record(UP, clock.elapsed)
            return facts

    def _start(self, steps: Steps, archives: dict[str, Path]) -> LabFacts:
        built = build.binaries()
        self.state.mkdir(parents=True, exist_ok=True, mode=0o700)
        with steps.step("certificates and network"):
            self.cgroups.create()
            pki.issue(self.settings, self.state / "pki")
            network.connect(self.settings, self.processes)
            self._forward(built["forwarder"])
        with ThreadPoolExecutor(2) as beside:
            services = beside.submit(self._start_services, built)
            with steps.step("control plane"):
                programs = control_plane.link_programs(self.settings, built["kube"])
                control_plane.start(self.settings, self.processes, programs)
            with steps.step("nodes and add-ons"):
                self._start_nodes(programs, archives)
                flux.install_add_ons(self.settings, self.kubectl)
                monitoring.start(self.settings, self.processes)
                flux.install(self.settings, self.kubectl, build.binaries()["source-controller"].parent)
                services.result()
                flux.reconcile(self.settings, self.kubectl)
                self._wait_nodes()
        with steps.step("Flux deploys Velero"):
            monitoring.expose(self.kubectl)
            flux.wait_deployed(self.kubectl)
        facts = self._facts(built, steps)
        path_of(self.settings).write_text(facts.model_dump_json(indent=2))
        return facts

    def _forward(self, program: Path) -> None:
        settings = self.settings
        routes = [
            f"{settings.api_port}={settings.control}:6443",
            f"{settings.s3_port}={settings.s3}:{storage.PROXIED_PORT}",
            f"{settings.s3_direct_port}={settings.s3}:{storage.DIRECT_PORT}",
            f"{settings.toxiproxy_port}={settings.s3}:{storage.TOXIPROXY_PORT}",
            f"{settings.prometheus_port}={settings.control}:{monitoring.PORT}",
        ]
        machine = f"/proc/{os.getpid()}/ns/net"
        self.processes.start(FORWARDER, [program, f"-machine={machine}", *routes], netns="control")

    def _start_services(self, built: dict[str, Path]) -> None:
        storage.start(self.settings, self.processes, built["minio"], built["toxiproxy"])
        registry.start(self.settings, self.processes)
        gitops.commit(self.settings)
        gitops.start(self.settings, self.processes, built["git-server"])
        storage.prepare(self.settings)
        registry.push_chart(self.settings, self.processes, built["velero"])

    def _start_nodes(self, programs: Path, archives: dict[str, Path]) -> None:
        nodes.save_sysctls(self.settings)
        for index in range(1, self.settings.nodes + 1):
            nodes.start(self.settings, self.processes, self.cgroups, index=index, programs=programs, archives=archives)

    def _wait_nodes(self) -> None:
        def ready() -> list[str]:
            listed = (self.kubectl.get("nodes") or {}).get("items", [])
            return [
                node["metadata"]["name"]
                for node in listed
                if any(c["type"] == "Ready" and c["status"] == "True" for c in node["status"].get("conditions", []))
            ]

        poll(
            ready,
            until=lambda names: sorted(names) == self.settings.node_names,
            terminal=lambda _: next(
                (f"{name} ended: {self.processes.tail(name)}" for name in self.processes.dead()), None
            ),
            event="all nodes are Ready",
            timeout=timeouts.seconds("lab_nodes_ready"),
            interval=0.5,
        )

    def _facts(self, built: dict[str, Path], steps: Steps) -> LabFacts:
        settings = self.settings
        restic = debian.program("usr/bin/restic")
        return LabFacts(
            name=settings.name,
            kubeconfig=self.state / "kubeconfig",
            authority=self.state / "pki/ca.crt",
            s3_endpoint=f"https://127.0.0.1:{settings.s3_port}",
            s3_direct_endpoint=f"https://127.0.0.1:{settings.s3_direct_port}",
            s3_credentials=self.state / "s3-credentials.json",
            capture=["nsenter", f"--net=/proc/{self.processes.require('s3')}/ns/net", "tcpdump"],
            s3_ports=[storage.PROXIED_PORT, storage.DIRECT_PORT],
            toxiproxy=f"http://127.0.0.1:{settings.toxiproxy_port}",
            prometheus=f"http://127.0.0.1:{settings.prometheus_port}",
            promtool=debian.program("usr/bin/promtool"),
            alert_durations=monitoring.DURATIONS,
            git_work=self.state / "home",
            age_key=self.state / "age.key",
            audit_log=settings.audit_log,
            restic=restic,
            corpus=built["corpus"],
            velero_cli=built["velero"],
            corpus_image=images.CORPUS,
            busybox_image=images.BUSYBOX,
            garbage_collection_frequency=settings.garbage_collection_frequency,
            versions={
                "kubernetes": KUBERNETES_VERSION,
                "velero": VELERO_VERSION,
                "velero-plugin-for-aws": AWS_PLUGIN_VERSION,
                "restic": _version(restic, "version"),
                **FLUX_VERSIONS,
            },
            seconds=steps.seconds,
        )

    # -- status and down -----------------------------------------------------------------

    def status(self) -> dict[str, str]:
        """Every process of the lab: ``running (pid …)`` or ``ended``. Empty when there is no lab."""
        return {
            name: f"running (pid {pid})" if (pid := self.processes.pid(name)) else "ended"
            for name in self.processes.recorded()
        }

    def down(self) -> bool:
        """Remove the lab; say whether there was one. The cache stays."""
        clock = Deadline(0)
        with self.locked():
            there = self.state.exists() or bool(self.cgroups.leftovers())
            self._remove()
        if there:
            figures.record(DOWN, clock.elapsed)
        return there

    def _remove(self) -> None:
        self.cgroups.kill()
        nodes.restore_sysctls(self.settings)
        self.cgroups.remove()
        if self.state.exists():
            shutil.rmtree(self.state)
        for parent in list(self.state.parents)[:2]:  # labs, velero-acceptance
            with contextlib.suppress(OSError):  # not empty: another lab
                parent.rmdir()

    # -- looking in ----------------------------------------------------------------------

    def enter(self, host: str) -> list[str]:
        """The command line prefix that runs a program on *host*; raises AcceptanceError when it is down."""
        if host in self.settings.node_names:
            outer = self.processes.require(f"{host}-init")
            children = Path(f"/proc/{outer}/task/{outer}/children").read_text().split()
            if not children:
                raise AcceptanceError(f"{host} is not running: run `acceptance lab up`")
            return ["nsenter", f"--target={children[0]}", "--mount", "--uts", "--ipc", "--net", "--pid"]
        if host not in network.hosts(self.settings):
            raise Refusal(f"{host} is no host of the lab: choose one of {', '.join(network.hosts(self.settings))}")
        return ["nsenter", f"--net=/proc/{self.processes.require(host)}/ns/net"]


def _version(program: Path, argument: str) -> str:
    done = subprocess.run([program, argument], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[0]
