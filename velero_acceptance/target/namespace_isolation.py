"""Every namespace of the suite is isolated: no traffic in or out, and a quota.

Both are in the namespace's backup, so a restored namespace has them too. The quota limits only what Velero restores
before the quota itself: until Kubernetes has computed a new quota, it refuses what the quota limits.
"""

from velero_acceptance.drivers.kinds import NETWORK_POLICY, RESOURCE_QUOTA, Json
from velero_acceptance.drivers.kubernetes import Kubernetes

NAME = "velero-acceptance"
PODS, CLAIMS = 10, 5
# Bytes that the claims of one namespace may request by default.
STORAGE = 10 << 30


def storage_for(data_size: int) -> int:
    """The quota in bytes of a namespace with *data_size* of data, whose volume is half as large again."""
    return max(STORAGE, 2 * data_size)


def isolate(kubernetes: Kubernetes, namespace: str, storage: int, *, timeout: float) -> None:
    """Create policy and quota in *namespace*, and wait until the quota is in effect."""
    policy = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    kubernetes.create(NETWORK_POLICY, {"metadata": {"name": NAME}, "spec": policy}, namespace)
    hard = {"pods": str(PODS), "persistentvolumeclaims": str(CLAIMS), "requests.storage": str(storage)}
    kubernetes.create(RESOURCE_QUOTA, {"metadata": {"name": NAME}, "spec": {"hard": hard}}, namespace)
    kubernetes.wait(
        RESOURCE_QUOTA,
        NAME,
        namespace,
        until=lambda item: _counted(item, hard),
        event=f"the quota of {namespace} is in effect",
        timeout=timeout,
    )


def _counted(item: Json | None, hard: Json) -> bool:
    counted: Json = ((item or {}).get("status") or {}).get("hard") or {}
    return hard.keys() <= counted.keys()
