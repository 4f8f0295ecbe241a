"""Bring the lab up, tell how it is, take it down.

``up`` makes what is missing and leaves the rest: it can be called again after it was
interrupted. A lab of which any process has died is removed and made anew; only the cache stays.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from filelock import FileLock, Timeout

from lab import (
    build,
    control_plane,
    debian,
    flux,
    gitops,
    images,
    install,
    kernel,
    monitoring,
    network,
    nodes,
    pki,
    preflight,
    registry,
    storage,
)
from lab.cgroups import Cgroups
from lab.facts import LabFacts, load, save
from lab.kubectl import Kubectl
from lab.node import stage
from lab.processes import Processes
from lab.programs import AWS_PLUGIN_VERSION, FLUX_VERSIONS, KUBERNETES_VERSION, Release
from lab.progress import Steps
from lab.settings import LabSettings
from velero_acceptance.core import timeouts
from velero_acceptance.core.errors import AcceptanceError, Refusal
from velero_acceptance.core.installation import cache_folder
from velero_acceptance.core.programs import execute
from velero_acceptance.core.waiting import WaitTimedOut, poll

FORWARDER = "forwarder"
READY = "Ready"


@dataclass
class Lab:
    """One lab: its settings and the handles on what runs of it."""

    settings: LabSettings
    # What it is called to a person, the command that makes it.
    what: ClassVar[str] = "lab"
    command: ClassVar[str] = "acceptance lab up"
    nodes_note: ClassVar[str] = "3, namespaces of one machine"

    def __post_init__(self) -> None:
        self.cgroups = Cgroups(self.settings.group)
        self.processes = Processes(self.settings.state, self.cgroups, self.command)
        self.kubectl = Kubectl(self.settings)

    @property
    def state(self) -> Path:
        return self.settings.state

    def all(self) -> list[Lab]:
        """This one and those that a run may have brought up beside it, whether they are up or not."""
        return [self, *map(Lab, self.settings.all()[1:])]

    @property
    def by_flux(self) -> bool:
        """Whether Flux deploys Velero, from Git."""
        return self.settings.deployment == "flux"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lab's lock; raises Refusal when another command holds it."""
        folder = cache_folder() / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / f"{self.settings.group}.lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            raise Refusal(
                f"another command is bringing the {self.what} {self.settings.name} up or down: wait until it has ended"
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
        self._check()
        with self.locked(), steps.display(self.what):
            if self._broken():
                with steps.step(f"removing a {self.what} whose processes are gone"):
                    self._remove()
            self._refuse_other_uploader()
            if self.processes.pid(FORWARDER) is None:
                network.refuse_taken_ports(self.settings)
            if (facts := load(self.settings)) is not None:
                return facts
            facts = self._start(steps, self._prepare(steps))
            save(self.settings, facts)
            return facts

    def build(self, steps: Steps) -> None:
        """Fill the cache and install what is missing; raises Refusal or AcceptanceError."""
        self._check()
        with self.locked(), steps.display(self.what):
            self._prepare(steps)

    def _check(self) -> None:
        """Raise Refusal when the machine is not fit."""
        preflight.check(self.settings)

    def _broken(self) -> bool:
        """Whether something of it has ended by itself."""
        return bool(self.processes.dead())

    def _prepare(self, steps: Steps) -> dict[str, Path]:
        """Fill the cache; say where the images are."""
        with steps.step("Debian packages"):
            debian.ensure()
        with steps.step("kernel"):
            kernel.require(self.state)
        with steps.step("programs"):
            build.build(steps, self.settings.release.modules)
        with steps.step("images"):
            return images.archives(images.images(self.settings.release))

    def _start(self, steps: Steps, archives: dict[str, Path]) -> LabFacts:
        built = build.binaries(self.settings.release.modules)
        self.state.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._uploader.write_text(self.settings.uploader)
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
                if self.settings.monitored:
                    monitoring.start(self.settings, self.processes, monitoring.of_lab(self.settings))
                if self.by_flux:
                    flux.install(self.settings, self.kubectl, built["source-controller"].parent)
                services.result()
                if self.by_flux:
                    flux.reconcile(self.settings, self.kubectl)
                else:
                    install.apply(self.settings, self.kubectl, built["velero"])
                self._wait_nodes()
        with steps.step("Flux deploys Velero" if self.by_flux else "Velero is installed"):
            if self.settings.monitored:
                monitoring.expose(self.kubectl)
            if self.by_flux:
                flux.wait_deployed(self.kubectl)
            else:
                install.wait_available(self.settings, self.kubectl)
        return self._facts(built, steps)

    @property
    def accounts(self) -> dict[str, Path]:
        """The control groups below which those of the pods are, by controller."""
        return self.cgroups.accounts

    @property
    def _uploader(self) -> Path:
        """Says what Velero backs up with here, from the first moment on."""
        return self.state / "uploader"

    def _refuse_other_uploader(self) -> None:
        """Raise Refusal for a lab of another uploader: to make it anew would lose what is in it."""
        if self._uploader.exists() and (there := self._uploader.read_text()) != self.settings.uploader:
            raise Refusal(
                f"the {self.what} {self.settings.name} is up with {there}, not {self.settings.uploader}: "
                f"run `acceptance {self.what} down` first, or ask for {there}"
            )

    def provide(self, release: Release, steps: Steps) -> LabFacts:
        """Bring image and chart of one more *release* into a lab that is up, for an upgrade through Git.

        Returns the lab's facts; raises AcceptanceError when there is no lab.
        """
        with self.locked(), steps.display(self.what):
            facts = load(self.settings)
            if facts is None:
                raise AcceptanceError("there is no lab: run `acceptance lab up`")
            if release.uploader in facts.releases:
                return facts
            with steps.step(f"programs of Velero {release.version}"):
                build.build(steps, release.modules)
            with steps.step(f"image and chart of Velero {release.version}"):
                (archive,) = images.archives([images.velero(release)]).values()
                self._load_image(archive)
                registry.push_chart(self.settings, self.processes, release)
            facts = facts.model_copy(update={"releases": {**facts.releases, release.uploader: release.path}})
            save(self.settings, facts)
            return facts

    def _load_image(self, archive: Path) -> None:
        """Bring one more image to every node."""
        for node in self.settings.node_names:
            nodes.load_image(self.enter(node), archive)

    def _forward(self, program: Path, *, netns: str = "control", api_server: str | None = None) -> None:
        """Lead ports of the machine into the lab; to the API server too unless *api_server* is empty."""
        settings = self.settings
        api_server = f"{settings.control}:6443" if api_server is None else api_server
        routes = [
            *([f"{settings.api_port}={api_server}"] if api_server else []),
            f"{settings.s3_port}={settings.s3}:{storage.PROXIED_PORT}",
            f"{settings.s3_direct_port}={settings.s3}:{storage.DIRECT_PORT}",
            f"{settings.toxiproxy_port}={settings.s3}:{storage.TOXIPROXY_PORT}",
            *([f"{settings.prometheus_port}={settings.control}:{monitoring.PORT}"] if settings.monitored else []),
        ]
        machine = f"/proc/{os.getpid()}/ns/net"
        self.processes.start(FORWARDER, [program, f"-machine={machine}", *routes], netns=netns)

    def _start_services(self, built: dict[str, Path]) -> None:
        storage.start(self.settings, self.processes, built["minio"], built["toxiproxy"])
        if self.by_flux:
            registry.start(self.settings, self.processes)
            gitops.commit(self.settings)
            gitops.start(self.settings, self.processes, built["git-server"])
        storage.prepare(self.settings)
        if self.by_flux:
            registry.push_chart(self.settings, self.processes, self.settings.release)

    def _start_nodes(self, programs: Path, archives: dict[str, Path]) -> None:
        nodes.save_sysctls(self.settings)
        for index in range(1, self.settings.nodes + 1):
            nodes.start(self.settings, self.processes, self.cgroups, index=index, programs=programs, archives=archives)

    def _nodes(self) -> list[str]:
        """Names of the nodes that there are to be, in order."""
        return self.settings.node_names

    def _wait_nodes(self) -> None:
        def states() -> dict[str, str]:
            listed = (self.kubectl.get("nodes") or {}).get("items", [])
            found = {node["metadata"]["name"]: _readiness(node) for node in listed}
            return {name: found.get(name) or self._stage(name) for name in self._nodes()}

        try:
            self._poll_nodes(states)
        except WaitTimedOut:
            for name in (name for name, state in states().items() if state != READY):
                nodes.mark_late(self.settings, name)
            raise

    def _stage(self, name: str) -> str:
        """What a node does that the API server does not know yet."""
        return stage(self.state / name)

    def _poll_nodes(self, states: Callable[[], dict[str, str]]) -> None:
        poll(
            states,
            until=lambda found: bool(found) and set(found.values()) == {READY},
            terminal=lambda _: next(
                (f"{name} ended: {self.processes.tail(name)}" for name in self.processes.dead()), None
            ),
            event="all nodes are Ready",
            timeout=timeouts.seconds("lab_nodes_ready"),
            interval=0.5,
        )

    def _facts(self, built: dict[str, Path], steps: Steps) -> LabFacts:
        settings, release = self.settings, self.settings.release
        oracle = built.get("kopia", debian.program("usr/bin/restic"))
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
            prometheus=f"http://127.0.0.1:{settings.prometheus_port}" if settings.monitored else None,
            promtool=debian.program("usr/bin/promtool"),
            alert_durations=monitoring.DURATIONS if settings.monitored else {},
            velero_namespace=settings.velero_namespace,
            location=settings.location,
            schedule=settings.schedule,
            bucket=settings.bucket,
            prefix=settings.prefix,
            storage_class=settings.storage_class,
            git_work=self.state / "home" if self.by_flux else None,
            age_key=self.state / "age.key" if self.by_flux else None,
            audit_log=settings.audit_log,
            uploader=release.uploader,
            oracle=oracle,
            releases={release.uploader: release.path},
            corpus=built["corpus"],
            velero_cli=built["velero"],
            corpus_image=images.CORPUS,
            busybox_image=images.BUSYBOX,
            garbage_collection_frequency=settings.garbage_collection_frequency,
            versions={
                "kubernetes": KUBERNETES_VERSION,
                "velero": release.version,
                "velero-plugin-for-aws": AWS_PLUGIN_VERSION,
                release.uploader: _version(oracle, "--version" if oracle.name == "kopia" else "version"),
                **(FLUX_VERSIONS if self.by_flux else {}),
                "machine": self._machine(),
                **{f"{name} (package)": version for name, version in debian.versions().items()},
            },
            seconds=steps.seconds,
        )

    def _machine(self) -> str:
        release, kernel_release = debian.RELEASES[debian.release()], os.uname().release
        return f"{release}, Linux {kernel_release}, cgroup v{self.cgroups.version}"

    # -- status and down -----------------------------------------------------------------

    def status(self) -> dict[str, str]:
        """Every process of the lab: ``running (pid …)`` or ``ended``. Empty when there is no lab."""
        return {
            name: f"running (pid {pid})" if (pid := self.processes.pid(name)) else "ended"
            for name in self.processes.recorded()
        }

    def down(self) -> bool:
        """Remove the lab; say whether there was one. The cache stays."""
        with self.locked():
            there = self.state.exists() or bool(self.cgroups.leftovers())
            self._remove()
        return there

    def _remove(self) -> None:
        self.cgroups.kill()
        nodes.restore_sysctls(self.settings)
        self.cgroups.remove()
        if self.state.exists():
            shutil.rmtree(self.state)
        for parent in list(self.state.parents)[:2]:  # labs or kind, velero-acceptance
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


def _readiness(listed: dict[str, Any]) -> str:
    """``Ready``, or why a node that the API server lists is not."""
    conditions = listed["status"].get("conditions", [])
    ready = next((c for c in conditions if c["type"] == "Ready"), {"status": "False", "message": "just registered"})
    return READY if ready["status"] == "True" else f"not ready: {ready.get('message', '')}"


def _version(program: Path, argument: str) -> str:
    done = execute(program, argument, timeout=timeouts.seconds("lab_program_call")).checked(program.name)
    return done.decode().splitlines()[0].partition(" build")[0]
