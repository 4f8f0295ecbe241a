"""The disk of a guest: an ext4 file system made of its root, and what is read back from it."""

from __future__ import annotations

import shutil
from pathlib import Path

from lab.vm.guest import DISK_BYTES, REPORTS, Guest
from lab.vm.root import run


def write(guest: Guest) -> None:
    """Make the disk anew. The file is sparse: it takes as much room as there is in it."""
    guest.disk.unlink(missing_ok=True)
    with guest.disk.open("wb") as image:
        image.truncate(DISK_BYTES)
    # Without the lazy part, which would write for minutes once the guest runs.
    options = ("-q", "-F", "-L", "root", "-m", "0", "-E", "lazy_itable_init=1,nodiscard")
    run("mkfs.ext4", *options, "-d", guest.root, guest.disk)


def kernel(guest: Guest) -> tuple[Path, Path]:
    """Kernel and initial RAM disk of the guest's Debian."""
    boot = guest.root / "boot"
    return max(boot.glob("vmlinuz-*")), max(boot.glob("initrd.img-*"))


def read_results(guest: Guest) -> Path:
    """Copy the reports out of the disk of a guest that has ended; return their folder."""
    shutil.rmtree(guest.results, ignore_errors=True)
    run("debugfs", "-R", f"rdump /{REPORTS} {guest.folder}", guest.disk)
    return guest.results
