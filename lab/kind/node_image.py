"""The node image for machines without an image registry, as an archive that `docker load` takes.

Kept in the cache under a key of everything that decides it. The images that kubeadm asks for are
in it already: the control plane's are one image under five names, because the program is one.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from lab import debian, images, oci
from lab.control_plane import PROGRAMS
from lab.kind import rootfs
from lab.programs import KUBERNETES_VERSION
from velero_acceptance.core import timeouts
from velero_acceptance.core.installation import cache_folder
from velero_acceptance.core.programs import execute
from velero_acceptance.core.waiting import poll

REFERENCE = f"velero-acceptance.local/node:{KUBERNETES_VERSION}"
# The names that kubeadm of this version gives to the images of the control plane and of kube-proxy.
KUBE, *OTHER_NAMES = (
    *(f"registry.k8s.io/{name}:{KUBERNETES_VERSION}" for name in PROGRAMS if name.startswith("kube-")),
    "registry.k8s.io/etcd:3.6.8-0",
)
SOURCES = (Path(__file__), Path(rootfs.__file__), *sorted(p for p in rootfs.FILES.rglob("*") if p.is_file()))
IPTABLES = "usr/sbin/xtables-nft-multi"
IPTABLES_NAMES = [f"ip{six}tables{what}" for six in ("", "6") for what in ("", "-save", "-restore")]
EXTENSIONS = "usr/lib/x86_64-linux-gnu/xtables"
PART_BYTES = 1 << 20


def archive(built: Mapping[str, Path]) -> Path:
    """The archive's place in the cache, whether it is there or not."""
    digest = hashlib.sha256()
    for source in SOURCES:
        digest.update(source.read_bytes())
    for name in ("kube", "kubeadm", "node-entrypoint", "pause"):
        digest.update(str(built[name]).encode())
    return cache_folder() / "kind" / f"node-{digest.hexdigest()[:16]}.tar"


def make(built: Mapping[str, Path]) -> Path:
    """Make the image unless the cache has it; older ones are removed, each is large."""
    target = archive(built)
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".node-") as name:
        work = Path(name)
        root, layer, partial = work / "root", work / "layer.tar", work / "image.tar"
        root.mkdir()
        rootfs.make(root, built)
        store(root, work, built)
        _run("tar", "--create", "--numeric-owner", f"--directory={root}", f"--file={layer}", ".")
        pack(layer, partial)
        for old in target.parent.glob("node-*.tar"):
            old.unlink()
        partial.rename(target)
    return target


def store(root: Path, work: Path, built: Mapping[str, Path]) -> None:
    """Put the images of kubeadm and the pause image into the containerd of the node at *root*."""
    kube = work / "kube.tar"
    oci.write(kube_image(root, built["kube"]), kube)
    with _containerd(root / "var/lib/containerd", work) as ctr:
        for image in (images.archives([images.pause()])[images.PAUSE], kube):
            _run(*ctr, "import", "--no-unpack", image)
        for other in OTHER_NAMES:
            _run(*ctr, "tag", KUBE, other)


def kube_image(root: Path, kube: Path) -> oci.Image:
    """The programs of Kubernetes, with the iptables of the node at *root*, which kube-proxy calls."""
    extensions = [path.relative_to(root).as_posix() for path in sorted((root / EXTENSIONS).glob("*.so"))]
    libraries = _libraries(root, [IPTABLES, *extensions])
    native = {path: root / path for path in (IPTABLES, *extensions, *libraries)}
    files = {"usr/local/bin/kube": kube, **native}
    links = {f"usr/local/bin/{name}": "kube" for name in PROGRAMS}
    links |= {f"usr/sbin/{name}": "xtables-nft-multi" for name in IPTABLES_NAMES}
    path = "PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return oci.Image(KUBE, files, {"Env": [path]}, frozenset(files), {"tmp": 0o1777}, links)


def pack(layer: Path, target: Path) -> None:
    """Write an image of one *layer* (a tar) to *target*, in the format of `docker save`."""
    digest = hashlib.sha256()
    with layer.open("rb") as content:
        while part := content.read(PART_BYTES):
            digest.update(part)
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {
            "Entrypoint": [rootfs.ENTRYPOINT, "/sbin/init"],
            "Env": ["container=docker", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
            "StopSignal": "SIGRTMIN+3",  # systemd's word for: halt
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest.hexdigest()}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [REFERENCE], "Layers": ["layer.tar"]}]
    for name, value in (("config", config), ("manifest", manifest)):
        layer.with_name(f"{name}.json").write_text(json.dumps(value))
    with tarfile.open(target, "w") as tar:
        for name in ("config.json", "manifest.json", "layer.tar"):
            tar.add(layer.with_name(name), name)


@contextmanager
def _containerd(store_folder: Path, work: Path) -> Iterator[list[str | Path]]:
    """A containerd on *store_folder* while the body runs; yields how to call `ctr images`."""
    socket, config, log = work / "containerd.sock", work / "containerd.toml", work / "containerd.log"
    config.write_text('version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n')
    options = [f"--config={config}", f"--root={store_folder}", f"--state={work / 'state'}", f"--address={socket}"]
    ctr: list[str | Path] = [debian.program("usr/bin/ctr"), f"--address={socket}", "--namespace=k8s.io"]
    with log.open("w") as said:
        process = subprocess.Popen([debian.program("usr/bin/containerd"), *options], stdout=said, stderr=said)
        try:
            poll(
                lambda: execute(*ctr, "version", timeout=timeouts.seconds("lab_program_call")).code,
                until=lambda code: code == 0,
                terminal=lambda _: f"it ended: {log.read_text()[-300:]}" if process.poll() is not None else None,
                event="containerd answers",
                timeout=timeouts.seconds("lab_containerd_ready"),
                interval=0.1,
            )
            yield [*ctr, "images"]
        finally:
            process.terminate()
            process.wait(timeouts.seconds("lab_processes_gone"))


def _libraries(root: Path, programs: list[str]) -> list[str]:
    """The shared libraries, by path below *root*, that *programs* are linked with."""
    said = _run("chroot", root, "ldd", *(f"/{program}" for program in programs))
    words = (word for line in said.splitlines() for word in line.split())
    return sorted({word.lstrip("/") for word in words if word.startswith("/") and not word.endswith(":")})


def _run(*command: str | Path) -> str:
    name = Path(command[0]).name
    return execute(*command, timeout=timeouts.seconds("lab_image_loaded")).checked(name).decode()
