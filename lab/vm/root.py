"""The root file system of a guest: Debian with its own kernel, the checkout, and the cache that was built already.

Whatever has to be downloaded is downloaded here, from a chroot; the guest has no network.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from lab import debian
from lab.vm.guest import CACHE, CHECKOUT, Guest
from velero_acceptance.core import timeouts
from velero_acceptance.core.errors import AcceptanceError
from velero_acceptance.core.files import link_to
from velero_acceptance.core.installation import ROOT, cache_folder
from velero_acceptance.core.programs import execute

# Kernel, systemd, and what the README asks for: make, git and Python. The last one is for a container in the guest.
PACKAGES = (
    "ca-certificates",
    "dbus",
    "gcc",
    "git",
    "initramfs-tools",
    "iproute2",
    "iptables",
    "kmod",
    "libc6-dev",
    "linux-image-amd64",
    "make",
    "mount",
    "procps",
    "python3",
    "python3-venv",
    "systemd",
    "systemd-sysv",
    "tcpdump",
    "udev",
    "util-linux",
    "systemd-container",
)
COMPILED = ("velero_acceptance", "fixtures", "steps", "lab")
# Of the cache: what is built from source and what is unpacked. The images of these are written in the guest's root.
CACHED = ("bin", "debian")
FILES = Path(__file__).with_name("files")
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
# What leads to package registries from here.
PASSED_ON = ("PIP_", "GO", "SSL_", "REQUESTS_", "http_", "https_", "HTTP_", "HTTPS_", "no_", "NO_")


def make(guest: Guest) -> None:
    """Make the tree of *guest*, or bring it up to date; raises AcceptanceError."""
    if not (guest.root / "etc/debian_version").exists():
        _debootstrap(guest)
    _configure(guest.root)
    _copy_checkout(guest.root)
    _copy_cache(guest.root)
    in_chroot(guest.root, "make", "setup")
    in_chroot(guest.root, ".venv/bin/acceptance", "lab", "build")
    # Emulated, it would take minutes.
    in_chroot(guest.root, ".venv/bin/python", "-m", "compileall", "-qq", *COMPILED)


def in_chroot(root: Path, *command: str) -> str:
    """What *command* prints in the checkout of the tree *root*; raises AcceptanceError with its last words."""
    # The root is a mount too: pivot_root and overlay refuse one that is not.
    mounts = [
        f"mount --bind {root} {root}",
        *(f"mount --rbind /{name} {root}/{name}" for name in ("proc", "sys", "dev")),
    ]
    enter = f'{" && ".join(mounts)} && exec chroot {root} env --chdir=/{CHECKOUT} "$@"'
    passed_on = {name: value for name, value in os.environ.items() if name.startswith(PASSED_ON)}
    environment = {
        **passed_on,
        "HOME": "/root",
        "LANG": "C.UTF-8",
        "PATH": "/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    }
    return run(
        "unshare", "--mount", "--propagation=private", "sh", "-c", enter, "sh", *command, environment=environment
    )


def run(*command: str | Path, environment: dict[str, str] | None = None) -> str:
    """Standard output of *command*; raises AcceptanceError with its last words."""
    done = execute(*command, environment=environment, timeout=timeouts.seconds("vm_root_made"))
    if done.code != 0:
        raise AcceptanceError(f"{Path(command[0]).name} failed: {done.words()}")
    return done.text


def _debootstrap(guest: Guest) -> None:
    partial = guest.folder / "root.new"
    shutil.rmtree(partial, ignore_errors=True)
    partial.parent.mkdir(parents=True, exist_ok=True)
    options = ("--variant=minbase", f"--include={','.join(PACKAGES)}")
    run("unshare", "--mount", "--propagation=private", "debootstrap", *options, guest.release, partial, debian.mirror())
    partial.rename(guest.root)


def _configure(root: Path) -> None:
    shutil.copytree(FILES, root, dirs_exist_ok=True)
    (root / "etc/hostname").write_text("guest\n")
    (root / "etc/hosts").write_text("127.0.0.1 localhost guest\n")
    shutil.copy2(AUTHORITIES, root / AUTHORITIES.relative_to("/"))
    shutil.copyfile("/etc/resolv.conf", root / "etc/resolv.conf")
    units = root / "etc/systemd/system"
    # A job that begins while the lab is up would be taken for something that the lab left.
    link_to(units / "timers.target", "/dev/null")
    link_to(units / "default.target", "/lib/systemd/system/multi-user.target")
    link_to(units / "multi-user.target.wants/acceptance.service", "/etc/systemd/system/acceptance.service")
    link_to(units / "getty.target.wants/serial-getty@ttyS1.service", "/lib/systemd/system/serial-getty@.service")
    link_to(units / "serial-getty@ttyS0.service", "/dev/null")


def _copy_checkout(root: Path) -> None:
    """Only what is committed. An environment that is there already stays."""
    target = root / CHECKOUT
    new = target.with_suffix(".new")
    shutil.rmtree(new, ignore_errors=True)
    run("git", "clone", "--quiet", "--depth=1", f"file://{ROOT}", new)
    if (target / ".venv").exists():
        (target / ".venv").rename(new / ".venv")
    shutil.rmtree(target, ignore_errors=True)
    new.rename(target)


def _copy_cache(root: Path) -> None:
    """Programs, unpacked packages and images as this machine has them, and the Go that their keys name."""
    for name in CACHED:
        if (cache_folder() / name).exists():
            _copy(cache_folder() / name, root / CACHE / name)
    for path in (root / AUTHORITIES.relative_to("/"), *(root / CACHE).rglob("*")):
        # The key of an image has the times of its files, and mkfs.ext4 keeps whole seconds.
        seconds = int(path.lstat().st_mtime)
        os.utime(path, (seconds, seconds), follow_symlinks=False)
    if shutil.which("go") is not None:
        _copy(Path(run("go", "env", "GOROOT").strip()), root / "usr/local/go")


def _copy(folder: Path, target: Path) -> None:
    """Copy a folder over one that may be there already, links as links."""
    target.parent.mkdir(parents=True, exist_ok=True)
    run("cp", "--archive", "--no-target-directory", folder, target)
