"""Programs that come from Debian packages.

Packages with a daemon (containerd, the registry, Prometheus) are downloaded and unpacked into the cache,
not installed: installing them would start a service, or replace Docker's containerd.
What has no daemon is installed the ordinary way.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from acceptance.errors import AcceptanceError, Refusal
from acceptance.figures import cache_folder

UNPACKED = (
    "busybox-static",
    "containerd",
    "containernetworking-plugins",
    "docker-registry",
    "prometheus",
    "prometheus-blackbox-exporter",
    "restic",
    "runc",
)
# Package by a program it brings, for those that are installed.
INSTALLED = {"iptables": "iptables", "git": "git", "nsenter": "util-linux", "mount": "mount", "tcpdump": "tcpdump"}
LIBRARIES = {"libseccomp2": "/usr/lib/x86_64-linux-gnu/libseccomp.so.2"}
APT_SECONDS = 600


def root() -> Path:
    """The folder that the unpacked packages fill."""
    return cache_folder() / "debian" / "-".join(("bookworm", *UNPACKED))


def program(path: str) -> Path:
    """An unpacked program by its path in the package, e.g. ``usr/bin/containerd``."""
    return root() / path


def ensure() -> bool:
    """Install and unpack what is missing; say whether anything was. Raises Refusal without apt."""
    absent = [package for tool, package in INSTALLED.items() if shutil.which(tool) is None]
    absent += [package for package, path in LIBRARIES.items() if not Path(path).exists()]
    unpack = not root().exists()
    if not absent and not unpack:
        return False
    if shutil.which("apt-get") is None:
        raise Refusal("apt-get is missing: the lab takes containerd, runc and restic from Debian 12 or later")
    _apt("update")
    if absent:
        _apt("install", "--yes", "--no-install-recommends", *absent)
    if unpack:
        _unpack()
    return True


def _unpack() -> None:
    root().parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root().parent, prefix=".unpack-") as name:
        work = Path(name)
        _apt("download", *UNPACKED, folder=work)
        target = work / "root"
        for package in work.glob("*.deb"):
            subprocess.run(["dpkg-deb", "--extract", package, target], check=True)
        target.rename(root())


def _apt(*arguments: str, folder: Path | None = None) -> None:
    done = subprocess.run(
        ["apt-get", "-qq", "-o", "APT::Sandbox::User=root", *arguments],
        cwd=folder,
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        capture_output=True,
        text=True,
        timeout=APT_SECONDS,
    )
    if done.returncode != 0:
        raise AcceptanceError(f"apt-get {arguments[0]} failed: {' | '.join(done.stderr.strip().splitlines()[-4:])}")
