"""All that a machine has on which nothing but the lab is at work."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from lab.tests import machine
from velero_acceptance.core.installation import ROOT, cache_folder

# Written by kernel, systemd and the tests themselves.
NOISE = ("/proc", "/sys", "/dev", "/tmp", "/run", "/var/log/journal", "/var/tmp/systemd-private", "/var/lib/systemd")
TABLES = ("iptables-save", "ip6tables-save")


def look() -> dict[str, set[str]]:
    """What machine.look tells, and all processes, namespaces, packet filters and files."""
    return {**machine.look(), "processes": _processes(), **_namespaces(), "packet filters": _rules(), "files": _files()}


def _processes() -> set[str]:
    """Every program that runs, by its command line; kernel threads have none."""
    lines = (_read(path) for path in Path("/proc").glob("[0-9]*/cmdline"))
    return {line.replace("\0", " ").strip() for line in lines if line}


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:  # ended while we looked
        return ""


def _namespaces() -> dict[str, set[str]]:
    return {f"{kind} namespaces": machine._namespaces(kind) for kind in ("net", "mnt", "pid", "uts", "ipc", "cgroup")}


def _rules() -> set[str]:
    """Rules of packet filters, without the lines that hold a time or a counter."""
    found = set()
    for program in TABLES:
        done = subprocess.run([program], capture_output=True, text=True, check=True)
        found |= {f"{program}: {line}" for line in done.stdout.splitlines() if line.startswith("-")}
    return found


def _files() -> set[str]:
    """Every file outside the checkout, the cache and the noise."""
    noise = (*NOISE, str(ROOT), str(cache_folder()))
    found: set[str] = set()
    for folder, below, files in os.walk("/"):
        below[:] = [name for name in below if not os.path.join(folder, name).startswith(noise)]
        found.update(os.path.join(folder, name) for name in files if not name.endswith(".pyc"))
    return found
