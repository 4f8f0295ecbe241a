"""The first process of a node: mounts the node's own disk, then runs containerd, kubelet and kube-proxy.

Runs inside fresh mount, pid, uts and ipc namespaces and the node's network namespace. /var and
/run are the node's own, so that kubelet and containerd keep their standard paths and nothing
appears on the machine. When one of the three programs ends, the node ends: a power cut.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from velero_acceptance.core import timeouts
from velero_acceptance.core.errors import AcceptanceError
from velero_acceptance.core.programs import execute
from velero_acceptance.core.waiting import poll

# Path on the node by the name of its folder on the node's disk.
DISK = {
    "kubelet": "/var/lib/kubelet",
    "containerd": "/var/lib/containerd",
    "pods": "/var/log/pods",
    "containers": "/var/log/containers",
    "openebs": "/var/openebs",
}
STAGE = "stage"
SHARED = ("/var/lib/kubelet", "/var/openebs")
OWN_FOLDERS = ("/var/tmp", "/var/lib/cni", "/run/containerd", "/run/netns", "/run/lock")


@dataclass(frozen=True)
class NodeConfig:
    """All that a node is started with; paths are those of the machine."""

    name: str
    disk: str
    logs: str
    path: str
    containerd_config: str
    archives: list[str]
    kubelet: list[str]
    kube_proxy: list[str]

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)))


def run(*command: str | Path) -> None:
    """Run *command*; raises AcceptanceError with its words when it fails."""
    done = execute(*command, timeout=timeouts.seconds("lab_image_loaded"))
    if done.code != 0:
        raise AcceptanceError(f"{' '.join(map(str, command))}: {done.stderr.strip()}")


def mount_own_folders(disk: Path) -> None:
    """Put the node's disk at the standard paths, below a /var and a /run of its own.

    The new tree is made aside and moved in whole, because the disk may itself lie in a folder
    that it hides.
    """
    root = disk / "root"
    root.mkdir(exist_ok=True)
    run("mount", "-t", "tmpfs", "tmpfs", root)
    for folder in (*DISK.values(), *OWN_FOLDERS):
        (root / folder.lstrip("/")).mkdir(parents=True)
    (root / "var/run").symlink_to("/run")
    for name, target in DISK.items():
        (disk / name).mkdir(exist_ok=True)
        run("mount", "--bind", disk / name, root / target.lstrip("/"))
    for top in ("/var", "/run"):
        run("mount", "--rbind", root / top.lstrip("/"), top)
    for folder in SHARED:
        run("mount", "--make-rshared", folder)


def start(config: NodeConfig, name: str, *command: str) -> int:
    """Start a program of the node with a log of its own; return its pid."""
    with (Path(config.logs) / f"{config.name}-{name}.log").open("ab") as log:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log).pid


def stage(disk: Path) -> str:
    """What the node on *disk* does at the moment, in its own words."""
    path = disk / STAGE
    return path.read_text() if path.exists() else "not started"


def containerd_answers() -> bool:
    return execute("ctr", "version", timeout=timeouts.seconds("lab_program_call")).code == 0


def main(path: str) -> None:
    config = NodeConfig(**json.loads(Path(path).read_text()))
    os.environ["PATH"] = config.path
    socket.sethostname(config.name)
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    disk = Path(config.disk)
    mount_own_folders(disk)
    (disk / STAGE).write_text("starts containerd")
    programs = {start(config, "containerd", "containerd", "--config", config.containerd_config): "containerd"}
    poll(
        containerd_answers,
        until=bool,
        event="containerd answers",
        timeout=timeouts.seconds("lab_containerd_ready"),
        interval=0.1,
    )
    for number, archive in enumerate(config.archives, start=1):
        (disk / STAGE).write_text(f"imports image {number} of {len(config.archives)}")
        # Unpacked when the first container needs them: most nodes never run most images.
        run("ctr", "--namespace", "k8s.io", "images", "import", "--no-unpack", archive)
    programs[start(config, "kubelet", *config.kubelet)] = "kubelet"
    programs[start(config, "kube-proxy", *config.kube_proxy)] = "kube-proxy"
    (disk / STAGE).write_text("runs kubelet")
    while True:  # as process 1, also reaps what containers leave behind
        pid, status = os.wait()
        if pid in programs:
            sys.exit(f"{programs[pid]} ended with status {status}: the node goes down")


if __name__ == "__main__":
    main(sys.argv[1])
