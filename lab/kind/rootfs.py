"""The root file system of a kind node: a small Debian with systemd, containerd and Kubernetes.

Made by debootstrap, which is unpacked and not installed, in a mount namespace of its own.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from lab import debian
from lab.programs import KUBERNETES_VERSION
from velero_acceptance.core import timeouts
from velero_acceptance.core.errors import AcceptanceError
from velero_acceptance.core.files import link_to
from velero_acceptance.core.programs import execute

DEBOOTSTRAP = ("debootstrap",)
PACKAGES = (
    "containerd",
    "containernetworking-plugins",
    "dbus",
    "iproute2",
    "iptables",
    "mount",
    "procps",
    "runc",
    "socat",
    "systemd",
    "systemd-sysv",
    "util-linux",
)
FILES = Path(__file__).with_name("node")
ENTRYPOINT = "/usr/local/bin/entrypoint"
# What a container has no use for, and units that would reach for the machine's hardware.
USELESS = (
    "debootstrap",
    "etc/machine-id",
    "var/cache/apt/archives/*.deb",
    "var/lib/apt/lists/*",
    "usr/share/doc/*",
    "usr/share/info/*",
    "usr/share/locale/*",
    "usr/share/man/*",
    "etc/cni/net.d/*",
    "etc/systemd/system/*.wants/*",
    "lib/systemd/system/basic.target.wants/*",
    "lib/systemd/system/local-fs.target.wants/*",
    "lib/systemd/system/multi-user.target.wants/*",
    "lib/systemd/system/sockets.target.wants/*udev*",
    "lib/systemd/system/sysinit.target.wants/systemd-tmpfiles-setup.service",
)
MASKED = (
    "dev-hugepages.mount",
    "getty.target",
    "proc-sys-fs-binfmt_misc.automount",
    "sys-kernel-config.mount",
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
    "systemd-binfmt.service",
    "systemd-firstboot.service",
    "systemd-logind.service",
    "systemd-sysctl.service",  # it would set the whole machine's values
)
ENABLED = ("containerd.service", "kubelet.service")


def make(root: Path, built: Mapping[str, Path]) -> None:
    """Fill the folder *root* with a node's files; *built* has the lab's programs by name."""
    _debootstrap(root)
    tidy(root)
    shutil.copytree(FILES, root, dirs_exist_ok=True)
    (root / "kind/version").write_text(KUBERNETES_VERSION)
    for folder in ("opt/cni", "etc/cni/net.d", "etc/kubernetes/manifests", "lib/modules", "var/openebs"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "opt/cni/bin").symlink_to("/usr/lib/cni")
    (root / "etc/machine-id").touch()
    programs = {
        ENTRYPOINT: built["node-entrypoint"],
        "/usr/bin/kubelet": built["kube"],
        "/usr/bin/kubeadm": built["kubeadm"],
        "/usr/bin/kubectl": Path(sys.prefix) / "bin/kubectl",
    }
    for place, program in programs.items():
        shutil.copyfile(program, root / place.lstrip("/"))
        (root / place.lstrip("/")).chmod(0o755)


def tidy(root: Path) -> None:
    """Remove what a node has no use for, and choose the units that systemd starts."""
    for pattern in USELESS:
        for path in root.glob(pattern):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
    units = root / "etc/systemd/system"
    for name in MASKED:
        link_to(units / name, "/dev/null")
    for name in ENABLED:
        link_to(units / "multi-user.target.wants" / name, f"/etc/systemd/system/{name}")
    link_to(units / "default.target", "/lib/systemd/system/multi-user.target")


def _debootstrap(root: Path) -> None:
    unpacked = debian.root(DEBOOTSTRAP)
    program = unpacked / "usr/sbin/debootstrap"
    command: list[str | Path] = [
        program,
        "--variant=minbase",
        f"--include={','.join(PACKAGES)}",
        debian.release(),
        root,
        debian.mirror(),
    ]
    done = execute(
        *("unshare", "--mount", "--propagation=private", *command),
        what="debootstrap",
        environment={**os.environ, "DEBOOTSTRAP_DIR": str(unpacked / "usr/share/debootstrap")},
        timeout=timeouts.seconds("kind_root_made"),
    )
    if done.code != 0:
        raise AcceptanceError(f"debootstrap failed: {done.words()}")
