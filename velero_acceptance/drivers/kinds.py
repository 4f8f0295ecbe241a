"""The kinds of objects that the suite handles, and what can be read from an object."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True)
class Kind:
    """A resource of the API server."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None, name: str | None = None) -> str:
        """The REST path of one object, or of the collection."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        scope = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return f"{root}{scope}/{self.plural}" + (f"/{name}" if name else "")


def _velero(kind: str, plural: str) -> Kind:
    return Kind("velero.io", "v1", kind, plural)


NAMESPACE = Kind("", "v1", "Namespace", "namespaces", namespaced=False)
NODE = Kind("", "v1", "Node", "nodes", namespaced=False)
POD = Kind("", "v1", "Pod", "pods")
SERVICE = Kind("", "v1", "Service", "services")
CONFIG_MAP = Kind("", "v1", "ConfigMap", "configmaps")
SECRET = Kind("", "v1", "Secret", "secrets")
EVENT = Kind("", "v1", "Event", "events")
CLAIM = Kind("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims")
VOLUME = Kind("", "v1", "PersistentVolume", "persistentvolumes", namespaced=False)
DEPLOYMENT = Kind("apps", "v1", "Deployment", "deployments")
DAEMON_SET = Kind("apps", "v1", "DaemonSet", "daemonsets")
STATEFUL_SET = Kind("apps", "v1", "StatefulSet", "statefulsets")
CRON_JOB = Kind("batch", "v1", "CronJob", "cronjobs")
JOB = Kind("batch", "v1", "Job", "jobs")
BACKUP = _velero("Backup", "backups")
RESTORE = _velero("Restore", "restores")
SCHEDULE = _velero("Schedule", "schedules")
POD_VOLUME_BACKUP = _velero("PodVolumeBackup", "podvolumebackups")
POD_VOLUME_RESTORE = _velero("PodVolumeRestore", "podvolumerestores")
BACKUP_REPOSITORY = _velero("BackupRepository", "backuprepositories")
STORAGE_LOCATION = _velero("BackupStorageLocation", "backupstoragelocations")
DELETE_BACKUP_REQUEST = _velero("DeleteBackupRequest", "deletebackuprequests")
DOWNLOAD_REQUEST = _velero("DownloadRequest", "downloadrequests")
LEASE = Kind("coordination.k8s.io", "v1", "Lease", "leases")
NETWORK_POLICY = Kind("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies")
RESOURCE_QUOTA = Kind("", "v1", "ResourceQuota", "resourcequotas")
STORAGE_CLASS = Kind("storage.k8s.io", "v1", "StorageClass", "storageclasses", namespaced=False)
SERVICE_ACCOUNT = Kind("", "v1", "ServiceAccount", "serviceaccounts")
ROLE = Kind("rbac.authorization.k8s.io", "v1", "Role", "roles")
ROLE_BINDING = Kind("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings")
CLUSTER_ROLE_BINDING = Kind(
    "rbac.authorization.k8s.io", "v1", "ClusterRoleBinding", "clusterrolebindings", namespaced=False
)
ACCESS_REVIEW = Kind("authorization.k8s.io", "v1", "SubjectAccessReview", "subjectaccessreviews", namespaced=False)
SELF_REVIEW = Kind(
    "authorization.k8s.io", "v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews", namespaced=False
)
GIT_REPOSITORY = Kind("source.toolkit.fluxcd.io", "v1", "GitRepository", "gitrepositories")
HELM_RELEASE = Kind("helm.toolkit.fluxcd.io", "v2", "HelmRelease", "helmreleases")
KUSTOMIZATION = Kind("kustomize.toolkit.fluxcd.io", "v1", "Kustomization", "kustomizations")


def name_of(item: Json) -> str:
    return str(item["metadata"]["name"])


def namespace_of(item: Json) -> str:
    return str(item["metadata"]["namespace"])


def labels_of(item: Json) -> dict[str, str]:
    return dict(item["metadata"].get("labels") or {})


def phase_of(item: Json | None) -> str:
    """``status.phase``; empty for an object without one, or that does not exist."""
    return str(((item or {}).get("status") or {}).get("phase") or "")


def time_of(text: str) -> datetime:
    """A time stamp of the API server, in UTC."""
    return datetime.fromisoformat(text).astimezone(UTC)


def stamp(moment: datetime, timespec: str = "seconds") -> str:
    """A time as the API server writes it (RFC 3339)."""
    return moment.astimezone(UTC).isoformat(timespec=timespec).replace("+00:00", "Z")


def condition(item: Json | None, kind: str) -> Json:
    """The status condition of type *kind*; empty when there is none."""
    conditions = ((item or {}).get("status") or {}).get("conditions") or []
    return next((dict(c) for c in conditions if c["type"] == kind), {})


def is_ready(item: Json | None) -> bool:
    """Whether the condition Ready is True."""
    return condition(item, "Ready").get("status") == "True"


def is_rolled_out(item: Json) -> bool:
    """Whether every node or replica that a DaemonSet or Deployment wants is ready, by its present specification."""
    status = item.get("status") or {}
    seen = status.get("observedGeneration") == item["metadata"]["generation"]
    if "desiredNumberScheduled" in status:
        wanted, counts = status["desiredNumberScheduled"], ("updatedNumberScheduled", "numberReady")
    else:
        wanted, counts = item["spec"].get("replicas", 1), ("updatedReplicas", "readyReplicas")
    return bool(seen and all(status.get(count, 0) == wanted for count in counts))
