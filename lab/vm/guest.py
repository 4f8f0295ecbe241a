"""A guest: which Debian, how much of the machine it takes, and where its files are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from velero_acceptance.core.installation import cache_folder

RELEASES = ("bookworm", "trixie")
MEMORY_MB = 9 * 1024
PROCESSORS = 2
DISK_BYTES = 24 * 10**9
# What a guest is told unless it is chosen otherwise. An emulated processor does about a twentieth of the work: it
# carries one node, and no Flux.
VIRTUALISED = {"ACCEPTANCE_TIMEOUT_FACTOR": "2"}
EMULATED = {
    "ACCEPTANCE_TIMEOUT_FACTOR": "20",
    "ACCEPTANCE_LAB_NODES": "1",
    "ACCEPTANCE_LAB_DEPLOYMENT": "install",
    "ACCEPTANCE_LAB_PROMETHEUS": "true",
    # Each time the server starts a plugin, which takes seconds here.
    "ACCEPTANCE_LAB_VALIDATION_FREQUENCY": "2m",
    "ACCEPTANCE_LAB_GARBAGE_COLLECTION_FREQUENCY": "10m",
}
CHECKOUT = "root/velero-acceptance"
CACHE = "root/.cache/velero-acceptance"
REPORTS = f"{CHECKOUT}/reports"


@dataclass(frozen=True)
class Guest:
    """One guest, named by its release of Debian."""

    release: str

    @property
    def folder(self) -> Path:
        """Its files on the machine."""
        return cache_folder() / "vm" / self.release

    @property
    def root(self) -> Path:
        """The tree that its disk is made of. It stays, so that the next guest is made within minutes."""
        return self.folder / "root"

    @property
    def disk(self) -> Path:
        return self.folder / "disk.img"

    @property
    def console(self) -> Path:
        """What kernel, systemd and tests print."""
        return self.folder / "console.log"

    @property
    def shell(self) -> Path:
        """The socket of a root shell, for a look inside."""
        return self.folder / "shell.sock"

    @property
    def results(self) -> Path:
        """The guest's reports folder, after it has ended."""
        return self.folder / "reports"
