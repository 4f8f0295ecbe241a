"""Velero as people set it up who have no GitOps: what `velero install` prints, applied, and a schedule."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import yaml

from lab import images, storage
from lab.kubectl import Kubectl
from lab.pki import write_secret
from lab.settings import SCHEDULED_NAMESPACES, LabSettings
from lab.storage import S3Credentials
from velero_acceptance.core import timeouts
from velero_acceptance.core.errors import AcceptanceError
from velero_acceptance.core.programs import execute
from velero_acceptance.core.waiting import poll

LOCATION, DEFINITION = "BackupStorageLocation", "CustomResourceDefinition"
DAILY = "0 2 * * *"
RETENTION = "720h"
# The design's, as gitops/ has them.
AGENT_RESOURCES = {"mem-request": "256Mi", "cpu-request": "200m", "mem-limit": "512Mi", "cpu-limit": "500m"}


def apply(settings: LabSettings, kubectl: Kubectl, velero: Path) -> None:
    """Apply what `velero install` prints, definitions first, and a daily schedule."""
    items = printed(settings, velero)
    definitions = [item for item in items if item["kind"] == DEFINITION]
    kubectl.apply(yaml.safe_dump_all(definitions))
    names = [f"crd/{item['metadata']['name']}" for item in definitions]
    limit = f"--timeout={timeouts.seconds('lab_kubectl_call'):.0f}s"
    kubectl.run("wait", "--for=condition=Established", limit, *names)
    kubectl.apply(yaml.safe_dump_all([*(item for item in items if item["kind"] != DEFINITION), _schedule(settings)]))


def wait_available(settings: LabSettings, kubectl: Kubectl) -> None:
    """Wait until Velero says that its location is available."""
    name, namespace = settings.location, settings.velero_namespace
    poll(
        lambda: kubectl.get("backupstoragelocations.velero.io", name, "-n", namespace),
        until=lambda location: (location or {}).get("status", {}).get("phase") == "Available",
        event=f"the BackupStorageLocation {name} is Available",
        timeout=timeouts.seconds("lab_velero_deployed"),
        interval=0.5,
    )


def printed(settings: LabSettings, velero: Path) -> list[dict[str, Any]]:
    """The objects that `velero install` prints for the lab, its location under the lab's name for it."""
    done = execute(
        velero,
        *_arguments(settings),
        # Nothing of the user's own settings, neither a cluster nor Velero's configuration. From 1.18 on it wants some.
        environment={**os.environ, "HOME": str(settings.state), "KUBECONFIG": str(settings.state / "kubeconfig")},
        timeout=timeouts.seconds("lab_program_call"),
    )
    if done.code != 0 or "{" not in done.text:
        raise AcceptanceError(f"velero install: {done.stderr.strip()}")
    # A warning about the uploader comes first.
    items: list[dict[str, Any]] = json.loads(done.text[done.text.index("{") :])["items"]
    for item in items:
        if item["kind"] == LOCATION:
            item["metadata"]["name"] = settings.location
            item["spec"]["validationFrequency"] = settings.validation_frequency
    return items


def _arguments(settings: LabSettings) -> list[str]:
    keys = S3Credentials.of(settings)
    secret = settings.state / "cloud-credentials"
    cloud = f"[default]\naws_access_key_id={keys.access_key}\naws_secret_access_key={keys.secret_key}\n"
    write_secret(secret, cloud.encode())
    config = {
        "region": "us-east-1",
        "s3ForcePathStyle": "true",
        "s3Url": f"https://s3.lab:{storage.PROXIED_PORT}",
        "publicUrl": f"https://127.0.0.1:{settings.s3_port}",
    }
    return [
        "install",
        "--dry-run",
        "--output=json",
        f"--namespace={settings.velero_namespace}",
        f"--image={images.velero_reference(settings.release)}",
        f"--plugins={images.AWS_PLUGIN}",
        "--provider=aws",
        f"--bucket={settings.bucket}",
        *([f"--prefix={settings.prefix}"] if settings.prefix else []),
        "--backup-location-config=" + ",".join(f"{key}={value}" for key, value in config.items()),
        f"--cacert={settings.state / 'pki/ca.crt'}",
        f"--secret-file={secret}",
        "--use-volume-snapshots=false",
        "--use-node-agent",
        f"--uploader-type={settings.uploader}",
        "--default-volumes-to-fs-backup",
        *(f"--node-agent-pod-{name}={amount}" for name, amount in AGENT_RESOURCES.items()),
        f"--garbage-collection-frequency={settings.garbage_collection_frequency}",
    ]


def _schedule(settings: LabSettings) -> dict[str, Any]:
    return {
        "apiVersion": "velero.io/v1",
        "kind": "Schedule",
        "metadata": {"name": settings.schedule, "namespace": settings.velero_namespace},
        "spec": {"schedule": DAILY, "template": {"includedNamespaces": [*SCHEDULED_NAMESPACES], "ttl": RETENTION}},
    }
