"""Packages of the optional extra ``lab``, imported where they are used; a missing one is reported in one sentence."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from velero_acceptance.core.errors import Refusal
from velero_acceptance.core.installation import missing_library

LAB = frozenset({"minio", "oras", "promql_parser", "pyroute2", "scapy"})


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
