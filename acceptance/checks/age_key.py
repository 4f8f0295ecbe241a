"""Whether an age key opens what Flux has to open, asked before Flux is: a wrong key stops the deployment half-way."""

from __future__ import annotations

from pathlib import Path

import pyrage

from acceptance.drivers.sops import Sops
from acceptance.errors import AcceptanceError, Refusal

PATTERN = "*.sops.yaml"
# The rules of SOPS itself, which are not encrypted.
RULES = ".sops.yaml"
MARK = "AGE-SECRET-KEY-"


def encrypted_files(folder: Path) -> list[Path]:
    """Every file of SOPS below *folder*; raises Refusal when there is none, so that nothing passes for all of it."""
    if not folder.is_dir():
        raise Refusal(f"{folder} is no folder: name the checkout of what Flux deploys")
    found = sorted(path for path in folder.rglob(PATTERN) if ".git" not in path.parts and path.name != RULES)
    if not found:
        raise Refusal(f"{folder} holds no {PATTERN}: name the checkout of what Flux deploys")
    return found


def require_key(path: Path) -> None:
    """Raise Refusal unless the file at *path* holds an age key; no value is ever shown."""
    try:
        lines = [line.strip() for line in path.read_text().splitlines()]
    except OSError as error:
        raise Refusal(f"the age key {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise Refusal(f"{path} is no text: an age key is a line that begins with {MARK}") from None
    keys = [line for line in lines if line.startswith(MARK)]
    if not keys:
        raise Refusal(f"{path} holds no age key: a line that begins with {MARK} is missing")
    try:
        for key in keys:
            pyrage.x25519.Identity.from_str(key)
    except pyrage.IdentityError:
        raise Refusal(f"{path} holds an age key that is damaged") from None


def unopened(files: list[Path], sops: Sops) -> list[str]:
    """The *files* that the key does not open, a sentence each."""
    found = []
    for path in files:
        try:
            sops.decrypt(str(path), path.read_text())
        except AcceptanceError as error:
            found.append(str(error))
    return found
