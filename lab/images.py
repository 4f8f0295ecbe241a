"""The images the lab's nodes hold, under the names their upstream projects give them.

So ``imagePullPolicy: IfNotPresent`` finds them, and the manifests in ``gitops/`` need no change.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lab import debian
from lab.build import binaries
from lab.oci import Image, write
from lab.programs import AWS_PLUGIN_VERSION, COREDNS_VERSION, DEFAULT, FLUX_VERSIONS, LOCAL_PATH_VERSION, Release
from velero_acceptance.core import timeouts
from velero_acceptance.core.installation import cache_folder
from velero_acceptance.core.programs import execute

PAUSE = "registry.k8s.io/pause:3.10"
BUSYBOX = "docker.io/library/busybox:1.36"
COREDNS = f"registry.k8s.io/coredns/coredns:{COREDNS_VERSION}"
LOCAL_PATH = f"docker.io/rancher/local-path-provisioner:{LOCAL_PATH_VERSION}"
AWS_PLUGIN = f"docker.io/velero/velero-plugin-for-aws:{AWS_PLUGIN_VERSION}"
CORPUS = "velero-acceptance.local/corpus:v1"
FLUX = {name: f"ghcr.io/fluxcd/{name}:{version}" for name, version in FLUX_VERSIONS.items()}

# Only the node that carries the lab's own add-ons needs these.
ADD_ONS = frozenset({COREDNS, LOCAL_PATH, *FLUX.values()})

_USERS = "root:x:0:0:root:/root:/bin/sh\ncnb:x:1002:1000::/home/cnb:/bin/false\nnobody:x:65534:65534::/:/bin/false\n"
_ACCOUNTS = {"etc/passwd": _USERS, "etc/group": "root:x:0:\ncnb:x:1000:\nnogroup:x:65534:\n"}
_AUTHORITIES = {"etc/ssl/certs/ca-certificates.crt": Path("/etc/ssl/certs/ca-certificates.crt")}
_LIBC = ("lib/x86_64-linux-gnu/libc.so.6", "lib64/ld-linux-x86-64.so.2")
_FOLDERS = {"tmp": 0o1777, "root": 0o700}
_PATH = "PATH=/usr/sbin:/usr/bin:/sbin:/bin"


def images(release: Release = DEFAULT) -> list[Image]:
    """Every image of a lab with *release*, made of built binaries and unpacked packages (both must be there)."""
    built = binaries(release.modules)
    return [
        pause(),
        _single(CORPUS, "corpus", built["corpus"], database=built["database"]),
        _single(COREDNS, "coredns", built["coredns"]),
        _busybox(BUSYBOX, {}, {"Cmd": ["/bin/sh"]}),
        _busybox(
            LOCAL_PATH,
            {"usr/bin/local-path-provisioner": built["local-path-provisioner"]},
            {"Cmd": ["local-path-provisioner"]},
        ),
        velero(release),
        Image(
            AWS_PLUGIN,
            {
                "plugins/velero-plugin-for-aws": built["velero-plugin-for-aws"],
                "bin/cp-plugin": built["cp-plugin"],
            },
            {
                "Entrypoint": ["cp-plugin", "/plugins/velero-plugin-for-aws", "/target/velero-plugin-for-aws"],
                "Env": ["PATH=/bin"],
                "User": "65532:65532",
            },
            frozenset({"plugins/velero-plugin-for-aws", "bin/cp-plugin"}),
        ),
        *(_flux(name, reference, built[name]) for name, reference in FLUX.items()),
    ]


def pause() -> Image:
    """What holds a pod's namespaces."""
    config = {"Entrypoint": ["/pause"], "User": "65535:65535"}
    return Image(PAUSE, {"pause": binaries()["pause"]}, config, frozenset({"pause"}))


def _single(reference: str, name: str, binary: Path, **others: Path) -> Image:
    programs = {name: binary, **others}
    return Image(reference, {**programs, **_AUTHORITIES}, {"Entrypoint": [f"/{name}"]}, frozenset(programs), _FOLDERS)


def velero_reference(release: Release) -> str:
    """The name of Velero's own image."""
    return f"docker.io/velero/velero:{release.version}"


def velero(release: Release) -> Image:
    """Velero's own image. Also that of 1.18 has restic, for what older releases have saved."""
    built = binaries(release.modules)
    programs = {name: built[name] for name in ("velero", "velero-helper", "velero-restore-helper")}
    # Debian's restic is dynamic: it needs the C library and its loader beside it.
    extra = {"usr/bin/restic": debian.program("usr/bin/restic"), **{path: Path(f"/{path}") for path in _LIBC}}
    return Image(
        velero_reference(release),
        {**programs, **extra, **_ACCOUNTS, **_AUTHORITIES},
        {"Entrypoint": ["/velero"], "Env": [_PATH, "HOME=/home/cnb"], "User": "cnb:cnb"},
        frozenset({*programs, *extra}),
        {**_FOLDERS, "home/cnb": 0o777},
    )


def _flux(name: str, reference: str, binary: Path) -> Image:
    path = f"usr/local/bin/{name}"
    return Image(
        reference,
        {path: binary, **_ACCOUNTS, **_AUTHORITIES},
        {
            "Entrypoint": [f"/{path}"],
            "User": "65534:65534",
            "Env": ["PATH=/usr/local/bin", "GNUPGHOME=/tmp", "HOME=/tmp"],
        },
        frozenset({path}),
        {**_FOLDERS, "data": 0o777},
    )


def _busybox(reference: str, files: dict[str, Path], config: dict[str, object]) -> Image:
    box = debian.program("bin/busybox")
    listed = execute(box, "--list", timeout=timeouts.seconds("lab_program_call")).checked("busybox --list")
    applets = listed.decode().split()
    return Image(
        reference,
        {"bin/busybox": box, **files, **_ACCOUNTS},
        {**config, "Env": [_PATH]},
        frozenset({"bin/busybox", *files}),
        _FOLDERS,
        {f"bin/{applet}": "busybox" for applet in applets if applet != "busybox"},
    )


def archives(wanted: Sequence[Image]) -> dict[str, Path]:
    """The archive of every image *wanted* by reference; what is not in the cache is written first."""
    folder = cache_folder() / "images"
    folder.mkdir(parents=True, exist_ok=True)
    paths = {image.reference: (image, folder / f"{image.key}.tar") for image in wanted}
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda pair: None if pair[1].exists() else write(*pair), paths.values()))
    return {reference: path for reference, (_, path) in paths.items()}
