"""The suite itself as a container image, made like the others: from files, without a builder or a registry.

It holds this machine's Python, the libraries that the suite needs at run time, and the programs it calls; no
shell and no package manager. It runs as nobody, and writes to /tmp and to where the reports go, and nowhere else.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from lab import debian
from lab.build import binaries
from lab.oci import Image
from lab.programs import RELEASES
from velero_acceptance.core import timeouts
from velero_acceptance.core.errors import AcceptanceError, Refusal
from velero_acceptance.core.programs import execute

PROJECT = "velero-acceptance"
REFERENCE = f"velero-acceptance.local/suite:v{metadata.version(PROJECT)}"
SOURCE = Path(__file__).parents[1]
# What a run in a cluster reads of the project.
OWN = ("conftest.py", "criteria", "deploy", "features", "fixtures", "gitops", "lab", "pyproject.toml", "steps",
       "velero_acceptance")  # fmt: skip
# Parts of Python's own library that nothing here imports, and what is not to be carried along.
EXTRAS = ("", "lab", "report")
UNUSED = {"__pycache__", "ensurepip", "idlelib", "lib2to3", "site-packages", "test", "tests", "tkinter", "turtledemo"}
STATIC = ".a"  # libraries to link programs with, and nothing is linked here
VERSION = f"python3.{sys.version_info.minor}"
LIBRARIES = "usr/local/lib"
SHARED = re.compile(r"(/\S+) \(0x[0-9a-f]+\)$", re.M)
PYTHON = "#!/usr/local/bin/python3\n"
COMMAND = f"{PYTHON}from velero_acceptance.cli.main import main\n\nmain()\n"
AUTHORITIES = "etc/ssl/certs/ca-certificates.crt"
NOBODY = "65532:65532"


def programs() -> dict[str, Path]:
    """What the suite calls of the lab's programs, by name; kopia too where it was built.

    Raises Refusal when one of the others is not there yet.
    """
    built = binaries()
    found = {"velero": built["velero"], "corpus": built["corpus"], "restic": debian.program("usr/bin/restic")}
    if missing := [name for name, path in found.items() if not path.exists()]:
        raise Refusal(f"{', '.join(missing)} is not built yet: run `acceptance lab up` once, which fills the cache")
    kopia = binaries(RELEASES["kopia"].modules)["kopia"]
    return {**found, **({"kopia": kopia} if kopia.exists() else {})}


def image(programs: Mapping[str, Path], variables: Mapping[str, str] | None = None) -> Image:
    """The image, with *programs* of the lab by the names that the suite calls them by, and *variables* of its own."""
    installed = dict(_installed())
    own = {f"app/{path.relative_to(SOURCE)}": path for name in OWN for path in _files(SOURCE / name)}
    python: dict[str, Path] = {f"usr/local/bin/{VERSION}": Path(sys.base_prefix, "bin", VERSION)}
    library = Path(sys.base_prefix, "lib", VERSION)
    python |= {f"{LIBRARIES}/{VERSION}/{path.relative_to(library)}": path for path in _files(library)}
    called = {f"usr/local/bin/{name}": path for name, path in programs.items()}
    files: dict[str, Path] = {**python, **installed, **own, **called}
    files |= _shared(path for path in files.values() if _is_program(path))
    scripts = {name: text for name, path in files.items() if (text := _script(path))}
    scripts["usr/local/bin/acceptance"] = COMMAND
    return Image(
        REFERENCE,
        {**files, **scripts, AUTHORITIES: Path(f"/{AUTHORITIES}")},
        {
            "Entrypoint": ["/usr/local/bin/pytest", "-p", "no:cacheprovider"],
            "Cmd": ["features"],
            "User": NOBODY,
            "WorkingDir": "/app",
            "Env": [
                "PATH=/usr/local/bin",
                f"LD_LIBRARY_PATH=/{LIBRARIES}",
                "PYTHONPATH=/app",
                "PYTHONDONTWRITEBYTECODE=1",
                "HOME=/tmp",
                # The holder of the run lock, where no file knows the user's name.
                "LOGNAME=velero-acceptance",
                *(f"{name}={value}" for name, value in (variables or {}).items()),
            ],
        },
        frozenset({*scripts, *(name for name, path in files.items() if _is_program(path))}),
        {"tmp": 0o1777},
        {"usr/local/bin/python3": VERSION},
    )


def _files(top: Path) -> Iterator[Path]:
    """Every file at or below *top* but those of UNUSED folders."""
    if top.is_file():
        yield top
        return
    for path in sorted(top.iterdir()):
        if path.name not in UNUSED and path.suffix != STATIC and not path.is_symlink():
            yield from _files(path)


def _installed() -> Iterator[tuple[str, Path]]:
    """The files of every distribution that the suite needs at run time, by their path in the image."""
    prefix = Path(sys.prefix)
    for distribution in _closure(PROJECT):
        for file in distribution.files or ():
            path = Path(str(distribution.locate_file(file))).resolve()
            unused = path.suffix == STATIC or "__pycache__" in path.parts
            if path.is_file() and not unused and path.is_relative_to(prefix):
                yield f"usr/local/{path.relative_to(prefix)}", path


def _closure(name: str) -> list[metadata.Distribution]:
    """The distributions that *name* needs with its EXTRAS, itself left out: it is there as source."""
    known: dict[str, metadata.Distribution] = {}
    waiting: list[tuple[str, tuple[str, ...]]] = [(name, EXTRAS)]
    while waiting:
        current, extras = waiting.pop()
        for text in metadata.distribution(current).requires or ():
            needed = Requirement(text)
            wanted = needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras)
            if wanted and needed.name.lower() not in known:
                known[needed.name.lower()] = metadata.distribution(needed.name)
                waiting.append((needed.name, ("", *needed.extras)))
    return list(known.values())


def _script(path: Path) -> str:
    """A command of this environment, for the Python of the image; empty when *path* is none."""
    if path.parent != Path(sys.prefix, "bin") or not path.read_bytes().startswith(b"#!"):
        return ""
    return PYTHON + path.read_text().partition("\n")[2]


def _is_program(path: Path) -> bool:
    """Whether a file is a program or a shared library."""
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def _shared(programs: Iterable[Path]) -> dict[str, Path]:
    """The shared libraries that *programs* are linked to: the loader where it has to be, all others in one folder.

    Raises AcceptanceError for one that this machine lacks. Not so those of wheels, which bring their own.
    """
    said = execute("ldd", *programs, timeout=timeouts.seconds("lab_program_call")).text
    for first, *lines in (block.splitlines() for block in re.split(r"^(?=/)", said, flags=re.M) if block):
        lacking, program = [line.split()[0] for line in lines if line.endswith("not found")], first.rstrip(":")
        if lacking and not Path(program).is_relative_to(sys.prefix):
            raise AcceptanceError(f"{program} needs {', '.join(lacking)}: install the packages that hold them")
    found = {path for path in map(Path, SHARED.findall(said)) if not path.is_relative_to(sys.prefix)}
    return {f"lib64/{p.name}" if p.name.startswith("ld-") else f"{LIBRARIES}/{p.name}": p.resolve() for p in found}
