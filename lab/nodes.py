"""Start the lab's nodes, each a set of namespaces with a disk of its own."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from lab import debian, images
from lab.cgroups import Cgroups
from lab.node import NodeConfig
from lab.processes import Processes
from lab.settings import DNS_SERVICE_ADDRESS, POD_NETWORK, SYNC_FREQUENCY, LabSettings
from velero_acceptance.core import timeouts
from velero_acceptance.core.errors import AcceptanceError
from velero_acceptance.core.programs import execute

# Of the usual 128 a few kubelets of one user run out ("too many open files").
WATCHERS, WATCHERS_NEEDED = "fs/inotify/max_user_instances", 1024
# kubelet writes the others for the whole machine; `down` puts them back.
SYSCTLS = ("vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops", WATCHERS)
SYSTEM = Path("/proc/sys")
# On the disk of a node that was not Ready in time.
LATE = "late"
ADD_ONS_LABEL = "velero-acceptance.io/add-ons"


def save_sysctls(settings: LabSettings) -> None:
    """Remember the machine's values before the first kubelet changes them, and raise the limit of inotify."""
    saved = settings.state / "sysctls"
    if not saved.exists():
        values = {name: (SYSTEM / name).read_text().strip() for name in SYSCTLS}
        partial = saved.with_suffix(".new")
        partial.write_text(yaml.safe_dump(values))
        partial.rename(saved)
    limit = SYSTEM / WATCHERS
    if int(limit.read_text()) < WATCHERS_NEEDED:
        limit.write_text(str(WATCHERS_NEEDED))


def restore_sysctls(settings: LabSettings) -> None:
    """Give the machine its own values back."""
    saved = settings.state / "sysctls"
    if saved.exists():
        for name, value in yaml.safe_load(saved.read_text()).items():
            (SYSTEM / name).write_text(value)


def start(
    settings: LabSettings,
    processes: Processes,
    cgroups: Cgroups,
    *,
    index: int,
    programs: Path,
    archives: Mapping[str, Path],
) -> None:
    """Start node *index* (from 1) unless it runs. Node 1 also holds the images of the add-ons."""
    name = settings.node_names[index - 1]
    disk = settings.state / name
    if (disk / LATE).exists():
        remove(settings, processes, name)
    if processes.pid(f"{name}-init") is not None:
        return
    disk.mkdir(parents=True, exist_ok=True)
    cgroups.create_node(name)
    wanted = [str(path) for reference, path in archives.items() if index == 1 or reference not in images.ADD_ONS]
    unpacked = debian.root()
    config = NodeConfig(
        name=name,
        disk=str(disk),
        logs=str(processes.logs),
        path=f"{unpacked}/usr/bin:{unpacked}/usr/sbin:{os.environ['PATH']}",
        containerd_config=str(_containerd(settings, disk, index)),
        archives=wanted,
        kubelet=_kubelet(settings, disk, index, programs, cgroups),
        kube_proxy=_kube_proxy(settings, disk, index, programs),
    )
    config.save(disk / "node.json")
    namespaces = ["--mount", "--uts", "--ipc", "--pid", "--fork", "--mount-proc", "--propagation", "private"]
    init = [sys.executable, "-m", "lab.node", str(disk / "node.json")]
    command = ["unshare", *namespaces, "--kill-child=KILL", *init]
    processes.start(f"{name}-init", command, netns=name, environment={"PYTHONPATH": str(Path(__file__).parents[1])})


def remove(settings: LabSettings, processes: Processes, name: str) -> None:
    """End a node with all that runs on it, and remove its disk, for the next ``start`` to make another."""
    processes.stop(f"{name}-init")
    shutil.rmtree(settings.state / name)


def mark_late(settings: LabSettings, name: str) -> None:
    """Have the next ``start`` remake a node that was not Ready in time."""
    if (settings.state / name).exists():
        (settings.state / name / LATE).touch()


