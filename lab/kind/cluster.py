"""The kind cluster: the lab's S3, Git, registry and Flux, beside nodes that kind makes.

Only nodes and control plane differ from the lab. The S3 host and the Git server are plugged into
the nodes' Docker network; everything else is the lab's own code.
"""

from __future__ import annotations

import contextlib
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any, ClassVar

from lab import build, debian, flux, images, kernel, monitoring, network, nodes, pki
from lab.facts import LabFacts
from lab.kind import config, node_image, preflight, rootfs
from lab.kind.engine import DOCKERD, PACKAGES, SYS_RESOURCE, Engine
from lab.kind.settings import CONTROL_PLANE, KindSettings
from lab.kind.watched import watched
from lab.lifecycle import Lab
from lab.oci import Image
from lab.preflight import has_capability
from lab.programs import KIND_MODULES, KIND_VERSION, NODE_MODULES, Module
from lab.progress import Steps
from velero_acceptance.core import timeouts
from velero_acceptance.core.errors import AcceptanceError
from velero_acceptance.core.waiting import poll

PODNET = "velero-acceptance.local/podnet:v1"
# What a registry has is not built where there is one.
UPSTREAM = frozenset({"kubernetes", "local-path-provisioner", "velero-plugin-for-aws", "pause"})
OWN_IMAGES = frozenset({images.CORPUS, PODNET})
# Docker makes this folder on the machine, to mount it into the nodes.
KERNEL_MODULES = Path("/lib/modules")


