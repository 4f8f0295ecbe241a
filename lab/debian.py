"""Programs that come from Debian packages.

Packages with a daemon (containerd, the registry, Prometheus) are downloaded and unpacked into the cache,
not installed: installing them would start a service, or replace Docker's containerd.
What has no daemon is installed the ordinary way. The release is the machine's.
"""

from __future__ import annotations

import gzip
import os
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from velero_acceptance.core import timeouts
from velero_acceptance.core.errors import AcceptanceError, Refusal
from velero_acceptance.core.installation import cache_folder
from velero_acceptance.core.programs import execute

# By the codename in /etc/os-release.
RELEASES = {"bookworm": "Debian 12", "trixie": "Debian 13", "noble": "Ubuntu 24.04"}
OS_RELEASE = Path("/etc/os-release")
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
# Packages that hold on a release what one package holds on the others.
SPLIT = {"trixie": {"prometheus": ("promtool",), "docker.io": ("docker-cli",)}}
# Package by a program it brings, for those that are installed.
INSTALLED = {
    "git": "git",
    "iptables": "iptables",
    "modprobe": "kmod",
    "mount": "mount",
    "nsenter": "util-linux",
    "tcpdump": "tcpdump",
}
# Package by a file it brings: shared libraries of what is unpacked, and the authorities in the images.
FILES = {
    "libseccomp2": "/usr/lib/x86_64-linux-gnu/libseccomp.so.2",
    "ca-certificates": "/etc/ssl/certs/ca-certificates.crt",
}
CHANGELOGS = ("changelog.Debian.gz", "changelog.gz")
NOT_FOUND = re.compile(r"Unable to locate package (\S+)|Package '?(\S+?)'? has no installation candidate")


def release() -> str:
    """The machine's release by codename; raises Refusal for one that the lab does not know."""
    lines = OS_RELEASE.read_text().splitlines() if OS_RELEASE.exists() else []
    found = {key: value.strip('"') for key, _, value in (line.partition("=") for line in lines)}
    codename = found.get("VERSION_CODENAME", "")
    if codename not in RELEASES:
        raise Refusal(
            f"containerd, runc, restic and the like come from {', '.join(RELEASES.values())}, "
            f"this is {found.get('PRETTY_NAME', 'another system')}: use --target current"
        )
    return codename


def root(packages: tuple[str, ...] = UNPACKED) -> Path:
    """The folder that the unpacked *packages* fill."""
    return cache_folder() / "debian" / "-".join((release(), *_whole(packages)))


def _whole(packages: tuple[str, ...]) -> tuple[str, ...]:
    split = SPLIT.get(release(), {})
    return (*packages, *(other for package in packages for other in split.get(package, ())))


def program(path: str) -> Path:
    """An unpacked program by its path in Debian 12; ``bin/busybox``, say, is in ``usr/bin`` elsewhere."""
    return next((found for found in (root() / path, root() / "usr" / path) if found.exists()), root() / path)


def versions(packages: tuple[str, ...] = UNPACKED) -> dict[str, str]:
    """The version of each unpacked package, from its changelog."""
    documents = root(packages) / "usr/share/doc"
    found = {package: _version(documents / package) for package in _whole(packages)}
    return {package: version for package, version in found.items() if version}


def _version(documents: Path) -> str:
    for path in (documents / name for name in CHANGELOGS):
        if path.exists():
            with gzip.open(path, "rt", errors="replace") as changelog:
                if top := re.match(r"\S+ \((\S+)\)", changelog.readline()):
                    return top[1]
    return ""


def ensure(packages: tuple[str, ...] = UNPACKED) -> bool:
    """Install what is missing and unpack *packages*; say whether anything was missing. Raises Refusal without apt."""
    absent = [package for package, path in FILES.items() if not Path(path).exists()]
    unpack = not root(packages).exists()
    installed = install(INSTALLED, absent, update=unpack)
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
        raise Refusal(f"apt-get is missing, and {', '.join([*absent, *UNPACKED])} come from Debian or Ubuntu packages")
    _apt("update")
    if absent:
        _apt("install", "--yes", "--no-install-recommends", *absent)
    return bool(absent)


def mirror() -> str:
    """The address that apt takes the machine's release from; raises Refusal when it has none."""
    codename = release()
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", f"Codename: {codename}"]
    known = execute(*command, timeout=timeouts.seconds("lab_program_call")).text if shutil.which("apt-get") else ""
    if not known.strip():
        raise Refusal(f"apt knows no mirror of {RELEASES[codename]}: add one to its sources")
    return known.split()[0]


def _unpack(packages: tuple[str, ...]) -> None:
    """Download and unpack *packages*, all or nothing."""
    target_folder = root(packages)
    target_folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target_folder.parent, prefix=".unpack-") as name:
        work = Path(name)
        _apt("download", *_whole(packages), folder=work)
        target = work / "root"
        for package in work.glob("*.deb"):
            done = execute("dpkg-deb", "--extract", package, target, timeout=timeouts.seconds("lab_packages_fetched"))
            if done.code != 0:
                raise AcceptanceError(f"{package.name} cannot be unpacked to {target_folder.parent}: {done.words(1)}")
        target.rename(target_folder)


def _apt(*arguments: str, folder: Path | None = None) -> None:
    done = execute(
        "apt-get",
        "-qq",
        # The folder is not that of apt's own user; and a machine that has just started updates itself.
        *("-o", "APT::Sandbox::User=root", "-o", "DPkg::Lock::Timeout=300"),
        *arguments,
        what=f"apt-get {arguments[0]}",
        folder=folder,
        environment={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        timeout=timeouts.seconds("lab_packages_fetched"),
    )
    if unknown := NOT_FOUND.search(done.stderr):
        raise Refusal(
            f"apt has no package {unknown[1] or unknown[2]}: "
            "add the component that holds it to apt's sources (on Ubuntu, universe)"
        )
    if done.code != 0:
        raise AcceptanceError(f"apt-get {arguments[0]} failed: {done.words()}")
