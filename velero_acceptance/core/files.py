"""Files that are written whole or not at all, and read or refused."""

import os
from pathlib import Path

from velero_acceptance.core.errors import Refusal


def read_text(path: Path, what: str = "") -> str:
    """The text of *path*; raises Refusal, which calls it *what*, when it cannot be read or is no text."""
    named = f"{what} {path}".strip()
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise Refusal(f"{named} cannot be read: {error.strerror}") from None
    except ValueError:  # bytes that are no UTF-8, or a path with a zero byte
        raise Refusal(f"{named} cannot be read: it is not UTF-8 text") from None


def write_whole(path: Path, content: str | bytes, *, mode: int = 0o666) -> None:
    """Write *content* to *path*, whose folder is created: a reader sees the old file or the new one, never half of it.

    *mode* is narrowed by the umask; 0o600 is for secrets. Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def link_to(path: Path, target: str) -> None:
    """Make *path*, whose folder is created, a symbolic link to *target*, in place of what it was."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.symlink_to(target)
