"""Everything that differs between Velero's uploaders.

Sources: velero v1.16.2 and v1.18.3 (pkg/exposer, pkg/repository, pkg/uploader), restic v0.14.0, kopia v0.16.0 as
Velero builds it (repo/content, snapshot/restore); docs/uploaders.md has what else was observed on the lab.
"""

import re
from dataclasses import dataclass

from velero_acceptance.core.errors import AcceptanceError
from velero_acceptance.corpus import known_deviations
from velero_acceptance.corpus.differences import KnownDeviation

VERSION = re.compile(r":v?(\d+)\.(\d+)")
# From this version of Velero on, kopia is the default, and the only uploader.
KOPIA_ONLY = (1, 17)
# From this version on it cannot restore what restic saved either (velero.io, upgrading to 1.19).
RESTIC_LOST = (1, 19)


@dataclass(frozen=True)
class Uploader:
    """One uploader.

    *folder*, below the location's prefix, has a repository for each namespace; its keys match *key*, and at least one
    begins with each of *parts*. Keys that begin with *packs* hold file contents, those with *snapshots* one snapshot
    each. *extra_files* are files of a backup that only its Velero writes.
    """

    name: str
    folder: str
    key: re.Pattern[str]
    parts: tuple[str, ...]
    packs: str
    snapshots: str | None
    extra_files: tuple[str, ...]
    # The beginning of a BackupRepository's address; kopia's follows from the location alone.
    address: str
    # Whether a separate pod moves each volume, named like the volume's object. Else node-agent does.
    data_mover_pods: bool
    # The error of a backup whose node-agent ended during the upload; None if the backup survives that.
    agent_lost_error: str | None
    # Whether a volume that fails because of S3 reports that; else only the log of its pod does (E-49).
    reports_cause: bool
    # Limit in kilobytes a second of each connection at which half a gigabyte takes more than 40 s.
    slow: int
    known_deviations: tuple[KnownDeviation, ...]
    # Words in the errors that follow from a fault (a regular expression).
    fault_words: str
    # Errors that a healthy Velero logs.
    harmless: tuple[re.Pattern[str], ...] = ()


HEX = "[0-9a-f]"
RESTIC = Uploader(
    name="restic",
    folder="restic",
    key=re.compile(rf"config|(keys|snapshots|index|locks)/{HEX}{{64}}|data/{HEX}{{2}}/{HEX}{{64}}"),
    parts=("config", "keys/", "snapshots/", "index/", "data/"),
    packs="data/",
    snapshots="snapshots/",
    # Of CSI snapshots; 1.18 does not write them any more.
    extra_files=tuple(f"{{name}}-csi-volumesnapshot{part}.json.gz" for part in ("s", "contents", "classes")),
    address="s3:https://",
    data_mover_pods=False,
    agent_lost_error="found a podvolumebackup",
    reports_cause=True,
    slow=2500,
    known_deviations=(
        *known_deviations.COMMON,
        known_deviations.VOLUME_ROOT,
        known_deviations.SOCKETS,
        known_deviations.LINK_TARGETS,
        known_deviations.LINKED_LINKS,
    ),
    fault_words="[Rr]estic",
    # Velero's check whether a repository exists before it creates one; a failed backup reports more than that.
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
        *known_deviations.COMMON,
        known_deviations.CACHES,
        known_deviations.LISTED_FILES,
        known_deviations.OLD_CONTENT,
        known_deviations.ATTRIBUTES,
        known_deviations.HARD_LINKS,
        known_deviations.SPECIALS,
        known_deviations.NAMES,
        known_deviations.FOLDER_TIMES,
        known_deviations.LINK_TIMES,
    ),
    fault_words="[Kk]opia|data path is canceled",
)
UPLOADERS = {uploader.name: uploader for uploader in (RESTIC, KOPIA)}


def of_server(arguments: list[str], image: str) -> Uploader:
    """The uploader of a server, from its arguments or its image's version; AcceptanceError when neither names one."""
    given = [argument.partition("=")[2] for argument in arguments if argument.startswith("--uploader-type=")]
    if given and given[-1] in UPLOADERS:
        return UPLOADERS[given[-1]]
    version = version_of(image)
    if version is None:
        raise AcceptanceError(
            f"the uploader of {image} is not known: it names no version, and the server has no --uploader-type"
        )
    return KOPIA if version >= KOPIA_ONLY else RESTIC


def version_of(image: str) -> tuple[int, int] | None:
    """Major and minor version of a server by the tag of its image; None when that names none."""
    found = VERSION.search(image)
    return (int(found[1]), int(found[2])) if found else None


def unrestorable(uploader: str, image: str) -> str:
    """Why the server of *image* cannot restore what *uploader* saved; empty when it can."""
    if uploader not in UPLOADERS:
        return f"{uploader} moved it, which is no uploader of Velero"
    if uploader == RESTIC.name and (version_of(image) or (0, 0)) >= RESTIC_LOST:
        return f"restic moved it, and {image.rpartition('/')[2]} restores only what kopia moved"
    return ""
