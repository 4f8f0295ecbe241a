"""What Velero and its uploaders are known not to restore. Each rule covers exactly the change that was observed.

corpus/uploaders.py declares the rules of each uploader; criteria/errata.yaml has the evidence.
"""

import re

from velero_acceptance.corpus.differences import (
    EXTRA,
    HOLES,
    MISSING,
    NAME,
    ROOT,
    Entries,
    Entry,
    KnownDeviation,
    as_utf8,
)

# What Velero leaves in a restored volume: a folder with one empty file, named by the restore's uid.
RESTORE_MARKER = re.compile(r"\.velero(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})?")
MARKER_FOLDER = ".velero"
MICROSECOND = 1_000  # nanoseconds
LINKS = ("hardlink", "links")
OWNERSHIP = ("mode", "uid", "gid", "mtime_ns", "xattrs")
NOT_STORED = ("fifo", "socket", "device")
# Both uploaders count nanoseconds in 64 bits; ext4, and often XFS, have no time before 1901-12-13.
NANOSECONDS = 1 << 64
FIRST_TIME = -(1 << 31) * 1_000_000_000
CACHE_TAG = "CACHEDIR.TAG"
# Which files the .kopiaignore of the corpus lists.
LISTED = re.compile(r"listed/.*\.listed")


def _is_marker(_: Entry, found: Entry, __: Entries) -> bool:
    kind = "file" if "/" in found.path else "directory"
    return RESTORE_MARKER.fullmatch(found.path) is not None and (found.type, found.size) == (kind, 0)


def _lost_its_names(old: Entry, new: Entry, _: Entries) -> bool:
    return old.type == new.type and (new.links, new.hardlink) == (1, "")


def _as_new_as_its_content(old: Entry, new: Entry, entries: Entries) -> bool:
    below = "" if old.path == ROOT else f"{old.path}/"  # of a part of a volume, the root is a folder like any other
    stored = (e for p, e in entries.items() if p.startswith(below) and p != ROOT and e.type not in NOT_STORED)
    content = [_in_64_bits(entry.mtime_ns) for entry in stored]
    return old.type == "directory" and new.mtime_ns == max(content, default=None)


def _in_64_bits(nanoseconds: int) -> int:
    return (nanoseconds + NANOSECONDS // 2) % NANOSECONDS - NANOSECONDS // 2


def _wrapped(old: Entry, new: Entry, _: Entries) -> bool:
    stored = _in_64_bits(old.mtime_ns)
    return stored != old.mtime_ns and new.mtime_ns in (stored, max(stored, FIRST_TIME))


def _of_the_new_volume(old: Entry, new: Entry, _: Entries) -> bool:
    return old.path == ROOT and new.type == "directory" and not new.xattrs


def _time_of_the_marker(old: Entry, new: Entry, _: Entries) -> bool:
    return old.path == ROOT and new.mtime_ns > old.mtime_ns


def _replaced_by_marker(old: Entry, new: Entry, _: Entries) -> bool:
    is_velero = (new.type, new.mode, new.uid, new.gid, new.xattrs) == ("directory", "0755", 0, 0, {})
    return old.path.startswith(f"{MARKER_FOLDER}/") or (old.path == MARKER_FOLDER and new is not old and is_velero)


def _in_cache(old: Entry, _: Entry, entries: Entries) -> bool:
    folders = old.path.split("/")[:-1]
    above = ("/".join(folders[: depth + 1]) for depth in range(len(folders)))
    return any(f"{folder}/{CACHE_TAG}" in entries for folder in above)


def _as_before_its_change(old: Entry, new: Entry, _: Entries) -> bool:
    return bool(old.before) and new.sha256 == old.before


def _rounded_up(old: Entry, new: Entry, _: Entries) -> bool:
    return old.type == "symlink" and new.mtime_ns == -(-old.mtime_ns // MICROSECOND) * MICROSECOND


# Velero's.
MARKER = KnownDeviation("mark that a restore leaves", "E-16", (EXTRA,), _is_marker)
ROOT_TIME = KnownDeviation("the volume's root gets the time of that mark", "E-16", ("mtime_ns",), _time_of_the_marker)
OWN_FOLDER = KnownDeviation("the mark replaces what is in .velero", "E-32", (MISSING, *OWNERSHIP), _replaced_by_marker)
# Of both uploaders.
FAR_TIMES = KnownDeviation("times after 2262 become others", "E-30", ("mtime_ns",), _wrapped)
FLAGS = KnownDeviation("flags of chattr are not kept", "E-31", ("flags",), lambda _, new, __: not new.flags)
FILLED_HOLES = KnownDeviation("holes of sparse files are filled", "E-26", (HOLES,), lambda *_: True)
MARKS = (MARKER, ROOT_TIME)
COMMON = (*MARKS, OWN_FOLDER, FAR_TIMES, FLAGS, FILLED_HOLES)
# restic's.
VOLUME_ROOT = KnownDeviation("the volume's root is that of a new volume", "E-29", OWNERSHIP, _of_the_new_volume)
SOCKETS = KnownDeviation("sockets are not restored", "E-28", (MISSING,), lambda old, *_: old.type == "socket")
LINK_TARGETS = KnownDeviation(
    "link targets that are not UTF-8 are altered",
    "E-24",
    ("target",),
    lambda old, new, _: new.target == as_utf8(old.target),
)
LINKED_LINKS = KnownDeviation(
    "symbolic links of several names become several links",
    "E-25",
    LINKS,
    lambda old, new, entries: old.type == "symlink" and _lost_its_names(old, new, entries),
)
# kopia's.
ATTRIBUTES = KnownDeviation("extended attributes are not kept", "E-41", ("xattrs",), lambda _, new, __: not new.xattrs)
HARD_LINKS = KnownDeviation("files and links of several names become several", "E-42", LINKS, _lost_its_names)
SPECIALS = KnownDeviation(
    "pipes, sockets and device nodes are left out", "E-43", (MISSING,), lambda old, *_: old.type in NOT_STORED
)
CACHES = KnownDeviation("folders with a CACHEDIR.TAG are emptied", "E-33", (MISSING,), _in_cache)
LISTED_FILES = KnownDeviation(
    "what a .kopiaignore lists is left out", "E-34", (MISSING,), lambda old, *_: LISTED.fullmatch(old.path) is not None
)
OLD_CONTENT = KnownDeviation(
    "a change that neither size nor time shows is left out", "E-35", ("sha256",), _as_before_its_change
)
NAMES = KnownDeviation("names that are not UTF-8 are altered", "E-44", (NAME,), lambda *_: True)
FOLDER_TIMES = KnownDeviation(
    "a folder gets the time of what is newest in it", "E-45", ("mtime_ns",), _as_new_as_its_content
)
LINK_TIMES = KnownDeviation(
    "the time of a symbolic link is rounded up to a microsecond", "E-46", ("mtime_ns",), _rounded_up
)
