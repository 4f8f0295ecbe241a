"""The lab's Prometheus, and the blackbox exporter that it asks for the state of Velero's location.

Both are Debian's. The alerts and the exporter's module are those of ``gitops/``; what a user's
Prometheus operator would make of the manifests beside them is the list of jobs here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lab import debian, storage
from lab.flux import render
from lab.gitops import SOURCE
from lab.kubectl import Kubectl
from lab.processes import Processes
from lab.settings import LabSettings
from velero_acceptance.core import timeouts
from velero_acceptance.core.waiting import poll

Json = dict[str, Any]

APP = SOURCE / "kubernetes/apps/velero-monitoring/app"
PORT = 9090
PROBE_PORT = 9115
NODE_PORTS = {"velero": 30084, "node-agent": 30085}
LOCATION = "/apis/velero.io/v1/namespaces/velero/backupstoragelocations/default"
# Durations of the alerts by what the lab takes for them, so that they come and go within a run.
# "26 * 3600" is a number and stays: there the time of the backup is moved.
DURATIONS = {"25h": "20s", "26h": "15s", "15m": "2s", "10m": "30s", "5m": "2s"}
_IN_EXPRESSION = re.compile(r"(?<=\[)\w+(?=\])|(?<=\boffset )\w+")
# cAdvisor and the API server export thousands of series; what alerts and dashboard use is kept.
_CADVISOR = (
    "container_(memory_(working_set_bytes|rss)|cpu_(usage|cfs)_.+|network_(receive|transmit)_bytes_total|oom_.+)"
)


@dataclass(frozen=True)
class Watched:
    """What there is to watch in a cluster, and as whom: *identity* and *kubelets* are a client's ``tls_config``."""

    api_server: str
    # Addresses of the nodes that have a node-agent.
    nodes: Sequence[str]
    identity: Mapping[str, str | bool]
    kubelets: Mapping[str, str | bool]


def of_lab(settings: LabSettings) -> Watched:
    """The lab's own nodes: one authority has signed all there is."""
    nodes = [str(settings.node_address(index)) for index in range(1, settings.nodes + 1)]
    pki = settings.state / "pki"
    identity = identify(authority=pki / "ca.crt", certificate=pki / "monitoring.crt", key=pki / "monitoring.key")
    return Watched(f"{settings.control}:6443", nodes, identity, identity)


def identify(*, authority: Path, certificate: Path, key: Path) -> dict[str, str | bool]:
    """A client's ``tls_config``."""
    return {"ca_file": str(authority), "cert_file": str(certificate), "key_file": str(key)}


def rule_file(manifest: Path = APP / "alerts.yaml") -> Json:
    """The groups of a PrometheusRule, as a rule file has them, with the lab's durations."""
    groups: list[Json] = yaml.safe_load(manifest.read_text())["spec"]["groups"]
    for rule in (rule for group in groups for rule in group["rules"]):
        rule["expr"] = _IN_EXPRESSION.sub(lambda found: DURATIONS[found[0]], rule["expr"])
        if "for" in rule:
            rule["for"] = DURATIONS[rule["for"]]
    return {"groups": groups}


def expose(kubectl: Kubectl) -> None:
    """Give the metrics of Velero fixed addresses, once Flux has made its namespace."""
    poll(
        lambda: kubectl.get("namespace", "velero"),
        until=lambda namespace: namespace is not None,
        event="Flux makes the namespace velero",
        timeout=timeouts.seconds("lab_velero_deployed"),
    )
    kubectl.apply(render("monitoring", node_ports=NODE_PORTS))


def start(settings: LabSettings, processes: Processes, watched: Watched) -> None:
    """Start both."""
    folder = settings.state / "monitoring"
    folder.mkdir(exist_ok=True)
    for name, content in (
        ("alerts.yaml", rule_file()),
        ("blackbox.yaml", probe(watched)),
        ("prometheus.yaml", configuration(settings, watched)),
    ):
        (folder / name).write_text(yaml.safe_dump(content, sort_keys=False))
    processes.start(
        "blackbox-exporter",
        [
            debian.program("usr/bin/prometheus-blackbox-exporter"),
            f"--config.file={folder / 'blackbox.yaml'}",
            f"--web.listen-address=127.0.0.1:{PROBE_PORT}",
        ],
        netns="control",
    )
    processes.start(
        "prometheus",
        [
            debian.program("usr/bin/prometheus"),
            f"--config.file={folder / 'prometheus.yaml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={settings.control}:{PORT}",
        ],
        netns="control",
    )


def probe(watched: Watched) -> Json:
    """The exporter's modules, with a client certificate in place of a pod's token."""
    content: Json = yaml.safe_load((APP / "blackbox.yaml").read_text())
    for module in content["modules"].values():
        module["http"].pop("bearer_token_file")
        module["http"]["tls_config"] = dict(watched.identity)
    return content


def configuration(settings: LabSettings, watched: Watched) -> Json:
    """What Prometheus scrapes, and how often."""
    velero, agents = NODE_PORTS["velero"], NODE_PORTS["node-agent"]
    return {
        "global": {"scrape_interval": "2s", "scrape_timeout": "2s", "evaluation_interval": "1s"},
        "rule_files": [str(settings.state / "monitoring/alerts.yaml")],
        "scrape_configs": [
            {"job_name": "velero", "static_configs": [{"targets": [f"{watched.nodes[0]}:{velero}"]}]},
            {
                "job_name": "node-agent",
                "static_configs": [{"targets": [f"{node}:{agents}" for node in watched.nodes]}],
            },
            {
                "job_name": "kubelet",
                "metrics_path": "/metrics/cadvisor",
                "scrape_interval": "5s",
                "static_configs": [{"targets": [f"{node}:10250" for node in watched.nodes]}],
                "metric_relabel_configs": [_keep(_CADVISOR)],
                "scheme": "https",
                "tls_config": dict(watched.kubelets),
            },
            {
                "job_name": "apiserver",
                "scrape_interval": "5s",
                "static_configs": [{"targets": [watched.api_server]}],
                "metric_relabel_configs": [_keep("apiserver_request_total")],
                "scheme": "https",
                "tls_config": dict(watched.identity),
            },
            {
                "job_name": "minio",
                "metrics_path": "/minio/metrics/v3/cluster",
                "static_configs": [{"targets": [f"{settings.s3}:{storage.DIRECT_PORT}"]}],
                "scheme": "https",
                "tls_config": {"ca_file": str(settings.state / "pki/ca.crt")},
            },
            {
                "job_name": "velero-location",
                "metrics_path": "/probe",
                "params": {"module": ["velero_location"], "target": [f"https://{watched.api_server}{LOCATION}"]},
                "static_configs": [{"targets": [f"127.0.0.1:{PROBE_PORT}"]}],
            },
        ],
    }


def _keep(names: str) -> Json:
    return {"action": "keep", "source_labels": ["__name__"], "regex": names}
