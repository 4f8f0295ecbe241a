"""What the suite is told about a running lab: one file, written when ``up`` is done."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import BaseModel, ValidationError

from lab.settings import OTHER_BUCKET, LabSettings
from lab.storage import PROXY_NAME, S3Credentials


class LabFacts(BaseModel):
    """Addresses as seen from the machine; keys stay in their own files of mode 0600."""

    name: str
    kubeconfig: Path
    authority: Path
    s3_endpoint: str
    s3_direct_endpoint: str
    s3_credentials: Path
    velero_namespace: str
    location: str
    schedule: str
    bucket: str
    prefix: str
    other_bucket: str = OTHER_BUCKET
    # How to run tcpdump at the S3 host, and the ports that S3 is served at there.
    capture: list[str]
    s3_ports: list[int]
    toxiproxy: str
    proxy: str = PROXY_NAME
    prometheus: str | None
    promtool: Path
    # What stands in the alerts by what the lab's Prometheus takes for it.
    alert_durations: dict[str, str]
    storage_class: str
    # Where Flux deploys Velero.
    git_work: Path | None
    age_key: Path | None
    audit_log: Path
    # What Velero backs up with, and the command that reads its repositories without Velero.
    uploader: str
    oracle: Path
    # Folders of gitops/ that can be deployed because their image and chart are in the lab, by uploader.
    releases: dict[str, str]
    corpus: Path
    velero_cli: Path
    corpus_image: str
    busybox_image: str
    garbage_collection_frequency: str
    versions: dict[str, str]
    seconds: dict[str, float]

    def credentials(self) -> S3Credentials:
        return S3Credentials(**json.loads(self.s3_credentials.read_text()))


def save(settings: LabSettings, facts: LabFacts) -> None:
    """Write the facts of the lab, for `load`."""
    path_of(settings).write_text(facts.model_dump_json(indent=2))


def path_of(settings: LabSettings) -> Path:
    return settings.state / "lab.json"


def load(settings: LabSettings) -> LabFacts | None:
    """The facts of the lab, or None when it was not brought up to the end, by this version of the suite."""
    path = path_of(settings)
    try:
        return LabFacts.model_validate_json(path.read_text()) if path.exists() else None
    except ValidationError:
        return None
