"""etcd, API server, controller manager and scheduler of the lab, on the host ``control``."""

from __future__ import annotations

from pathlib import Path

import yaml

from lab.kubectl import Kubectl
from lab.processes import Processes
from lab.settings import SERVICE_NETWORK, LabSettings
from velero_acceptance.core import timeouts

# Of deploy/rbac.
SUITE_ACCOUNTS = ("velero-acceptance-observe", "velero-acceptance-exercise")
PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy")


def link_programs(settings: LabSettings, kube: Path) -> Path:
    """Give the one binary its names; return their folder."""
    folder = settings.state / "programs"
    folder.mkdir(parents=True, exist_ok=True)
    for name in PROGRAMS:
        link = folder / name
        link.unlink(missing_ok=True)
        link.symlink_to(kube)
    return folder


def start(settings: LabSettings, processes: Processes, programs: Path) -> None:
    """Start what does not run yet and wait until the API server is ready."""
    pki = settings.state / "pki"
    processes.start("etcd", [programs / "etcd", *_etcd(settings)], netns="control")
    processes.start("kube-apiserver", [programs / "kube-apiserver", *_apiserver(settings, pki)], netns="control")
    Kubectl(settings).wait_for_api(timeouts.seconds("lab_api_ready"), processes)
    for name, arguments in (
        ("kube-controller-manager", _controller_manager(pki)),
        ("kube-scheduler", _clients(pki, "scheduler")),
    ):
        processes.start(name, [programs / name, *arguments], netns="control")


def _etcd(settings: LabSettings) -> list[str]:
    return [
        "--name=lab",
        f"--data-dir={settings.state / 'etcd'}",
        "--listen-client-urls=http://127.0.0.1:2379",
        "--advertise-client-urls=http://127.0.0.1:2379",
        "--listen-peer-urls=http://127.0.0.1:2380",
        "--unsafe-no-fsync",  # the lab's state need not outlive the machine
    ]


def _apiserver(settings: LabSettings, pki: Path) -> list[str]:
    return [
        "--etcd-servers=http://127.0.0.1:2379",
        "--secure-port=6443",
        f"--advertise-address={settings.control}",
        f"--service-cluster-ip-range={SERVICE_NETWORK}",
        f"--client-ca-file={pki / 'ca.crt'}",
        f"--tls-cert-file={pki / 'apiserver.crt'}",
        f"--tls-private-key-file={pki / 'apiserver.key'}",
        f"--kubelet-client-certificate={pki / 'apiserver-kubelet-client.crt'}",
        f"--kubelet-client-key={pki / 'apiserver-kubelet-client.key'}",
        f"--kubelet-certificate-authority={pki / 'ca.crt'}",
        "--kubelet-preferred-address-types=InternalIP",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={pki / 'service-accounts.pub'}",
        f"--service-account-signing-key-file={pki / 'service-accounts.key'}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        "--profiling=false",
        f"--audit-policy-file={write_audit_policy(settings.state / 'audit-policy.yaml', settings.velero_namespace)}",
        f"--audit-log-path={settings.audit_log}",
        "--audit-log-maxsize=100",  # MB
    ]


def write_audit_policy(path: Path, namespace: str) -> Path:
    """Write the policy to *path* and return it.

    Who did what to Velero's objects, and all that the suite's own accounts in *namespace* did; no contents.
    """
    accounts = [f"system:serviceaccount:{namespace}:{name}" for name in SUITE_ACCOUNTS]
    rules = [
        {"level": "Metadata", "users": accounts, "omitStages": ["RequestReceived"]},
        {"level": "Metadata", "resources": [{"group": "velero.io"}], "omitStages": ["RequestReceived"]},
        {"level": "None"},
    ]
    path.write_text(yaml.safe_dump({"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": rules}))
    return path


def _clients(pki: Path, name: str) -> list[str]:
    config = pki / f"{name}.kubeconfig"
    options = [f"--{purpose}kubeconfig={config}" for purpose in ("", "authentication-", "authorization-")]
    return [*options, "--leader-elect=false", "--bind-address=127.0.0.1"]


def _controller_manager(pki: Path) -> list[str]:
    return [
        *_clients(pki, "controller-manager"),
        f"--service-account-private-key-file={pki / 'service-accounts.key'}",
        f"--root-ca-file={pki / 'ca.crt'}",
        f"--cluster-signing-cert-file={pki / 'ca.crt'}",
        f"--cluster-signing-key-file={pki / 'ca.key'}",
        "--use-service-account-credentials=true",
        "--node-monitor-grace-period=12s",
        "--node-monitor-period=2s",
        # A conflict while binding a restored claim otherwise costs a whole 15 s period.
        "--pvclaimbinder-sync-period=2s",
    ]
