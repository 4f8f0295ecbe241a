"""What a machine must be to carry the kind cluster. Each refusal is one sentence; nothing has started yet."""

from __future__ import annotations

import shutil
from ipaddress import IPv4Network

import requests

from lab import build, debian, network, preflight
from lab.cgroups import Cgroups
from lab.kind import config
from lab.kind.engine import PACKAGES, Engine
from lab.kind.settings import KindSettings
from velero_acceptance.core import timeouts
from velero_acceptance.core.errors import Refusal
from velero_acceptance.core.timeouts import Timeouts

FREE_BYTES = 8 * 10**9


def check(settings: KindSettings) -> None:
    """Raise Refusal for the first thing that is not fit, whatever Docker engine there is."""
    Timeouts.from_environment()
    preflight.refuse_foreign_system()
    debian.release()
    preflight.refuse_missing_rights()
    preflight.refuse_full_disk(settings, FREE_BYTES)
    build.go_version()
    refuse_taken_ranges(settings)
    if not settings.state.exists():  # later the machine itself may have an address in it, as Docker's gateway
        network.refuse_taken_network(settings)


def refuse_taken_ranges(settings: KindSettings) -> None:
    """The nodes' network must not be part of the pods' or the services'."""
    for taken in (config.pod_network(), config.service_network()):
        if settings.network.overlaps(IPv4Network(taken)):
            raise Refusal(
                f"the network {settings.network} overlaps {taken} of kind-config.yaml: "
                f"choose another with {settings.variable('network')}"
            )


def refuse_foreign_cluster(settings: KindSettings, engine: Engine) -> None:
    """A cluster of that name which we did not make is not ours to use or to remove."""
    if engine.nodes() and not settings.claim.exists():
        raise Refusal(
            f"the kind cluster {settings.name} is not ours: "
            f"remove it with `kind delete cluster --name {settings.name}`, or set {settings.variable('name')}"
        )


def refuse_no_engine(*, have_image: bool, cgroups: Cgroups) -> None:
    """Without a Docker engine of the machine and its registry, both the engine and the nodes come from Debian."""
    missing = "there is no Docker engine with a node image here, and "
    if cgroups.version == 2:
        raise Refusal(
            f"{missing}ours is made for a machine with cgroup v1: start Docker, and let it reach its registry"
        )
    unpacked = debian.root(PACKAGES).exists() and debian.root().exists()
    if not unpacked and shutil.which("apt-get") is None:
        raise Refusal(f"{missing}without apt-get none can be unpacked: start Docker, and let it reach its registry")
    if not have_image:
        refuse_no_mirror()


def refuse_no_mirror() -> None:
    """debootstrap needs a mirror that answers, and wget to ask it."""
    address = f"{debian.mirror().rstrip('/')}/dists/{debian.release()}/Release"
    if shutil.which("wget") is None:
        raise Refusal("debootstrap, which makes the node image, needs wget: install it")
    try:
        answer = requests.head(address, timeout=timeouts.seconds("lab_mirror_answers"), allow_redirects=True)
    except requests.RequestException:
        answer = None
    if answer is None or not answer.ok:
        raise Refusal(
            f"the Debian mirror that apt uses has no {debian.release()} for debootstrap: "
            "give apt another one, or start Docker and let it reach its registry"
        )
