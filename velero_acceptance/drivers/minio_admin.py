"""MinIO by its administrator's interface: users, policies, quotas, capacity."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import urllib3

from velero_acceptance.core.errors import AcceptanceError
from velero_acceptance.core.installation import lab_packages
from velero_acceptance.core.settings import S3Access
from velero_acceptance.core.timeouts import seconds

if TYPE_CHECKING:
    from minio.minioadmin import MinioAdmin


class _Administrator:
    """A connection to MinIO. Raises Refusal without the package minio, AcceptanceError when a call is refused."""

    def __init__(self, access: S3Access) -> None:
        self._access = access

    @cached_property
    def _admin(self) -> MinioAdmin:
        with lab_packages():
            from minio.credentials.providers import StaticProvider
            from minio.minioadmin import MinioAdmin

        access = self._access
        authority = str(access.authority) if access.authority else None
        return MinioAdmin(
            endpoint=urlsplit(access.endpoint).netloc,
            credentials=StaticProvider(access.access_key.get_secret_value(), access.secret_key.get_secret_value()),
            region=access.region,
            secure=urlsplit(access.endpoint).scheme == "https",
            http_client=urllib3.PoolManager(ca_certs=authority, timeout=seconds("s3_call"), retries=False),
        )

    @contextmanager
    def _calls(self, refusal: str) -> Iterator[MinioAdmin]:
        """The connection; a call that fails is an AcceptanceError that begins with *refusal*."""
        admin = self._admin
        from minio.error import MinioAdminException

        try:
            yield admin
        except (MinioAdminException, urllib3.exceptions.HTTPError, AttributeError, KeyError, ValueError) as error:
            raise AcceptanceError(f"{refusal}: {type(error).__name__}") from None


class Quota(_Administrator):
    """The most that a bucket may hold."""

    def __init__(self, access: S3Access, bucket: str) -> None:
        super().__init__(access)
        self._bucket = bucket

    def get(self) -> int:
        """The quota in bytes; 0 for none."""
        return int(json.loads(self._admin.bucket_quota_get(self._bucket)).get("quota", 0))

    def set(self, size: int) -> None:
        """Limit the bucket to *size* bytes; objects that are there stay."""
        with self._calls("MinIO sets no quota") as admin:
            admin.bucket_quota_set(self._bucket, size)

    def clear(self) -> None:
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


class Users(_Administrator):
    """The users of one MinIO, their policies, and its capacity."""

    def permitted(self) -> bool:
        """Whether the S3 server is a MinIO, and the credentials are those of an administrator."""
        try:
            with self._calls("MinIO lists no policies"):
                return bool(self.policies())
        except AcceptanceError:
            return False

    def add_like(self, name: str, secret: str, model: str) -> None:
        """Create the user *name* with the policies of the user *model*."""
        with self._calls("MinIO creates no user") as admin:
            policy = json.loads(admin.user_info(model)).get("policyName")
            admin.user_add(name, secret)
            admin.attach_policy(policy.split(","), user=name)

    def remove(self, name: str) -> None:
        """Remove a user; it may be gone already."""
        try:
            with self._calls(f"MinIO does not remove the user {name}") as admin:
                admin.user_remove(name)
        except AcceptanceError:
            if name in self.names():
                raise

    def deny(self, policy: str, user: str, action: str, resource: str) -> None:
        """Deny *action* on *resource* to *user*, by an additional policy."""
        self._attach(policy, user, "Deny", action, resource)

    def allow(self, policy: str, user: str, action: str, resource: str) -> None:
        """Allow *action* on *resource* to *user*, by an additional policy."""
        self._attach(policy, user, "Allow", action, resource)

    def _attach(self, policy: str, user: str, effect: str, action: str, resource: str) -> None:
        statement = {"Effect": effect, "Action": [action], "Resource": [f"arn:aws:s3:::{resource}"]}
        with self._calls("MinIO creates no policy") as admin:
            admin.policy_add(policy, policy={"Version": "2012-10-17", "Statement": [statement]})
            admin.attach_policy([policy], user=user)

    def lift(self, policy: str) -> None:
        """Detach a policy from every user and remove it; it may be gone already."""
        for name, user in self._users().items():
            if policy in user.get("policyName", "").split(","):
                self._admin.detach_policy([policy], user=name)
        if policy in self.policies():
            self._admin.policy_remove(policy)

    def capacity(self, bucket: str) -> Capacity:
        """Room for *bucket*: its quota, or the disks where it has none."""
        with self._calls("this S3 does not report its capacity") as admin:
            if quota := Quota(self._access, bucket).get():
                usage = json.loads(admin.get_data_usage_info())["bucketsUsageInfo"]
                return Capacity(int(usage.get(bucket, {}).get("size", 0)), quota, f"quota of {bucket}")
            servers = json.loads(admin.info())["servers"]
            disks = [disk for server in servers for disk in server.get("drives") or server.get("disks") or []]
            total, used = (sum(int(disk[space]) for disk in disks) for space in ("totalspace", "usedspace"))
        if not total:
            raise AcceptanceError("this S3 does not report its capacity: it names no disk")
        return Capacity(used, total, f"{len(disks)} disks of MinIO")

    def policies(self) -> list[str]:
        return list(json.loads(self._admin.policy_list()))

    def names(self) -> list[str]:
        return list(self._users())

    def _users(self) -> dict[str, Any]:
        return dict(json.loads(self._admin.user_list()))
