"""The lab's OCI registry over TLS, and the Velero chart in it."""

from __future__ import annotations

import io
import json
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import oras.client
import requests
import yaml

from lab import debian
from lab.build import binaries
from lab.network import inside
from lab.processes import Processes
from lab.programs import Release
from lab.settings import LabSettings
from velero_acceptance.core import timeouts
from velero_acceptance.core.programs import execute
from velero_acceptance.core.waiting import poll

PORT = 5000
CHART = Path(__file__).with_name("charts") / "velero"
CHART_LAYER = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
CHART_CONFIG = "application/vnd.cncf.helm.config.v1+json"


def start(settings: LabSettings, processes: Processes) -> None:
    """Start the registry."""
    pki = settings.state / "pki"
    config = settings.state / "registry.yaml"
    content = {
        "version": 0.1,
        "log": {"level": "warn"},
        "storage": {"filesystem": {"rootdirectory": str(settings.state / "registry")}},
        "http": {
            "addr": f"{settings.control}:{PORT}",
            "tls": {"certificate": str(pki / "registry.crt"), "key": str(pki / "registry.key")},
        },
    }
    config.write_text(yaml.safe_dump(content))
    processes.start("registry", [debian.program("usr/bin/docker-registry"), "serve", config], netns="control")


def push_chart(settings: LabSettings, processes: Processes, release: Release) -> None:
    """Pack the chart of *release* with the resource definitions that its Velero prints, and push it."""
    meta = metadata(release)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        archive, config = folder / "velero.tgz", folder / "config.json"
        archive.write_bytes(pack(meta, definitions_of(binaries(release.modules)["velero"])))
        config.write_text(json.dumps(meta))
        inside(processes.require("control"), lambda: _push(settings, archive, config, release.chart))


def _push(settings: LabSettings, archive: Path, config: Path, version: str) -> None:
    host = f"{settings.control}:{PORT}"
    authority = str(settings.state / "pki/ca.crt")
    poll(
        lambda: requests.get(f"https://{host}/v2/", verify=authority, timeout=timeouts.seconds("lab_registry_call")),
        until=lambda answer: answer.ok,
        retry_on=(requests.ConnectionError, requests.Timeout),
        event="the registry answers",
        timeout=timeouts.seconds("lab_registry_ready"),
        interval=0.1,
    )
    oras.client.OrasClient(hostname=host, tls_verify=authority).push(
        target=f"{host}/charts/velero:{version}",
        files=[f"{archive}:{CHART_LAYER}"],
        manifest_config=f"{config}:{CHART_CONFIG}",
        disable_path_validation=True,
    )


def metadata(release: Release) -> dict[str, Any]:
    """``Chart.yaml`` of the chart of *release*: that of the default, with other versions."""
    meta = dict(yaml.safe_load((CHART / "Chart.yaml").read_text()))
    return {**meta, "version": release.chart, "appVersion": release.version.removeprefix("v")}


def pack(meta: dict[str, Any], definitions: str) -> bytes:
    """The chart as Helm packs it: one gzipped folder, here with *meta*, and with *definitions* in ``crds/``."""
    written = {"velero/Chart.yaml": yaml.safe_dump(meta), "velero/crds/velero.yaml": definitions}
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        tar.add(CHART, "velero", filter=lambda info: None if info.name in written else info)
        for name, text in written.items():
            info = tarfile.TarInfo(name)
            info.size = len(text.encode())
            tar.addfile(info, io.BytesIO(text.encode()))
    return out.getvalue()


def definitions_of(velero: Path) -> str:
    """Velero's custom resource definitions, as documents of one YAML file."""
    arguments = ("install", "--crds-only", "--dry-run", "--output=json")
    said = execute(velero, *arguments, timeout=timeouts.seconds("lab_program_call"))
    printed = said.checked("velero install --crds-only")
    return yaml.safe_dump_all(json.loads(printed[printed.index(b"{") :])["items"])
