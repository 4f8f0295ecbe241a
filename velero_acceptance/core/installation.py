"""Where the suite's own files are: in its checkout, or in the folder that the wheel carries."""

from __future__ import annotations

import sys
from pathlib import Path

from velero_acceptance.core.errors import AcceptanceError

_PACKAGE = Path(__file__).parents[1]
# The folder of features/, steps/, fixtures/, criteria/, lab/ and what they deploy.
ROOT = _PACKAGE / "data" if (_PACKAGE / "data").is_dir() else _PACKAGE.parent


def make_importable() -> None:
    """Let ``fixtures``, ``steps`` and ``lab`` be imported; pytest does the same for the folder of conftest.py."""
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))


def modules(package: str) -> list[str]:
    """The name of every module of a top-level *package* of the suite; raises AcceptanceError when there is none."""
    found = sorted(path.relative_to(ROOT) for path in (ROOT / package).rglob("[a-z]*.py"))
    if not found:
        raise AcceptanceError(f"{ROOT / package} holds no module: the installation is not whole")
    return [".".join(path.with_suffix("").parts) for path in found]
