"""The lab's network: one switch, and a cable to each host. The machine's own network is not touched.

Each host is a network namespace held by a process (``Processes.hold_network``); hosts are
``control``, ``s3`` and the nodes. Pods of every node are routed, not bridged, so that a pod
reaches the others and the S3 host with its own address.
"""

from __future__ import annotations

import ctypes
import os
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv4Network
from typing import TypeVar

from pyroute2 import IPRoute, NetNS

from lab.launch import CLONE_NEWNET
from lab.processes import Processes
from lab.settings import LabSettings
from velero_acceptance.core.errors import Refusal

SWITCH = "switch"
BRIDGE = "br0"


def hosts(settings: LabSettings) -> dict[str, IPv4Address]:
    """Every host of the lab with its address."""
    nodes = {name: settings.node_address(index) for index, name in enumerate(settings.node_names, start=1)}
    return {"control": settings.control, "s3": settings.s3, **nodes}


def refuse_taken_network(settings: LabSettings) -> None:
    """Raise Refusal when the machine itself has an address or a route in the lab's network."""
    with IPRoute() as own:
        taken = [f"{found.get('address')}/{found['prefixlen']}" for found in own.get_addr(family=socket.AF_INET)]
        routes = [route for route in own.get_routes(family=socket.AF_INET) if route.get("dst")]
        taken += [f"{route.get('dst')}/{route['dst_len']}" for route in routes]
    for text in taken:
        if IPv4Network(text, strict=False).overlaps(settings.network):
            raise Refusal(
                f"the lab's network {settings.network} overlaps {text} of this machine: "
                f"choose another with {settings.variable('network')}"
            )


def refuse_taken_ports(settings: LabSettings) -> None:
    """Raise Refusal when a loopback port that the lab forwards is in use."""
    for purpose, port in settings.forwarded_ports.items():
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                variable = next(name for name, value in settings if value == port and name.endswith("_port"))
                raise Refusal(
                    f"port {port} of 127.0.0.1 ({purpose}) is in use: free it or set {settings.variable(variable)}"
                ) from None


def connect(settings: LabSettings, processes: Processes, bridge_name: str = BRIDGE) -> None:
    """Make the switch, the hosts and their cables; what is there already stays."""
    pids = {name: processes.hold_network(name) for name in (SWITCH, *hosts(settings))}
    with NetNS(f"/proc/{pids[SWITCH]}/ns/net", flags=0) as switch:
        if not switch.link_lookup(ifname=bridge_name):
            switch.link("add", ifname=bridge_name, kind="bridge")
        bridge = switch.link_lookup(ifname=bridge_name)[0]
        switch.addr("replace", index=bridge, address=str(settings.gateway), prefixlen=settings.network.prefixlen)
        switch.link("set", index=bridge, state="up")
        for name in hosts(settings):
            if not switch.link_lookup(ifname=name):
                switch.link("add", ifname=name, kind="veth", peer={"ifname": "eth0", "net_ns_pid": pids[name]})
            switch.link("set", index=switch.link_lookup(ifname=name)[0], master=bridge, state="up")
    for name, address in hosts(settings).items():
        _configure(settings, name, address, pids[name])


def _configure(settings: LabSettings, name: str, address: IPv4Address, pid: int) -> None:
    with NetNS(f"/proc/{pid}/ns/net", flags=0) as host:
        host.link("set", index=host.link_lookup(ifname="lo")[0], state="up")
        cable = host.link_lookup(ifname="eth0")[0]
        host.addr("replace", index=cable, address=str(address), prefixlen=settings.network.prefixlen)
        host.link("set", index=cable, state="up")
        # Leads nowhere, but kube-proxy needs a route for service addresses to rewrite them.
        host.route("replace", dst="default", gateway=str(settings.gateway))
        for index, node in enumerate(settings.node_names, start=1):
            if node != name:
                host.route("replace", dst=str(settings.pod_subnet(index)), gateway=str(settings.node_address(index)))


def route(pid: int, subnet: IPv4Network, gateway: IPv4Address) -> None:
    """Lead what the network of process *pid* sends to *subnet* over *gateway*."""
    with NetNS(f"/proc/{pid}/ns/net", flags=0) as host:
        host.route("replace", dst=str(subnet), gateway=str(gateway))


T = TypeVar("T")


def inside(pid: int, work: Callable[[], T]) -> T:
    """Do *work* in the network namespace of process *pid*, in a thread of its own.

    A namespace belongs to a thread: the sockets that *work* opens are made in the lab, the rest
    of this process stays where it is.
    """

    def enter(libc: ctypes.CDLL) -> int:
        descriptor = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
        try:
            return int(libc.setns(descriptor, CLONE_NEWNET))
        finally:
            os.close(descriptor)

    return _in_thread(enter, work, f"cannot enter the network of process {pid}")


def in_new_network(work: Callable[[], T]) -> T:
    """Do *work* in a network namespace that ends with it; programs that it starts run there too."""
    return _in_thread(lambda libc: int(libc.unshare(CLONE_NEWNET)), work, "cannot make a network namespace")


def _in_thread(enter: Callable[[ctypes.CDLL], int], work: Callable[[], T], failure: str) -> T:
    def enter_and_work() -> T:
        if enter(ctypes.CDLL(None, use_errno=True)) != 0:
            raise OSError(ctypes.get_errno(), failure)
        return work()

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(enter_and_work).result()
