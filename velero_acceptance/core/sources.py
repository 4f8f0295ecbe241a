"""Where settings come from besides options: ``acceptance.toml`` of the project, and environment variables."""

import json
import os
import tomllib
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from velero_acceptance.core.errors import Refusal
from velero_acceptance.core.files import read_text

FILE = "acceptance.toml"
PREFIX = "ACCEPTANCE_"
# Variables that are not read as settings, and prefixes of those that others read.
OTHERS = ("TIMEOUTS", "TIMEOUT_FACTOR", "SIGNING_KEY", "COMMIT", "RUN_FOLDER", "ALLURE_OUTPUT", "ALLURE_HISTORY")
FOREIGN = ("LAB_", "KIND_")
# What only the root of a project holds.
ROOTS = (".git", "pyproject.toml")


def project() -> Path:
    """The folder of acceptance.toml: the working folder, or the nearest one above it up to the root of its project."""
    here = Path.cwd()
    passed: list[Path] = []
    for folder in (here, *here.parents):
        passed.append(folder)
        if any((folder / name).exists() for name in ROOTS):
            return next((folder for folder in passed if os.path.lexists(folder / FILE)), folder)
    return here


def from_file() -> dict[str, Any]:
    """The content of acceptance.toml, its paths relative to its folder; empty without one. Raises Refusal."""
    folder = project()
    path = folder / FILE
    if not os.path.lexists(path):
        return {}
    try:
        found = tomllib.loads(read_text(path))
    except tomllib.TOMLDecodeError as error:
        raise Refusal(f"{path} cannot be read: {error}") from None
    return _placed(found, folder)


def _placed(content: dict[str, Any], folder: Path) -> dict[str, Any]:
    """*content* as seen from the working folder."""
    if folder == Path.cwd():
        return content
    tables = {name: _placed(value, folder) for name, value in content.items() if isinstance(value, dict)}
    paths = {name: str(folder / content[name]) for name in PATHS if isinstance(content.get(name), str)}
    return {**content, **tables, **paths}


# Settings that are paths.
PATHS = (
    "reports",
    "results_authority",
    "ledger",
    "kubeconfig",
    "s3_authority",
    "gitops",
    "age_key",
    "audit_log",
)


def refuse_unknown(prefix: str, known: Iterable[str], foreign: Iterable[str] = ()) -> None:
    """Raise Refusal for an environment variable with *prefix* that is none of *known*, with the nearest one."""
    names = [name.upper() for name in known]
    for name in (name for name in os.environ if name.upper().startswith(prefix)):
        asked = name.upper().removeprefix(prefix)
        if asked in names or asked.startswith(tuple(foreign)):
            continue
        near = get_close_matches(asked, names, n=1)
        hint = f": did you mean {prefix}{near[0]}?" if near else "; docs/usage.md lists all of them"
        raise Refusal(f"the environment variable {name} is no setting{hint}")


def refuse_malformed(names: Iterable[str]) -> None:
    """Raise Refusal for one of the environment variables *names* that is not JSON; its value may be a secret."""
    for name in names:
        try:
            json.loads(os.environ.get(f"{PREFIX}{name.upper()}", "null"))
        except ValueError:
            raise Refusal(f"{PREFIX}{name.upper()} is not valid JSON: write a list as " + '["a", "b"]') from None
