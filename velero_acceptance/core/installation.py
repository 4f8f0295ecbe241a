"""Where the suite's own files and programs are: in its checkout, or in the folder that the wheel carries."""

import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from velero_acceptance.core.errors import AcceptanceError, Refusal

_PACKAGE = Path(__file__).parents[1]
IN_CHECKOUT = not (_PACKAGE / "data").is_dir()
# The folder of features/, steps/, fixtures/, criteria/, lab/ and what they deploy.
ROOT = _PACKAGE.parent if IN_CHECKOUT else _PACKAGE / "data"
FEATURES = "features"
# Packages of the optional extra ``lab``, imported where they are used.
LAB = frozenset({"minio", "oras", "promql_parser", "pyroute2", "scapy"})


def make_importable() -> None:
    """Let ``fixtures``, ``steps`` and ``lab`` be imported; pytest does the same for the folder of conftest.py."""
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))


def cache_folder() -> Path:
    """Where the suite keeps what outlives a lab and a run ($XDG_CACHE_HOME)."""
    return folder_of_user("XDG_CACHE_HOME", ".cache") / "velero-acceptance"


def folder_of_user(variable: str, below: str) -> Path:
    """The folder that an environment variable names, or *below* the home; raises Refusal when there is no home."""
    if chosen := os.environ.get(variable):
        return Path(chosen)
    try:
        return Path.home() / below
    except RuntimeError:
        raise Refusal(f"this user has no home: set HOME or {variable}") from None


def modules(package: str) -> list[str]:
    """The name of every module of a top-level *package* of the suite; raises AcceptanceError when there is none."""
    found = sorted(path.relative_to(ROOT) for path in (ROOT / package).rglob("[a-z]*.py"))
    if not found:
        raise AcceptanceError(f"{ROOT / package} holds no module: the installation is not whole")
    return [".".join(path.with_suffix("").parts) for path in found]


def feature_arguments(arguments: Iterable[str]) -> list[str]:
    """*arguments* of pytest, with features named by their full path; with all of them when none is named."""
    found = [_feature(argument) for argument in arguments]
    everything = str(ROOT / FEATURES)
    return found if any(argument.startswith(everything) for argument in found) else [*found, everything]


def program(name: str) -> Path:
    """A program of the path, or of the Python environment; raises Refusal when there is neither."""
    own = Path(sys.prefix) / "bin" / name
    if found := shutil.which(name):
        return Path(found)
    if own.exists():
        return own
    raise Refusal(f"{name} is not in the path: install it, or `pip install 'velero-acceptance[lab]'`, which has it")


def missing_library(error: ModuleNotFoundError) -> Refusal:
    """What to do about a library that only an extra brings."""
    return Refusal(
        f"{error.name} is not installed: `pip install 'velero-acceptance[lab]'` brings what the lab, the kind cluster "
        "and some criteria need; your own cluster is --target current"
    )


def missing_package(package: str) -> str:
    """Why *package* cannot be used, in one sentence; empty when it is installed."""
    return "" if find_spec(package) else str(missing_library(ModuleNotFoundError(name=package)))


@contextmanager
def lab_packages() -> Iterator[None]:
    """Around imports that need the extra ``lab``: raises Refusal when a package of it is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        if package not in LAB:
            raise
        raise Refusal(missing_package(package)) from None


def _feature(argument: str) -> str:
    path, separator, test = argument.partition("::")
    named = path.partition("/")[0] == FEATURES and not Path(path).exists() and (ROOT / path).exists()
    return f"{ROOT / path}{separator}{test}" if named else argument
