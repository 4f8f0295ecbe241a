"""The lab's S3: MinIO over TLS on the host ``s3``, with toxiproxy before it for faults.

Velero knows only ``https://s3.lab:9000``, which is toxiproxy. The suite looks into the bucket
through MinIO's own port, so that an injected fault never blinds the observer.
"""

from __future__ import annotations

import json
import secrets
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import requests
import urllib3
from minio import Minio
from minio.credentials.providers import StaticProvider
from minio.error import MinioAdminException, S3Error, ServerError
from minio.minioadmin import MinioAdmin

from lab.pki import write_secret
from lab.processes import Processes
from lab.settings import BUCKET, OTHER_BUCKET, LabSettings
from velero_acceptance.core import timeouts
from velero_acceptance.core.waiting import poll

SOURCE = Path(__file__).parents[1]

PROXIED_PORT = 9000
DIRECT_PORT = 9001
BUSY_PORT = 9003
TOXIPROXY_PORT = 8474
PROXY_NAME = "s3"
# On the same port as the other, to the server that is always busy; the driver of toxiproxy knows it by this ending.
BUSY_NAME = f"{PROXY_NAME}-busy"
POLICY = "velero-backups"
POLICY_FILE = SOURCE / "gitops/minio/velero-policy.json"
# What the suite itself needs on a cluster that is not ours.
SUITE_POLICY, SUITE_POLICY_FILE = "acceptance-suite", SOURCE / "deploy/s3/suite-policy.json"
# What is raised while the server is still starting: it refuses connections, then answers 503.
NOT_UP = (requests.ConnectionError, urllib3.exceptions.HTTPError, ServerError, S3Error, MinioAdminException)


@dataclass(frozen=True)
class S3Credentials:
    """Keys of the lab's S3, made once a lab: the administrator's, Velero's own, the suite's least."""

    admin_access_key: str
    admin_secret_key: str
    access_key: str
    secret_key: str
    suite_access_key: str
    suite_secret_key: str

    @staticmethod
    def of(settings: LabSettings) -> S3Credentials:
        """Read the lab's keys, or make them."""
        path = settings.state / "s3-credentials.json"
        if not path.exists():
            # Random names too: the redactor blanks them out wherever they appear.
            names = [f"lab-{role}-{secrets.token_hex(6)}" for role in ("admin", "velero", "suite")]
            made = S3Credentials(*(part for name in names for part in (name, secrets.token_urlsafe(24))))
            write_secret(path, json.dumps(asdict(made)).encode())
        return S3Credentials(**json.loads(path.read_text()))


def start(settings: LabSettings, processes: Processes, minio: Path, toxiproxy: Path) -> None:
    """Start MinIO, toxiproxy, and the server that is always busy."""
    keys = S3Credentials.of(settings)
    certificates = settings.state / "minio-certs"
    certificates.mkdir(parents=True, exist_ok=True)
    for name, source in (("public.crt", "s3.crt"), ("private.key", "s3.key")):
        write_secret(certificates / name, (settings.state / "pki" / source).read_bytes())
    data = settings.state / "minio"
    processes.start(
        "minio",
        [minio, "server", f"--address={settings.s3}:{DIRECT_PORT}", f"--certs-dir={certificates}", data],
        netns="s3",
        environment={
            "MINIO_ROOT_USER": keys.admin_access_key,
            "MINIO_ROOT_PASSWORD": keys.admin_secret_key,
            "MINIO_BROWSER": "off",
            "MINIO_UPDATE": "off",
            # Only the lab's own hosts reach it.
            "MINIO_PROMETHEUS_AUTH_TYPE": "public",
        },
    )
    proxy = settings.state / "toxiproxy.json"
    listen = f"{settings.s3}:{PROXIED_PORT}"
    routes = [
        {"name": PROXY_NAME, "enabled": True, "listen": listen, "upstream": f"{settings.s3}:{DIRECT_PORT}"},
        {"name": BUSY_NAME, "enabled": False, "listen": listen, "upstream": f"{settings.s3}:{BUSY_PORT}"},
    ]
    proxy.write_text(json.dumps(routes))
    processes.start(
        "toxiproxy",
        [toxiproxy, f"-host={settings.s3}", f"-port={TOXIPROXY_PORT}", f"-config={proxy}"],
        netns="s3",
    )
    files = [settings.state / "pki" / name for name in ("s3.crt", "s3.key")]
    processes.start(
        "busy-s3",
        [sys.executable, "-m", "lab.busy", str(settings.s3), str(BUSY_PORT), *files],
        netns="s3",
        environment={"PYTHONPATH": str(Path(__file__).parents[1])},
    )


def prepare(settings: LabSettings) -> None:
    """Make the two buckets, and the users of Velero and of the suite, who may use only the first."""
    keys = S3Credentials.of(settings)
    endpoint = f"127.0.0.1:{settings.s3_direct_port}"
    authority = settings.state / "pki/ca.crt"
    pool = urllib3.PoolManager(ca_certs=str(authority), timeout=timeouts.seconds("lab_s3_call"), retries=False)
    client = Minio(
        endpoint=endpoint,
        access_key=keys.admin_access_key,
        secret_key=keys.admin_secret_key,
        region="us-east-1",
        http_client=pool,
    )
    provider = StaticProvider(keys.admin_access_key, keys.admin_secret_key)
    admin = MinioAdmin(endpoint=endpoint, credentials=provider, region="us-east-1", http_client=pool)
    poll(
        lambda: _prepare(settings, client, admin, keys),
        until=lambda _: True,
        retry_on=NOT_UP,
        event="MinIO has buckets and users",
        timeout=timeouts.seconds("lab_s3_ready"),
        interval=0.1,
    )


def _prepare(settings: LabSettings, client: Minio, admin: MinioAdmin, keys: S3Credentials) -> None:
    """Make what is missing; can be repeated."""
    for bucket in (settings.bucket, OTHER_BUCKET):
        if not client.bucket_exists(bucket):
            client.make_bucket(bucket)
    for user, secret, policy, file in (
        (keys.access_key, keys.secret_key, POLICY, POLICY_FILE),
        (keys.suite_access_key, keys.suite_secret_key, SUITE_POLICY, SUITE_POLICY_FILE),
    ):
        admin.user_add(user, secret)
        admin.policy_add(policy, policy=json.loads(file.read_text().replace(BUCKET, settings.bucket)))
        if json.loads(admin.user_info(user)).get("policyName") != policy:
            admin.attach_policy([policy], user=user)
