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
from collections.abc import Mapping, Sequence
from pathlib import Path

from velero_acceptance.core.errors import AcceptanceError, Refusal
from velero_acceptance.core.installation import cache_folder

RELEASE = "bookworm"
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
INSTALLED = {
    "iptables": "iptables",
    "git": "git",
    "nsenter": "util-linux",
    "mount": "mount",
    "tcpdump": "tcpdump",
    "modprobe": "kmod",
}
LIBRARIES = {"libseccomp2": "/usr/lib/x86_64-linux-gnu/libseccomp.so.2"}
APT_SECONDS = 600


def root(packages: tuple[str, ...] = UNPACKED) -> Path:
    """The folder that the unpacked *packages* fill."""
    return cache_folder() / "debian" / "-".join((RELEASE, *packages))


def program(path: str) -> Path:
    """An unpacked program by its path in the package, e.g. ``usr/bin/containerd``."""
    return root() / path


def ensure(packages: tuple[str, ...] = UNPACKED) -> bool:
    """Install what is missing and unpack *packages*; say whether anything was missing. Raises Refusal without apt."""
    libraries = [package for package, path in LIBRARIES.items() if not Path(path).exists()]
    unpack = not root(packages).exists()
    installed = install(INSTALLED, libraries, update=unpack)
    if unpack:
        _unpack(packages)
    return installed or unpack


def install(packages: Mapping[str, str], others: Sequence[str] = (), *, update: bool = False) -> bool:
    """Install the package of each program that is missing, and *others*; say whether there was any.

    *update* refreshes the list of packages also when nothing is missing. Raises Refusal without apt.
    """
    absent = [*(package for tool, package in packages.items() if shutil.which(tool) is None), *others]
    if not absent and not update:
        return False
    if shutil.which("apt-get") is None:
        raise Refusal("apt-get is missing: containerd, runc, restic and the like come from Debian 12 or later")
    _apt("update")
    if absent:
        _apt("install", "--yes", "--no-install-recommends", *absent)
    return bool(absent)


def mirror() -> str:
    """The address that apt takes RELEASE from; raises Refusal when it has none."""
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", f"Codename: {RELEASE}"]
    done = subprocess.run(command, capture_output=True, text=True) if shutil.which("apt-get") else None
    if done is None or not done.stdout.strip():
        raise Refusal(f"apt knows no mirror of Debian {RELEASE}: add one to its sources")
    return done.stdout.split()[0]


def _unpack(packages: tuple[str, ...]) -> None:
    target_folder = root(packages)
    target_folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target_folder.parent, prefix=".unpack-") as name:
        work = Path(name)
        _apt("download", *packages, folder=work)
        target = work / "root"
        for package in work.glob("*.deb"):
            subprocess.run(["dpkg-deb", "--extract", package, target], check=True)
        target.rename(target_folder)


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
