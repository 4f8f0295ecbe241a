"""Flux: what it has applied, requests to reconcile, suspension."""

from datetime import UTC, datetime

from velero_acceptance.core.naming import is_generated_name
from velero_acceptance.core.timeouts import Timeouts
from velero_acceptance.core.waiting import Deadline
from velero_acceptance.drivers.kinds import (
    GIT_REPOSITORY,
    HELM_RELEASE,
    KUSTOMIZATION,
    Json,
    Kind,
    condition,
    is_ready,
    name_of,
    namespace_of,
)
from velero_acceptance.drivers.kubernetes import Kubernetes, list_known

REQUESTED_AT = "reconcile.fluxcd.io/requestedAt"


class Flux:
    """The Flux of one cluster. *namespace* holds its source and Kustomizations."""

    def __init__(self, kubernetes: Kubernetes, timeouts: Timeouts, namespace: str, source: str) -> None:
        self.kubernetes, self._timeouts = kubernetes, timeouts
        self.namespace, self.source = namespace, source

    def installed(self) -> bool:
        """Whether the cluster has HelmReleases, and the source."""
        if list_known(self.kubernetes, HELM_RELEASE) is None:
            return False
        return self.kubernetes.get(GIT_REPOSITORY, self.source, self.namespace) is not None

    def source_problem(self) -> str:
        """Flux's reason why it cannot fetch its repository; empty when it can."""
        found = condition(self.kubernetes.require(GIT_REPOSITORY, self.source, self.namespace), "Ready")
        return "" if found.get("status") == "True" else str(found.get("message") or "it has not fetched it yet")

    def interval(self) -> str:
        """How often Flux polls Git, as a Go duration."""
        return str(self.kubernetes.require(GIT_REPOSITORY, self.source, self.namespace)["spec"]["interval"])

    def request(self, kind: Kind, name: str, namespace: str) -> str:
        """Request a reconciliation before the next interval; return the request's token."""
        token = datetime.now(UTC).isoformat()
        self.kubernetes.patch(kind, name, namespace, {"metadata": {"annotations": {REQUESTED_AT: token}}})
        return token

    def reconcile(self, kind: Kind, name: str, namespace: str) -> float:
        """Request a reconciliation and wait for its end; return the seconds it took."""
        deadline = Deadline(self._timeouts["flux_reconciled"])
        token = self.request(kind, name, namespace)
        self.kubernetes.wait(
            kind,
            name,
            namespace,
            until=lambda item: settled(item) and (item or {})["status"].get("lastHandledReconcileAt") == token,
            event=f"Flux has reconciled {kind.kind} {name}",
            timeout=deadline.remaining,
        )
        return deadline.elapsed

    def wait_revision(self, commit: str, kind: Kind, name: str) -> None:
        """Wait until a Kustomization has applied *commit* at Flux's own intervals."""
        self.kubernetes.wait(
            kind,
            name,
            self.namespace,
            until=lambda item: commit in str(((item or {}).get("status") or {}).get("lastAppliedRevision")),
            event=f"{kind.kind} {name} has applied the commit {commit[:12]}",
            timeout=self._timeouts["flux_reconciled"],
        )

    def wait_deleted(self) -> None:
        """Wait until Flux has deleted the suite's Kustomizations that Git no longer has, and then their releases.

        One that still waits for the health of its objects is deleted only afterwards. A namespace that was deleted
        before it holds its objects, and those hold the Kustomization.
        """
        for kind, namespace in ((KUSTOMIZATION, self.namespace), (HELM_RELEASE, None)):
            self.kubernetes.wait_all(
                kind,
                namespace,
                until=lambda items: not any(map(_is_going, items)),
                event=f"Flux has deleted every {kind.kind} that Git no longer has",
                timeout=self._timeouts["deployed"],
            )

    def suspend(self, kind: Kind, name: str, namespace: str, *, suspended: bool) -> None:
        """Suspend or resume the reconciliation of one object."""
        # Removed, not set to false: afterwards the object is as before.
        self.kubernetes.patch(kind, name, namespace, {"spec": {"suspend": suspended or None}})


def _is_going(item: Json) -> bool:
    """Whether an object of the suite is being deleted; other people's may be for ever."""
    places = (name_of(item), namespace_of(item))
    return "deletionTimestamp" in item["metadata"] and any(map(is_generated_name, places))


def settled(item: Json | None) -> bool:
    """Whether an object is Ready in its present generation."""
    if item is None or not is_ready(item):
        return False
    observed = condition(item, "Ready").get("observedGeneration", item["status"].get("observedGeneration"))
    return bool(observed == item["metadata"]["generation"])
