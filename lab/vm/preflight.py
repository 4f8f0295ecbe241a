"""What a machine must be to run a guest. Each refusal is one sentence; nothing has started yet."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from lab import debian
from lab.vm.guest import MEMORY_MB, Guest
from velero_acceptance.core.errors import Refusal
from velero_acceptance.core.installation import cache_folder

# By a program that each one brings.
PACKAGES = {"qemu-system-x86_64": "qemu-system-x86", "debootstrap": "debootstrap", "mkfs.ext4": "e2fsprogs"}
# A guest's tree, and its disk with what is written while it runs.
FREE_BYTES = 20 * 10**9
MEMORY_INFO = Path("/proc/meminfo")


def check(guest: Guest) -> None:
    """Raise Refusal for the first thing that is not fit, and install what is missing."""
    refuse_other_user()
    refuse_little_memory()
    refuse_full_disk(guest)
    if absent := [package for program, package in PACKAGES.items() if shutil.which(program) is None]:
        print(f"Installing {', '.join(absent)} for the guest")
        debian.install(PACKAGES)


def refuse_other_user() -> None:
    if os.geteuid() != 0:
        raise Refusal("a guest's root is made with chroot and mounts: run as root (for example with sudo)")


def refuse_little_memory() -> None:
    """The guest's memory has to be free: QEMU would take it page by page and be killed half-way."""
    lines = dict(line.split(":") for line in MEMORY_INFO.read_text().splitlines())
    available = int(lines["MemAvailable"].split()[0]) // 1024
    if available < MEMORY_MB:
        raise Refusal(f"a guest needs {MEMORY_MB} MB of memory, {available} MB are available: end other programs")


def refuse_full_disk(guest: Guest, needed: int = FREE_BYTES) -> None:
    existing = next(parent for parent in (guest.folder, *guest.folder.parents) if parent.exists())
    free = shutil.disk_usage(existing).free + sum(
        path.stat().st_blocks * 512 for path in (guest.disk,) if path.exists()
    )
    if free < needed:
        raise Refusal(f"{cache_folder()} has {free / 1e9:.1f} GB free, a guest needs {needed / 1e9:.0f} GB: make room")
