"""What a machine looks like, so that two looks can be compared."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path

from pyroute2 import IPRoute

from lab.nodes import SYSCTLS
from lab.settings import LabSettings
from velero_acceptance.core.installation import cache_folder

# Written by the machine itself, or by the tests: not the lab's.
NOISE = ("/proc", "/sys", "/dev", "/tmp", "/root/.cache", "/root/go")
# Entries that come and go by themselves.
FILES = ("/run", "/etc", "/var/lib", "/var/log", "/var/openebs", "/opt/cni", "/usr/local/bin")


def look(own: LabSettings | None = None) -> dict[str, set[str]]:
    """Mounts, control groups, network, sysctls, processes' namespaces, folders and files of the machine.

    What belongs to others than the lab *own* (default: as the environment says) is left out where it can be told.
    """
    own = own or LabSettings()
    return {
        "mounts": {" ".join(line.split()[:3]) for line in Path("/proc/self/mounts").read_text().splitlines()},
        "control groups": _control_groups(own),
        "network": _network(),
        "sysctls": {f"{name} = {Path('/proc/sys', name).read_text().strip()}" for name in SYSCTLS},
        "network namespaces": _namespaces("net"),
        "mount namespaces": _namespaces("mnt"),
        "programs": _programs(),
        "folders": _tree(own),
        "files": {str(path) for top in FILES for path in Path(top).glob("*")},
    }


def differences(before: dict[str, set[str]], after: dict[str, set[str]]) -> list[str]:
    """What is there now and was not, and what was and is not."""
    found = [f"new in {what}: {entry}" for what, entries in after.items() for entry in sorted(entries - before[what])]
    gone = [f"gone from {what}: {entry}" for what, entries in before.items() for entry in sorted(entries - after[what])]
    return found + gone


def _control_groups(own: LabSettings) -> set[str]:
    """Every control group, but those of other labs: theirs come and go as they work."""
    other = re.compile(rf"/velero-lab-(?!{re.escape(own.group)}(/|$))")
    return {folder for folder, _, _ in os.walk("/sys/fs/cgroup") if not other.search(folder)}


def _network() -> set[str]:
    with IPRoute() as own:
        links = {f"link {link.get('ifname')}" for link in own.get_links()}
        addresses = {f"address {a.get('address')}" for a in own.get_addr(family=socket.AF_INET)}
        routes = {f"route {r.get('dst')}/{r['dst_len']}" for r in own.get_routes(family=socket.AF_INET)}
    return links | addresses | routes


def _namespaces(kind: str) -> set[str]:
    """Namespaces that any process holds."""
    found = set()
    for path in Path("/proc").glob(f"[0-9]*/ns/{kind}"):
        try:
            found.add(str(path.readlink()))
        except OSError:  # ended while we looked, or a kernel thread
            continue
    return found


def _programs() -> set[str]:
    """Live programs whose command line names the cache or a lab: what the lab starts does."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(cache_folder()) in words or "velero-acceptance" in words:
            found.add(words[:200])
    return found


def _tree(own: LabSettings) -> set[str]:
    """Every folder of the root file system outside the noise, the cache and other labs."""
    root = os.stat("/").st_dev
    others = (str(state) for state in own.state.parents[1].glob("*/*") if state != own.state)
    noise = (*NOISE, str(cache_folder()), *others)
    found: set[str] = set()
    for folder, below, _ in os.walk("/"):
        below[:] = [
            name
            for name in below
            if not (path := os.path.join(folder, name)).startswith(noise)
            and "/.git" not in path
            and "__pycache__" not in path
            and os.lstat(path).st_dev == root
        ]
        found.update(os.path.join(folder, name) for name in below)
    return found
