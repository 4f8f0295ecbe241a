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
DELEGATE = "enable it for this machine or container (systemd's Delegate=, Docker's --cgroupns)"
ON_A_DISK = "load its module, and let XDG_STATE_HOME be on a disk, in a container on a volume"
# Modules of every table, by either kind of iptables: nftables with the old matches, and the old tables.
TABLES = ("nf_tables", "nft_compat", "ip_tables")


@dataclass(frozen=True)
class Feature:
    """One feature: what the lab needs it for, a trial that returns what fails ("" for nothing), and its modules."""

    name: str
    purpose: str
    fault: Callable[[], str]
    modules: tuple[str, ...] = ()
    advice: str = "install the package with this kernel's modules, or use --target current"


def features(folder: Path) -> list[Feature]:
    """Every feature that the lab relies on; *folder* is on the disk that the nodes will have."""
    nat = ("nft_chain_nat", "iptable_nat", "nf_nat")
    links = [
        Feature("veth", "connects hosts and pods", partial(link_fault, "veth"), ("veth",)),
        Feature("bridge", "is the lab's switch", partial(link_fault, "bridge"), ("bridge",)),
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
        *(
            Feature(f"cgroup controller {name}", "limits pods", partial(controller_fault, name), advice=DELEGATE)
            for name in CONTROLLERS
        ),
        Feature("overlay", "is the file system of containers", partial(overlay_fault, folder), ("overlay",), ON_A_DISK),
        *links,
        # kube-proxy ends at once without its settings, and nothing loads it by itself.
        Feature("nf_conntrack", "tracks the connections of services", tracking_fault, ("nf_conntrack",)),
        *(
            Feature(modules[0], purpose, partial(rule_fault, table, rule), (*TABLES, *modules))
            for modules, purpose, table, rule in rules
        ),
    ]


def require(folder: Path) -> None:
    """Load what is missing; raises Refusal naming the first feature that this kernel does not have.

    *folder* is where the nodes' disks will be; it need not exist yet.
    """
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    for feature in features(existing):
        if feature.fault():
            said = {module: load(module) for module in feature.modules}
            if fault := feature.fault():
                words = [fault, said.get(feature.name, "")]
                raise Refusal(_refusal(feature, "; ".join(filter(None, words))))


def load(module: str) -> str:
    """Have *module* loaded; return modprobe's complaint, empty when there is none."""
    try:
        done = execute("modprobe", module, timeout=timeouts.seconds("lab_program_call"))
    except AcceptanceError as error:
        return str(error)
    return done.stderr.strip()


def _refusal(feature: Feature, said: str) -> str:
    need = f"the kernel {os.uname().release} has no {feature.name}, which {feature.purpose}"
    if feature.modules and not has_capability(CAP_SYS_MODULE):
        return f"{need}, and this container may load no modules: run `modprobe {feature.name}` on its host"
    return f"{need} ({said}): {feature.advice}"


def controller_fault(name: str, mount: Path = MOUNT) -> str:
    """Why pods cannot be limited by a controller: cgroup v2 lacks it. With v1 each has a hierarchy of its own."""
    offered = mount / "cgroup.controllers"
    return f"{offered} lacks it" if offered.exists() and name not in offered.read_text().split() else ""


def tracking_fault() -> str:
    """Why kube-proxy would end at once: its settings are missing."""
    return "" if CONNECTION_TRACKING.exists() else f"there is no {CONNECTION_TRACKING}"


def link_fault(kind: str) -> str:
    """Why no network interface of that kind can be made."""

    def add() -> str:
        peer = {"peer": "trial1"} if kind == "veth" else {}
        with IPRoute() as links:
            try:
                links.link("add", ifname="trial0", kind=kind, **peer)
            except NetlinkError as error:
                return str(error.args[-1])
        return ""

    return network.in_new_network(add)


def rule_fault(table: str, rule: str) -> str:
    """Why iptables does not take *rule* into a chain of *table*."""
    lines = f"*{table}\n:TRIAL - [0:0]\n{f'-A TRIAL {rule}' if rule else ''}\nCOMMIT\n"
    seconds = timeouts.seconds("lab_program_call")
    done = network.in_new_network(lambda: execute("iptables-restore", timeout=seconds, stdin=lines))
    return f"iptables-restore: {done.words()}" if done.code != 0 else ""


def overlay_fault(folder: Path) -> str:
    """Why no overlay with its upper folder in *folder* can be mounted, as on another overlay."""
    with tempfile.TemporaryDirectory(dir=folder, prefix=".trial-") as name:
        for part in ("lower", "upper", "work", "merged"):
            Path(name, part).mkdir()
        layers = f"lowerdir={name}/lower,upperdir={name}/upper,workdir={name}/work"
        mount = [str(shutil.which("mount")), "-t", "overlay", "overlay", "-o", layers, f"{name}/merged"]
        command = ["unshare", "--mount", "--propagation=private", *mount]
        done = execute(*command, timeout=timeouts.seconds("lab_program_call"))
        return f"in {folder}, {done.words()}" if done.code != 0 else ""
