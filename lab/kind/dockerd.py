"""The first process of our own Docker engine: a mount namespace with a /run of its own, then dockerd.

Runs as ``python -m lab.kind.dockerd PROGRAM …`` in the engine's network namespace. What
Docker mounts, and its files below /run, end with its processes.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from pyroute2 import IPRoute

from lab.node import run


def main() -> None:
    program = sys.argv[1:]
    with IPRoute() as own:
        own.link("set", index=own.link_lookup(ifname="lo")[0], state="up")
    run("mount", "-t", "tmpfs", "tmpfs", "/run")
    Path("/run/lock").mkdir()
    os.execvp(program[0], program)


if __name__ == "__main__":
    main()
