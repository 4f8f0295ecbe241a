"""Which commit the suite runs from."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

# In the suite's image, where there is no Git.
VARIABLE = "ACCEPTANCE_COMMIT"


def commit_of(root: Path) -> str:
    """The commit of the tree at *root*, marked when that has changes; empty where nothing says."""
    if made_from := os.environ.get(VARIABLE):
        return made_from
    git = ["git", "-C", str(root)]
    try:
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True)
        changed = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True)
    except FileNotFoundError:
        return ""
    if head.returncode != 0:
        return ""
    return head.stdout.strip() + ("+changes" if changed.stdout else "")