@dataclass
class KindCluster(Lab):
    """One kind cluster and what stands beside it."""

    settings: KindSettings
    what: ClassVar[str] = "kind cluster"
    command: ClassVar[str] = "acceptance kind up"
    nodes_note: ClassVar[str] = "3, containers of one machine, made by kind"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.engine = Engine(self.settings, own=DOCKERD in self.processes.recorded())

    def all(self) -> list[Lab]:
        """Only this one: workers of a run share it."""
        return [self]

    @property
    def modules(self) -> tuple[Module, ...]:
        """What has to be built: with a registry, only what none has."""
        modules = self.settings.release.modules
        if self.engine.own:
            return (*modules, *KIND_MODULES, *NODE_MODULES)
        return (*(module for module in modules if module.name not in UPSTREAM), *KIND_MODULES)

    @property
    def accounts(self) -> dict[str, Path]:
        """The machine's Docker puts its containers where it likes."""
        return self.cgroups.accounts if self.engine.own else self.cgroups.hierarchies

    # -- up ------------------------------------------------------------------------------

    def _check(self) -> None:
        preflight.check(self.settings)
        if not self.engine.own and self.engine.answers():
            preflight.refuse_foreign_cluster(self.settings, self.engine)

    def _broken(self) -> bool:
        return bool(self.processes.dead()) or "ended" in self.status().values()

    def _prepare(self, steps: Steps) -> dict[str, Path]:
        if not self.engine.own and not self.settings.claim.exists():
            with steps.step("looking for Docker and its registry"):
                self.engine = self._choose()
        with steps.step("Debian packages"):
            debian.ensure()
            for packages in (PACKAGES, rootfs.DEBOOTSTRAP) if self.engine.own else ():
                debian.ensure(packages)
        if self.engine.own:
            kernel.require(self.settings.state)
        with steps.step("programs"):
            build.build(steps, self.modules)
        with steps.step("images"):
            archives = images.archives(self._images())
        if self.engine.own:
            with steps.step("node image"):
                node_image.make(build.binaries(self.modules))
        return archives

    def _choose(self) -> Engine:
        """The machine's engine when it answers and has the official node image, else one of our own."""
        machines = Engine(self.settings, own=False)
        if machines.answers() and machines.pull(config.official_image()):
            return machines
        have_image = (
            not build.missing(NODE_MODULES)
            and node_image.archive(build.binaries((*self.settings.release.modules, *NODE_MODULES))).exists()
        )
        preflight.refuse_no_engine(have_image=have_image, cgroups=self.cgroups)
        return Engine(self.settings, own=True)

    def _images(self) -> list[Image]:
        built = build.binaries(self.modules)
        podnet = Image(PODNET, {"podnet": built["podnet"]}, {"Entrypoint": ["/podnet"]}, frozenset({"podnet"}))
        found = [*images.images(self.settings.release), podnet]
        return found if self.engine.own else [image for image in found if image.reference in OWN_IMAGES]

    def _start(self, steps: Steps, archives: dict[str, Path]) -> LabFacts:
        built = build.binaries(self.modules)
        self.state.mkdir(parents=True, exist_ok=True, mode=0o700)
        with steps.step("certificates, Docker and network"):
            self._connect(built)
        with ThreadPoolExecutor(1) as beside:
            services = beside.submit(self._start_services, built)
            with steps.step("kind creates the nodes"):
                self._create(built)
                self._route_pods()
                coredns = self._remove_dns()
            with steps.step("images into the nodes"):
                self._load(built["kind"], archives)
            with steps.step("nodes and add-ons"):
                dns = IPv4Network(config.service_network())[10]  # kubeadm's choice
                flux.install_add_ons(self.settings, self.kubectl, dns=dns, coredns_image=coredns)
                monitoring.start(self.settings, self.processes, watched(self.settings, self.engine, self._addresses()))
                flux.install(self.settings, self.kubectl, built["source-controller"].parent)
                services.result()
                flux.reconcile(self.settings, self.kubectl)
                self._wait_nodes()
        with steps.step("Flux deploys Velero"):
            monitoring.expose(self.kubectl)
            flux.wait_deployed(self.kubectl)
        return self._facts(built, steps)

    def _connect(self, built: dict[str, Path]) -> None:
        """The S3 host and the Git server, plugged into the network of the nodes to come."""
        self.cgroups.create()
        pki.issue_services(self.settings, self.state / "pki")
        self._note_modules()
        own = self.engine.own
        self.processes.start(network.SWITCH, ["sleep", "infinity"], netns="new" if own else "host")
        if own:
            self.engine.start(self.processes, self.cgroups.folder)
        network.connect(self.settings, self.processes, self.engine.connect())
        # Docker publishes the API server at its own side of the network: the machine, or our switch.
        api_server = f"127.0.0.1:{self.settings.api_port}" if own else ""
        self._forward(built["forwarder"], netns=network.SWITCH, api_server=api_server)

    def _create(self, built: dict[str, Path]) -> None:
        """Let kind create the cluster, unless it has; what an interrupted call left is made anew."""
        settings = self.settings
        if settings.created.exists():
            return
        settings.claim.touch()
        nodes.save_sysctls(settings)
        self.engine.remove_nodes()
        if self.engine.own and not self.engine.has_image(node_image.REFERENCE):
            self.engine.docker("load", "--quiet", "--input", node_image.archive(built))
        image = node_image.REFERENCE if self.engine.own else config.official_image()
        restrict = self.engine.own and not has_capability(SYS_RESOURCE)
        path = config.write(settings, image=image, restrict_scores=restrict)
        kubeconfig = f"--kubeconfig={self.state / 'kubeconfig'}"
        self._kind(built["kind"], "create", "cluster", f"--config={path}", kubeconfig, "--retain")
        settings.created.touch()

    def _kind(self, program: Path, *arguments: str | Path) -> None:
        """Call kind, with its words in the log ``kind``; raises AcceptanceError with the last of them."""
        network_name = {"KIND_EXPERIMENTAL_DOCKER_NETWORK": self.settings.docker_network}
        environment = {**self.engine.environment, "KIND_EXPERIMENTAL_PROVIDER": "docker", **network_name}
        launcher = self.processes.launcher(self.state / "kind-call")
        command = [*launcher, program, *arguments, f"--name={self.settings.name}"]
        seconds = timeouts.seconds("kind_call")
        try:
            with (self.processes.logs / "kind.log").open("a") as log:
                subprocess.run(command, env=environment, stdout=log, stderr=log, check=True, timeout=seconds)
        except (OSError, subprocess.SubprocessError) as error:
            late = "took too long" if isinstance(error, subprocess.TimeoutExpired) else "failed"
            raise AcceptanceError(f"kind {arguments[0]} {late}: {self.processes.tail('kind')}") from None

    def _route_pods(self) -> None:
        """Lead the S3 host and the Git server to the pods, which answer with their own addresses."""

        def ranges() -> dict[str, str]:
            return {subnet: _address(node) for node in self._listed() if (subnet := node["spec"].get("podCIDR"))}

        found = poll(
            ranges,
            until=lambda found: len(found) == len(self._nodes()),
            event="every node has a range of pod addresses",
            timeout=timeouts.seconds("lab_nodes_ready"),
        )
        for host in network.hosts(self.settings):
            for subnet, gateway in found.items():
                network.route(self.processes.require(host), IPv4Network(subnet), IPv4Address(gateway))

    def _load(self, kind: Path, archives: dict[str, Path]) -> None:
        """The pod network to every node, the add-ons to one worker, the rest to all workers."""
        settings = self.settings
        places = {reference: settings.workers for reference in archives if reference != images.PAUSE}
        places |= dict.fromkeys(images.ADD_ONS & archives.keys(), settings.workers[:1]) | {PODNET: self._nodes()}
        self._load_to(kind, [archives[PODNET]], places.pop(PODNET))
        self.kubectl.apply(flux.render("podnet", image=PODNET, control_plane=settings.container(CONTROL_PLANE)))
        for chosen in (settings.workers, settings.workers[:1]):
            if wanted := [archives[reference] for reference, place in places.items() if place == chosen]:
                self._load_to(kind, wanted, chosen)

    def _load_image(self, archive: Path) -> None:
        self._load_to(build.binaries(self.modules)["kind"], [archive], self.settings.workers)

    def _load_to(self, kind: Path, wanted: list[Path], chosen: list[str]) -> None:
        self._kind(kind, "load", "image-archive", *wanted, f"--nodes={','.join(chosen)}")

    def _remove_dns(self) -> str:
        """Make room for the lab's cluster DNS, which knows the names of S3 and Git; return the image to run it with."""
        found = self.kubectl.get("deployment", "coredns", "-n", "kube-system")
        self.kubectl.run("delete", "deployment", "coredns", "-n", "kube-system", "--ignore-not-found")
        if self.engine.own or found is None:
            return images.COREDNS
        return str(found["spec"]["template"]["spec"]["containers"][0]["image"])

    def _nodes(self) -> list[str]:
        return sorted(self.engine.nodes())

    def _listed(self) -> list[dict[str, Any]]:
        """The nodes, as the API server has them."""
        return list((self.kubectl.get("nodes") or {}).get("items", []))

    def _addresses(self) -> dict[str, str]:
        return {node["metadata"]["name"]: _address(node) for node in self._listed()}

    def _facts(self, built: dict[str, Path], steps: Steps) -> LabFacts:
        facts = super()._facts(built, steps)
        versions = {**facts.versions, "kind": KIND_VERSION, "kubernetes": _version_of_nodes(self._listed())}
        return facts.model_copy(update={"versions": versions})

    # -- status and down -----------------------------------------------------------------

    def status(self) -> dict[str, str]:
        """Every process beside the cluster, and every node."""
        found = super().status()
        if not self.settings.created.exists() or "ended" in found.values():
            return found
        states = self.engine.nodes() if self.engine.answers() else {"Docker engine": "ended"}
        return found | {name: state if state == "running" else "ended" for name, state in states.items()}

    def _remove(self) -> None:
        if not self.engine.own and self.settings.claim.exists() and self.engine.answers():
            self.engine.remove_nodes()
            self.engine.disconnect()
        made_by_docker = (self.state / "modules-absent").exists()
        super()._remove()
        if made_by_docker:
            with contextlib.suppress(OSError):  # somebody has put something there
                KERNEL_MODULES.rmdir()
        self.engine = Engine(self.settings, own=False)

    def _note_modules(self) -> None:
        if not KERNEL_MODULES.exists():
            (self.state / "modules-absent").touch()


def _address(node: dict[str, Any]) -> str:
    return str(next(a["address"] for a in node["status"]["addresses"] if a["type"] == "InternalIP"))


def _version_of_nodes(listed: list[dict[str, Any]]) -> str:
    return str(listed[0]["status"]["nodeInfo"]["kubeletVersion"])
