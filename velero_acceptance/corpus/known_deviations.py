"""What Velero and its uploaders are known not to give back. Each rule covers exactly the change that was seen.

Which of them an uploader has is declared in acceptance/uploaders.py; the evidence is in criteria/errata.yaml.
"""

from __future__ import annotations

import re

from velero_acceptance.corpus.differences import EXTRA, MISSING, NAME, Entries, Entry, KnownDeviation, as_utf8

# What Velero leaves in a restored volume: a folder with one empty file, named after the restore's uid.
RESTORE_MARKER = re.compile(r"\.velero(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})?")
MICROSECOND = 1_000  # nanoseconds


def _marks_a_restore(what: str, _: Entry | None, found: Entry | None, __: Entries) -> bool:
    if what != EXTRA or found is None or not RESTORE_MARKER.fullmatch(found.path):
        return False
    return found.type == ("file" if "/" in found.path else "directory") and found.size == 0


def _is_socket(what: str, expected: Entry | None, *_: object) -> bool:
    return what == MISSING and expected is not None and expected.type == "socket"


def _is_special(what: str, expected: Entry | None, *_: object) -> bool:
    return what == MISSING and expected is not None and expected.type in ("fifo", "socket")


def _target_became_utf8(what: str, expected: Entry | None, found: Entry | None, _: Entries) -> bool:
    if what != "target" or expected is None or found is None:
        return False
    return found.target == as_utf8(expected.target)


def _link_lost_its_names(what: str, expected: Entry | None, found: Entry | None, _: Entries) -> bool:
    if what not in ("hardlink", "links") or expected is None or found is None:
        return False
    return expected.type == found.type == "symlink" and (found.links, found.hardlink) == (1, "")


def _lost_its_names(what: str, expected: Entry | None, found: Entry | None, _: Entries) -> bool:
    if what not in ("hardlink", "links") or expected is None or found is None:
        return False
    return expected.type == found.type and (found.links, found.hardlink) == (1, "")


def _lost_all_attributes(what: str, _: Entry | None, found: Entry | None, __: Entries) -> bool:
    return what == "xattrs" and found is not None and found.xattrs == {}


def _name_became_utf8(what: str, *_: object) -> bool:
    return what == NAME


def _folder_as_new_as_its_content(what: str, expected: Entry | None, found: Entry | None, plan: Entries) -> bool:
    if what != "mtime_ns" or expected is None or found is None or expected.type != "directory":
        return False
    below = f"{expected.path}/"
    content = [e.mtime_ns for path, e in plan.items() if path.startswith(below) and e.type not in ("fifo", "socket")]
    return bool(content) and found.mtime_ns == max(content)


def _link_to_the_microsecond(what: str, expected: Entry | None, found: Entry | None, _: Entries) -> bool:
    if what != "mtime_ns" or expected is None or found is None or expected.type != "symlink":
        return False
    return found.mtime_ns == -(-expected.mtime_ns // MICROSECOND) * MICROSECOND


def _holes_filled(what: str, *_: object) -> bool:
    return what == "holes"


# Velero's own.
MARKER = KnownDeviation("mark that a restore leaves", "E-16", _marks_a_restore)
# restic's, and the last one also kopia's.
SOCKETS = KnownDeviation("sockets are not restored", "E-28", _is_socket)
LINK_TARGETS = KnownDeviation("link targets that are not UTF-8 are altered", "E-24", _target_became_utf8)
LINKED_LINKS = KnownDeviation("symbolic links of several names become several links", "E-25", _link_lost_its_names)
HOLES = KnownDeviation("holes of sparse files are filled", "E-26", _holes_filled)
# kopia's.
ATTRIBUTES = KnownDeviation("extended attributes are not kept", "E-41", _lost_all_attributes)
HARD_LINKS = KnownDeviation("files and links of several names become several", "E-42", _lost_its_names)
SPECIALS = KnownDeviation("pipes and sockets are left out", "E-43", _is_special)
NAMES = KnownDeviation("names that are not UTF-8 are altered", "E-44", _name_became_utf8)
FOLDER_TIMES = KnownDeviation("a folder gets the time of what is newest in it", "E-45", _folder_as_new_as_its_content)
LINK_TIMES = KnownDeviation(
    "the time of a symbolic link is rounded up to a microsecond", "E-46", _link_to_the_microsecond
)
