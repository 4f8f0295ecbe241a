"""What the lab needs of the kernel: each feature is tried, loaded if it is a module, or refused in one sentence.

A feature is proved by using it in a scratch namespace, which also makes the kernel load what it loads by itself.
So a kernel that has everything built in, and no ``/lib/modules``, passes.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from lab import network
from lab.cgroups import MOUNT
from lab.preflight import has_capability
from velero_acceptance.core import timeouts
from velero_acceptance.core.errors import AcceptanceError, Refusal
from velero_acceptance.core.programs import execute

CONNECTION_TRACKING = Path("/proc/sys/net/netfilter/nf_conntrack_max")
CAP_SYS_MODULE = 16  # of linux/capability.h
# Of a machine with cgroup v2 alone: what kubelet and runc limit.
CONTROLLERS = ("cpu", "cpuset", "memory", "pids")
# Modules of every table, by either kind of iptables: nftables with the old matches, and the old tables.
TABLES = ("nf_tables", "nft_compat", "ip_tables")


@dataclass(frozen=True)
class Feature:
    """One feature: the kernel *modules* that bring it, what the lab needs it for, and a trial of it."""

    name: str
    purpose: str
    works: Callable[[], bool]
    modules: tuple[str, ...] = ()


def features(folder: Path) -> list[Feature]:
    """Every feature that the lab relies on; *folder* is on the disk that the nodes will have."""
    nat = ("nft_chain_nat", "iptable_nat", "nf_nat")
    links = [
        Feature("veth", "connects hosts and pods", partial(can_add_link, "veth")),
        Feature("bridge", "is the lab's switch", partial(can_add_link, "bridge")),
    ]
    rules = [
        (nat, "has kube-proxy's addresses of services", "nat", ""),
        (("iptable_filter",), "has kube-proxy's rejections", "filter", ""),
        (("iptable_mangle",), "has kubelet's mark in it", "mangle", ""),
        (("xt_comment",), "is in every rule of kube-proxy", "filter", "-m comment --comment x"),
        (("xt_mark",), "marks what kube-proxy masquerades", "nat", "-m mark --mark 1/1 -j MARK --or-mark 1"),
        (("xt_conntrack",), "tells kube-proxy known connections", "filter", "-m conntrack --ctstate INVALID"),
        (("xt_statistic",), "spreads a service over its pods", "nat", "-m statistic --mode random --probability 0.5"),
        (("xt_addrtype",), "tells kube-proxy its own addresses", "nat", "-m addrtype --dst-type LOCAL"),
        (("xt_multiport",), "forwards ports of nodes to pods", "nat", "-p tcp -m multiport --dports 80,81"),
        (("xt_tcpudp",), "selects the port of a service", "nat", "-p tcp -m tcp --dport 80"),
        (("xt_nat",), "leads a service to a pod", "nat", "-p tcp -j DNAT --to-destination 192.0.2.1:80"),
        (("xt_MASQUERADE", "ipt_MASQUERADE"), "hides pods behind their node", "nat", "-j MASQUERADE --random-fully"),
        (("ipt_REJECT", "nf_reject_ipv4"), "answers for a service without pods", "filter", "-j REJECT"),
    ]
    return [
        *(Feature(f"cgroup controller {name}", "limits pods", partial(has_controller, name)) for name in CONTROLLERS),
        Feature("overlay", "is the file system of containers", partial(can_mount_overlay, folder), ("overlay",)),
        *(Feature(link.name, link.purpose, link.works, (link.name,)) for link in links),
        # kube-proxy ends at once without its settings, and nothing loads it by itself.
        Feature("nf_conntrack", "tracks the connections of services", CONNECTION_TRACKING.exists, ("nf_conntrack",)),
        *(
            Feature(modules[0], purpose, partial(can_add_rule, table, rule), (*TABLES, *modules))
            for modules, purpose, table, rule in rules
        ),
    ]


def require(folder: Path) -> None:
    """Load what is missing; raises Refusal naming the first feature that this kernel does not have.

    *folder* is where the nodes' disks will be; it need not exist yet.
    """
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    for feature in features(existing):
        if not feature.works():
            said = [load(module) for module in feature.modules]
            if not feature.works():
                raise Refusal(_refusal(feature, next(filter(None, said), "")))


def load(module: str) -> str:
    """Have *module* loaded; return modprobe's complaint, empty when there is none."""
    try:
        done = execute("modprobe", module, timeout=timeouts.seconds("lab_program_call"))
    except AcceptanceError as error:
        return str(error)
    return done.stderr.strip()


def _refusal(feature: Feature, said: str) -> str:
    need = f"the kernel {os.uname().release} has no {feature.name}, which {feature.purpose}"
    if not feature.modules:
        return f"{need}: enable it for this machine or container (systemd's Delegate=, Docker's --cgroupns)"
    if not has_capability(CAP_SYS_MODULE):
        return f"{need}, and this container may load no modules: run `modprobe {feature.name}` on its host"
    words = f" ({said})" if said else ""
    return f"{need}{words}: install the package with this kernel's modules, or use --target current"


def has_controller(name: str, mount: Path = MOUNT) -> bool:
    """Whether cgroup v2 offers a controller; with v1 each has a hierarchy, which the lab looks for itself."""
    offered = mount / "cgroup.controllers"
    return not offered.exists() or name in offered.read_text().split()


def can_add_link(kind: str) -> bool:
    """Whether a network interface of that kind can be made."""

    def add() -> bool:
        peer = {"peer": "trial1"} if kind == "veth" else {}
        with IPRoute() as links:
            try:
                links.link("add", ifname="trial0", kind=kind, **peer)
            except NetlinkError:
                return False
        return True

    return network.in_new_network(add)


def can_add_rule(table: str, rule: str) -> bool:
    """Whether iptables takes *rule* into a chain of *table*."""
    lines = f"*{table}\n:TRIAL - [0:0]\n{f'-A TRIAL {rule}' if rule else ''}\nCOMMIT\n"
    seconds = timeouts.seconds("lab_program_call")
    return network.in_new_network(lambda: execute("iptables-restore", timeout=seconds, stdin=lines)).code == 0


def can_mount_overlay(folder: Path) -> bool:
    """Whether an overlay with its upper folder in *folder* can be mounted, which is not so on another overlay."""
    with tempfile.TemporaryDirectory(dir=folder, prefix=".trial-") as name:
        for part in ("lower", "upper", "work", "merged"):
            Path(name, part).mkdir()
        layers = f"lowerdir={name}/lower,upperdir={name}/upper,workdir={name}/work"
        mount = [str(shutil.which("mount")), "-t", "overlay", "overlay", "-o", layers, f"{name}/merged"]
        command = ["unshare", "--mount", "--propagation=private", *mount]
        return execute(*command, timeout=timeouts.seconds("lab_program_call")).code == 0
