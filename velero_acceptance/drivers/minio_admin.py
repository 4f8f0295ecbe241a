"""MinIO by its administrator's interface: users, policies, quotas, capacity."""

from __future__ import annotations

import json
from dataclasses import dataclass
from urllib.parse import urlsplit

import urllib3
from minio.credentials.providers import StaticProvider
from minio.error import MinioAdminException
from minio.minioadmin import MinioAdmin

from velero_acceptance.core.errors import AcceptanceError
from velero_acceptance.core.settings import S3Access

CALL_SECONDS = 20.0


def _administrator(access: S3Access) -> MinioAdmin:
    authority = str(access.authority) if access.authority else None
    return MinioAdmin(
        endpoint=urlsplit(access.endpoint).netloc,
        credentials=StaticProvider(access.access_key.get_secret_value(), access.secret_key.get_secret_value()),
        region=access.region,
        http_client=urllib3.PoolManager(ca_certs=authority, timeout=CALL_SECONDS, retries=False),
    )


class Quota:
    """How much a bucket may hold."""

    def __init__(self, access: S3Access, bucket: str) -> None:
        self._admin, self._bucket = _administrator(access), bucket

    def get(self) -> int:
        """The quota in bytes; 0 for none."""
        return int(json.loads(self._admin.bucket_quota_get(self._bucket)).get("quota", 0))

    def set(self, size: int) -> None:
        """Let the bucket hold *size* bytes: what it holds already stays. Raises AcceptanceError when MinIO refuses."""
        try:
            self._admin.bucket_quota_set(self._bucket, size)
        except (MinioAdminException, urllib3.exceptions.HTTPError) as error:
            raise AcceptanceError(f"MinIO sets no quota: {type(error).__name__}") from None

    def clear(self) -> None:
        """Let the bucket hold as much as there is room for."""
        self._admin.bucket_quota_clear(self._bucket)


@dataclass(frozen=True)
class Capacity:
    """Room in S3, in bytes: of the bucket's quota, or of the disks where there is none."""

    used: int
    total: int
    source: str

    @property
    def percent(self) -> float:
        return 100 * self.used / self.total

    @property
    def free(self) -> int:
        return max(0, self.total - self.used)


class Users:
    """The users of one MinIO. Raises AcceptanceError when the credentials are not an administrator's."""

    def __init__(self, access: S3Access) -> None:
        self._admin = _administrator(access)

    def permitted(self) -> bool:
        """Whether the S3 server is a MinIO, and the credentials are those of an administrator."""
        try:
            return bool(self.policies())
        except (MinioAdminException, urllib3.exceptions.HTTPError, ValueError):
            return False

    def add_like(self, name: str, secret: str, model: str) -> None:
        """Make the user *name*, with the policy that the user *model* has."""
        try:
            policy = json.loads(self._admin.user_info(model)).get("policyName")
            self._admin.user_add(name, secret)
            self._admin.attach_policy(policy.split(","), user=name)
        except (MinioAdminException, urllib3.exceptions.HTTPError, AttributeError) as error:
            raise AcceptanceError(f"MinIO makes no user: {type(error).__name__}") from None

    def remove(self, name: str) -> None:
        """Remove a user; one that is gone already is fine."""
        try:
            self._admin.user_remove(name)
        except MinioAdminException:
            if name in json.loads(self._admin.user_list()):
                raise AcceptanceError(f"MinIO does not remove the user {name}") from None

    def deny(self, policy: str, user: str, action: str, resource: str) -> None:
        """Deny *action* on *resource* to *user*, by a policy beside those that it has."""
        statement = {"Effect": "Deny", "Action": [action], "Resource": [f"arn:aws:s3:::{resource}"]}
        try:
            self._admin.policy_add(policy, policy={"Version": "2012-10-17", "Statement": [statement]})
            self._admin.attach_policy([policy], user=user)
        except (MinioAdminException, urllib3.exceptions.HTTPError) as error:
            raise AcceptanceError(f"MinIO makes no policy: {type(error).__name__}") from None

    def lift(self, policy: str) -> None:
        """Take a policy from every user that has it, and remove it; one that is gone already is fine."""
        for name, user in json.loads(self._admin.user_list()).items():
            if policy in user.get("policyName", "").split(","):
                self._admin.detach_policy([policy], user=name)
        if policy in self.policies():
            self._admin.policy_remove(policy)

    def capacity(self, bucket: str) -> Capacity:
        """Room for *bucket*: its quota, or the disks where it has none."""
        try:
            quota = json.loads(self._admin.bucket_quota_get(bucket)).get("quota", 0)
            if quota:
                usage = json.loads(self._admin.get_data_usage_info())["bucketsUsageInfo"]
                return Capacity(int(usage.get(bucket, {}).get("size", 0)), int(quota), f"quota of {bucket}")
            servers = json.loads(self._admin.info())["servers"]
            disks = [disk for server in servers for disk in server.get("drives") or server.get("disks") or []]
            total = sum(int(disk["totalspace"]) for disk in disks)
        except (MinioAdminException, urllib3.exceptions.HTTPError, KeyError, ValueError) as error:
            raise AcceptanceError(f"this S3 does not tell its capacity: {type(error).__name__}") from None
        if not total:
            raise AcceptanceError("this S3 does not tell its capacity: no disk is named")
        return Capacity(sum(int(disk["usedspace"]) for disk in disks), total, f"{len(disks)} disks of MinIO")

    def policies(self) -> list[str]:
        """Every policy."""
        return list(json.loads(self._admin.policy_list()))

    def names(self) -> list[str]:
        """Every user."""
        return list(json.loads(self._admin.user_list()))
