"""What Velero and its uploaders are known not to restore. Each rule covers exactly the change that was observed.

corpus/uploaders.py declares the rules of each uploader; criteria/errata.yaml has the evidence.
"""

import re

from velero_acceptance.corpus.differences import EXTRA, HOLES, MISSING, NAME, Entries, Entry, KnownDeviation, as_utf8

# What Velero leaves in a restored volume: a folder with one empty file, named by the restore's uid.
RESTORE_MARKER = re.compile(r"\.velero(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})?")
MICROSECOND = 1_000  # nanoseconds
LINKS = ("hardlink", "links")


def _is_marker(_: Entry, found: Entry, __: Entries) -> bool:
    kind = "file" if "/" in found.path else "directory"
    return RESTORE_MARKER.fullmatch(found.path) is not None and (found.type, found.size) == (kind, 0)


def _lost_its_names(old: Entry, new: Entry, _: Entries) -> bool:
    return old.type == new.type and (new.links, new.hardlink) == (1, "")


def _as_new_as_its_content(old: Entry, new: Entry, entries: Entries) -> bool:
    below = f"{old.path}/"
    content = [e.mtime_ns for p, e in entries.items() if p.startswith(below) and e.type not in ("fifo", "socket")]
    return old.type == "directory" and new.mtime_ns == max(content, default=None)


def _rounded_up(old: Entry, new: Entry, _: Entries) -> bool:
    return old.type == "symlink" and new.mtime_ns == -(-old.mtime_ns // MICROSECOND) * MICROSECOND


# Velero's.
MARKER = KnownDeviation("mark that a restore leaves", "E-16", (EXTRA,), _is_marker)
# restic's; the last one also kopia's.
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
FILLED_HOLES = KnownDeviation("holes of sparse files are filled", "E-26", (HOLES,), lambda *_: True)
# kopia's.
ATTRIBUTES = KnownDeviation("extended attributes are not kept", "E-41", ("xattrs",), lambda _, new, __: not new.xattrs)
HARD_LINKS = KnownDeviation("files and links of several names become several", "E-42", LINKS, _lost_its_names)
SPECIALS = KnownDeviation(
    "pipes and sockets are left out", "E-43", (MISSING,), lambda old, *_: old.type in ("fifo", "socket")
)
NAMES = KnownDeviation("names that are not UTF-8 are altered", "E-44", (NAME,), lambda *_: True)
FOLDER_TIMES = KnownDeviation(
    "a folder gets the time of what is newest in it", "E-45", ("mtime_ns",), _as_new_as_its_content
)
LINK_TIMES = KnownDeviation(
    "the time of a symbolic link is rounded up to a microsecond", "E-46", ("mtime_ns",), _rounded_up
)
