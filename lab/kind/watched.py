"""What the lab's Prometheus watches in a kind cluster, and how it gets in: by a certificate that kubeadm signs."""

from __future__ import annotations

import base64
from typing import Any

import yaml

from lab.kind.engine import Engine
from lab.kind.settings import CONTROL_PLANE, KindSettings
from lab.monitoring import Watched, identify
from lab.pki import MONITORING, write_secret

# Where kind leaves kubeadm's configuration in every node.
KUBEADM_CONFIG = "/kind/kubeadm.conf"


def watched(settings: KindSettings, engine: Engine, addresses: dict[str, str]) -> Watched:
    """The cluster's workers, whose node-agents are watched; *addresses* of the nodes by name.

    Kubelets of kubeadm sign their certificates themselves: there is no authority to trust.
    """
    control_plane = settings.container(CONTROL_PLANE)
    sign = ("kubeadm", "kubeconfig", "user", f"--client-name={MONITORING}", f"--config={KUBEADM_CONFIG}")
    pki = settings.state / "pki"
    files = {name: pki / f"kind-{name}" for name in ("authority", "certificate", "key")}
    for name, content in _credentials(yaml.safe_load(engine.docker("exec", control_plane, *sign))).items():
        write_secret(files[name], content)
    identity = identify(**files)
    kubelets = {option: value for option, value in identity.items() if option != "ca_file"}
    return Watched(
        api_server=f"{addresses[control_plane]}:6443",
        nodes=[addresses[name] for name in settings.workers],
        identity=identity,
        kubelets={**kubelets, "insecure_skip_verify": True},
    )


def _credentials(kubeconfig: dict[str, Any]) -> dict[str, bytes]:
    (cluster,), (user,) = kubeconfig["clusters"], kubeconfig["users"]
    encoded = {
        "authority": cluster["cluster"]["certificate-authority-data"],
        "certificate": user["user"]["client-certificate-data"],
        "key": user["user"]["client-key-data"],
    }
    return {name: base64.b64decode(text) for name, text in encoded.items()}
