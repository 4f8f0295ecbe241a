"""The configuration that kind gets: ``kind-config.yaml`` of the project, and what this machine adds.

The file is usable by itself. Generated are ports, folders, the API server's audit log, and what
only a machine without Docker or without a capability needs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from lab.control_plane import write_audit_policy
from lab.kind.settings import KindSettings

SOURCE = Path(__file__).parents[2] / "kind-config.yaml"
KUBEADM = "kubeadm.k8s.io/v1beta4"
# Where the control plane's container has the folder of the audit log.
AUDIT = "/var/log/kubernetes/audit"
# Lowering the score needs CAP_SYS_RESOURCE, which many containers and small VMs lack.
RESTRICTED_SCORES = """\
[plugins."io.containerd.grpc.v1.cri"]
  restrict_oom_score_adj = true
"""

Json = dict[str, Any]


def official_image() -> str:
    """The node image of the kind project, pinned by digest."""
    return str(yaml.safe_load(SOURCE.read_text())["nodes"][0]["image"])


def pod_network() -> str:
    """The addresses of all pods."""
    return str(yaml.safe_load(SOURCE.read_text())["networking"]["podSubnet"])


def service_network() -> str:
    """The addresses of all services."""
    return str(yaml.safe_load(SOURCE.read_text())["networking"]["serviceSubnet"])


def cluster(settings: KindSettings, *, image: str, restrict_scores: bool) -> Json:
    """The cluster to create. *restrict_scores* for nodes that may not lower a process's oom_score_adj."""
    config: Json = yaml.safe_load(SOURCE.read_text())
    config["name"] = settings.name
    config["networking"] |= {"apiServerAddress": "127.0.0.1", "apiServerPort": settings.api_port}
    config["kubeadmConfigPatches"].append(yaml.safe_dump(_control_plane()))
    if restrict_scores:
        config["containerdConfigPatches"] = [RESTRICTED_SCORES]
    control_plane, *workers = config["nodes"]
    for node in config["nodes"]:
        node["image"] = image
    for name, node in zip(settings.workers, workers, strict=True):
        for mount in node["extraMounts"]:
            mount["hostPath"] = str(settings.state / name / Path(mount["containerPath"]).name)
    control_plane["extraMounts"] = [{"hostPath": str(settings.audit), "containerPath": AUDIT}]
    return config


def write(settings: KindSettings, *, image: str, restrict_scores: bool) -> Path:
    """Write the configuration and the folders and files that it mounts; return its path."""
    content = cluster(settings, image=image, restrict_scores=restrict_scores)
    for node in content["nodes"]:
        for mount in node["extraMounts"]:
            Path(mount["hostPath"]).mkdir(parents=True, exist_ok=True)
    write_audit_policy(settings.audit / "policy.yaml", settings.velero_namespace)
    path = settings.state / "kind-config.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def _control_plane() -> Json:
    """kubeadm's options: who did what to Velero's objects is noted, and a claim's conflict costs no 15 s."""
    audit = {"audit-policy-file": f"{AUDIT}/policy.yaml", "audit-log-path": f"{AUDIT}/audit.log"}
    return {
        "apiVersion": KUBEADM,
        "kind": "ClusterConfiguration",
        "apiServer": {
            "extraArgs": _arguments({**audit, "audit-log-maxsize": "100"}),  # MB
            "extraVolumes": [{"name": "audit", "hostPath": AUDIT, "mountPath": AUDIT, "pathType": "Directory"}],
        },
        "controllerManager": {"extraArgs": _arguments({"pvclaimbinder-sync-period": "2s"})},
    }


def _arguments(options: dict[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in options.items()]
