"""runc for a Docker engine without CAP_SYS_RESOURCE: takes the capability out of what containers ask for.

A privileged container asks for every capability, and runc refuses the whole container when one of
them is not to be had. Docker calls this file as its runtime; it runs as ``python -I -S``, before
runc itself, and imports nothing of this project.
"""

import json
import os
import sys
from typing import Any

UNAVAILABLE = "CAP_SYS_RESOURCE"


def without(process: dict[str, Any]) -> dict[str, Any]:
    """*process* of the OCI runtime specification without the capability, in whatever set it stands."""
    sets = process.get("capabilities") or {}
    return {**process, "capabilities": {name: [c for c in held if c != UNAVAILABLE] for name, held in sets.items()}}


def option(arguments: list[str], *names: str) -> str | None:
    """The value of the first of *names* in *arguments*, given as ``NAME VALUE`` or ``NAME=VALUE``."""
    for position, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name in names:
            return value if equals else arguments[position + 1]
    return None


def rewrite(arguments: list[str]) -> None:
    """Change the file that the call is about: a container's configuration, or an exec's process."""
    if "create" in arguments:
        path = os.path.join(option(arguments, "--bundle", "-b") or ".", "config.json")
        content = _read(path)
        _write(path, {**content, "process": without(content.get("process", {}))})
    elif "exec" in arguments and (path := option(arguments, "--process", "-p") or ""):
        _write(path, without(_read(path)))


def _read(path: str) -> dict[str, Any]:
    with open(path) as file:
        return dict(json.load(file))


def _write(path: str, content: dict[str, Any]) -> None:
    with open(path, "w") as file:
        json.dump(content, file)


if __name__ == "__main__":
    rewrite(sys.argv[1:])
    os.execvp("runc", ["runc", *sys.argv[1:]])