def load_image(enter: Sequence[str], archive: Path) -> None:
    """Give a node that runs one more image; *enter* is the prefix that runs a program on it."""
    # Unpacked by the first container that needs it, as all others are.
    load = [
        str(debian.program("usr/bin/ctr")),
        "--namespace",
        "k8s.io",
        "images",
        "import",
        "--no-unpack",
        str(archive),
    ]
    done = execute(*enter, *load, timeout=timeouts.seconds("lab_image_loaded"))
    if done.code != 0:
        raise AcceptanceError(f"{archive.name} cannot be loaded: {done.stderr.strip()}")


def _containerd(settings: LabSettings, disk: Path, index: int) -> Path:
    cni = disk / "cni"
    cni.mkdir(exist_ok=True)
    subnet = str(settings.pod_subnet(index))
    # Routed (ptp), not bridged: between two pods of one node a bridge would bypass the
    # rewriting of service addresses on the way back.
    plugins = f"""{{"cniVersion": "1.0.0", "name": "lab", "plugins": [
      {{"type": "ptp", "ipam": {{"type": "host-local", "dataDir": "/run/cni",
        "ranges": [[{{"subnet": "{subnet}"}}]], "routes": [{{"dst": "0.0.0.0/0"}}]}}}},
      {{"type": "portmap", "capabilities": {{"portMappings": true}}}}]}}"""
    (cni / "10-lab.conflist").write_text(plugins)
    config = disk / "containerd.toml"
    config.write_text(f"""version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{images.PAUSE}"
  # Lowering the score needs CAP_SYS_RESOURCE, which many containers and small VMs lack.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{debian.root()}/usr/lib/cni"
    conf_dir = "{cni}"
""")
    return config


def _kubelet(settings: LabSettings, disk: Path, index: int, programs: Path, cgroups: Cgroups) -> list[str]:
    name, pki = settings.node_names[index - 1], settings.state / "pki"
    resolver = disk / "resolv.conf"
    resolver.write_text("nameserver 192.0.2.1\n")  # documentation address: no name leaves the lab
    config = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(pki / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(pki / f"kubelet-{name}.crt"),
        "tlsPrivateKeyFile": str(pki / f"kubelet-{name}.key"),
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": cgroups.kubelet_root(name),
        "enforceNodeAllocatable": [],
        "failCgroupV1": False,
        "failSwapOn": False,
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "clusterDNS": [str(DNS_SERVICE_ADDRESS)],
        "clusterDomain": "cluster.local",
        "resolvConf": str(resolver),
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        # No registry could give a collected image back.
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "imageMaximumGCAge": "0s",
        "serializeImagePulls": False,
        "rotateCertificates": False,
        "syncFrequency": SYNC_FREQUENCY,
        "nodeStatusUpdateFrequency": "4s",
        "nodeStatusReportFrequency": "4s",
    }
    path = disk / "kubelet.yaml"
    path.write_text(yaml.safe_dump(config))
    labels = f"{ADD_ONS_LABEL}={'true' if index == 1 else 'false'}"
    return [
        str(programs / "kubelet"),
        f"--config={path}",
        f"--kubeconfig={pki / f'kubelet-{name}.kubeconfig'}",
        f"--hostname-override={name}",
        f"--node-ip={settings.node_address(index)}",
        f"--node-labels={labels}",
    ]


def _kube_proxy(settings: LabSettings, disk: Path, index: int, programs: Path) -> list[str]:
    config = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": str(settings.state / "pki/proxy.kubeconfig")},
        "mode": "iptables",
        "clusterCIDR": str(POD_NETWORK),
        "hostnameOverride": settings.node_names[index - 1],
        # Connection tracking limits belong to the machine; leave them alone.
        "conntrack": {"maxPerCore": 0, "min": 0},
        "iptables": {"minSyncPeriod": "100ms"},
    }
    path = disk / "kube-proxy.yaml"
    path.write_text(yaml.safe_dump(config))
    return [str(programs / "kube-proxy"), f"--config={path}"]
