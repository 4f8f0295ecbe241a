"""What differs between the uploaders that Velero backs volumes up with: all of it, and only here.

Sources: velero v1.16.2 and v1.18.3 (pkg/exposer, pkg/repository, pkg/uploader), restic v0.14.0, kopia v0.16.0 as
Velero builds it (repo/content, snapshot/restore); what else was seen on the lab stands in docs/uploaders.md.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from velero_acceptance.core.errors import AcceptanceError
from velero_acceptance.corpus import known_deviations
from velero_acceptance.corpus.differences import KnownDeviation

VERSION = re.compile(r":v?(\d+)\.(\d+)")
# From this minor of Velero 1 on kopia is what the server takes when it is told nothing, and all it takes.
KOPIA_ONLY = (1, 17)


@dataclass(frozen=True)
class Uploader:
    """One uploader.

    *folder* holds a repository a namespace, below the location's prefix; its keys are *key*, and there is one at least
    that begins with each of *parts*. Those that begin with *packs* hold file contents. *snapshots* begin the
    keys of snapshots where each has one of its own. *more_files* are what its Velero writes of a backup and the other
    does not.
    """

    name: str
    folder: str
    key: re.Pattern[str]
    parts: tuple[str, ...]
    packs: str
    snapshots: str | None
    extra_files: tuple[str, ...]
    # What a BackupRepository names as its address begins with this; kopia's is made from the location alone.
    address: str
    # Whether a pod of its own moves each volume, named like the volume's object. Else node-agent does.
    data_mover_pods: bool
    # What a backup names as the cause when node-agent ended during its upload; None where it survives that.
    agent_lost_error: str | None
    # Whether a volume that S3 fails says why; else only the log of the pod that moved it does (E-49).
    reports_cause: bool
    # Kilobytes a second of one connection at which a volume of half a gigabyte takes more than 40 s: by how
    # many connections it uses at once.
    slow: int
    known_deviations: tuple[KnownDeviation, ...]
    # What is in the errors that follow from a fault (a regular expression).
    fault_words: str
    # Errors that a healthy Velero logs with it.
    harmless: tuple[re.Pattern[str], ...] = ()


HEX = "[0-9a-f]"
RESTIC = Uploader(
    name="restic",
    folder="restic",
    key=re.compile(rf"config|(keys|snapshots|index|locks)/{HEX}{{64}}|data/{HEX}{{2}}/{HEX}{{64}}"),
    parts=("config", "keys/", "snapshots/", "index/", "data/"),
    packs="data/",
    snapshots="snapshots/",
    # Of volumes that are no file system backups; 1.18 writes them no more.
    extra_files=tuple(f"{{name}}-csi-volumesnapshot{part}.json.gz" for part in ("s", "contents", "classes")),
    address="s3:https://",
    data_mover_pods=False,
    agent_lost_error="found a podvolumebackup",
    reports_cause=True,
    slow=2500,
    known_deviations=(
        known_deviations.MARKER,
        known_deviations.SOCKETS,
        known_deviations.LINK_TARGETS,
        known_deviations.LINKED_LINKS,
        known_deviations.HOLES,
    ),
    fault_words="[Rr]estic",
    # How Velero asks whether a repository exists before it makes one; a backup that suffers says so itself.
    harmless=(re.compile(r"Restic command fail with ExitCode: 1\..*exec\.go"),),
)
KOPIA = Uploader(
    name="kopia",
    folder="kopia",
    key=re.compile(
        r"kopia\.(repository|blobcfg|maintenance)|udmrepo\.Repository|"
        rf"[pqs]{HEX}{{32}}-[0-9a-z]+|x[nsew]\d+_[0-9a-z_-]+|_log_[0-9a-z_-]+"
    ),
    parts=("kopia.repository", "kopia.blobcfg", "udmrepo.Repository", "p", "q", "x"),
    packs="p",
    snapshots=None,
    extra_files=(),
    address="",
    data_mover_pods=True,
    agent_lost_error=None,
    reports_cause=False,
    slow=5000,
    known_deviations=(
        known_deviations.MARKER,
        known_deviations.ATTRIBUTES,
        known_deviations.HARD_LINKS,
        known_deviations.SPECIALS,
        known_deviations.NAMES,
        known_deviations.FOLDER_TIMES,
        known_deviations.LINK_TIMES,
        known_deviations.HOLES,
    ),
    fault_words="[Kk]opia|data path is canceled",
)
UPLOADERS = {uploader.name: uploader for uploader in (RESTIC, KOPIA)}


def of_server(arguments: list[str], image: str) -> Uploader:
    """The uploader of a Velero server, from what it was started with or else from the version its image names.

    Raises AcceptanceError when neither tells.
    """
    given = [argument.partition("=")[2] for argument in arguments if argument.startswith("--uploader-type=")]
    if given and given[-1] in UPLOADERS:
        return UPLOADERS[given[-1]]
    version = VERSION.search(image)
    if version is None:
        raise AcceptanceError(
            f"the uploader of {image} is not known: it names no version, and the server has no --uploader-type"
        )
    return KOPIA if (int(version[1]), int(version[2])) >= KOPIA_ONLY else RESTIC
