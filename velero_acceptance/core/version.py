"""The commit or release that the suite runs from."""

import os
from importlib.metadata import version
from pathlib import Path

from velero_acceptance.core.errors import AcceptanceError
from velero_acceptance.core.installation import IN_CHECKOUT, ROOT
from velero_acceptance.core.programs import execute
from velero_acceptance.core.timeouts import seconds

# Set in the suite's image, which has no Git.
VARIABLE = "ACCEPTANCE_COMMIT"


def revision() -> str:
    """What the suite runs from: the commit of its checkout, or the release that is installed."""
    return commit_of(ROOT) if IN_CHECKOUT else os.environ.get(VARIABLE) or version("velero-acceptance")


def commit_of(root: Path) -> str:
    """The commit of the tree at *root*, marked if it has uncommitted changes; empty if it is unknown."""
    if commit := os.environ.get(VARIABLE):
        return commit
    try:
        head, changes = (
            execute("git", "-C", root, *arguments, timeout=seconds("local_call"))
            for arguments in (("rev-parse", "HEAD"), ("status", "--porcelain"))
        )
    except AcceptanceError:
        return ""
    return head.text.strip() + ("+changes" if changes.text else "") if head.code == 0 else ""
