"""What a machine must be to carry the lab. Each refusal is one sentence; nothing has started yet."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from pathlib import Path

from lab import build, debian, network
from lab.settings import LabSettings
from velero_acceptance.core.errors import Refusal
from velero_acceptance.core.installation import cache_folder
from velero_acceptance.core.timeouts import Timeouts

FREE_BYTES = 15 * 10**9
# Bit numbers of linux/capability.h.
CAPABILITIES = {"CAP_NET_ADMIN": 12, "CAP_SYS_CHROOT": 18, "CAP_SYS_PTRACE": 19, "CAP_SYS_ADMIN": 21, "CAP_MKNOD": 27}
# A node has a /var and a /run of its own, which hide the machine's.
HIDDEN = (Path("/var"), Path("/run"))


def check(settings: LabSettings) -> None:
    """Raise Refusal for the first thing that is not fit."""
    Timeouts.from_environment()
    refuse_foreign_system()
    debian.release()
    refuse_missing_rights()
    refuse_hidden_folders(settings)
    refuse_full_disk(settings)
    build.go_version()
    network.refuse_taken_network(settings)


def refuse_foreign_system() -> None:
    """The lab is made of Linux namespaces and x86-64 Debian programs."""
    if platform.system() != "Linux":
        raise Refusal(f"the lab needs Linux, this is {platform.system()}: use --target current")
    if platform.machine() != "x86_64":
        raise Refusal(f"the lab needs an x86-64 machine, this is {platform.machine()}: use --target current")


def refuse_missing_rights() -> None:
    if os.geteuid() != 0:
        raise Refusal("the lab makes namespaces and mounts: run as root (for example with sudo)")
    refuse_plain_chroot()
    missing = [name for name, bit in CAPABILITIES.items() if not has_capability(bit)]
    if missing:
        raise Refusal(f"the capability {missing[0]} is missing: run outside a container, or in a privileged one")


def refuse_plain_chroot() -> None:
    """A node has mounts of its own, which takes a root that is itself mounted."""
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    if not any(line.split()[4] == "/" for line in mounts):
        raise Refusal(
            "this root is not mounted, as in a plain chroot: bind-mount the folder on itself and enter it again"
        )


def has_capability(bit: int) -> bool:
    """Whether this process has the capability of that number in linux/capability.h."""
    effective = next(
        int(line.split()[1], 16)
        for line in Path("/proc/self/status").read_text().splitlines()
        if line.startswith("CapEff")
    )
    return bool(effective >> bit & 1)


def refuse_hidden_folders(settings: LabSettings) -> None:
    used = {
        "XDG_STATE_HOME": settings.state,
        "XDG_CACHE_HOME": cache_folder(),
        "the checkout": Path(__file__),
        "the Python environment": Path(sys.prefix),
    }
    for what, path in used.items():
        for hidden in HIDDEN:
            if path.resolve().is_relative_to(hidden):
                raise Refusal(f"{what} must not lie below {hidden}, which a node replaces by its own: move {path}")


def refuse_full_disk(settings: LabSettings, needed: int | None = None) -> None:
    """Raise Refusal when state or cache has less than *needed* bytes free (default: what the lab needs)."""
    needed = FREE_BYTES if needed is None else needed
    for folder in (settings.state, cache_folder()):
        existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
        free = shutil.disk_usage(existing).free
        if free < needed:
            raise Refusal(f"{existing} has {free / 1e9:.1f} GB free, the lab needs {needed / 1e9:.0f} GB: make room")
