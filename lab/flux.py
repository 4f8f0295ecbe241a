"""Flux in the lab: its definitions and controllers, and what it is to reconcile."""

from __future__ import annotations

import base64
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import jinja2

from lab import gitops, images, registry, storage
from lab.kubectl import Kubectl
from lab.nodes import ADD_ONS_LABEL
from lab.settings import DNS_SERVICE_ADDRESS, SCHEDULED_NAMESPACES, LabSettings
from velero_acceptance.core import timeouts
from velero_acceptance.core.waiting import poll

MANIFESTS = Path(__file__).with_name("manifests")


def render(name: str, **values: object) -> str:
    """A manifest template with *values*; an unknown name in it is an error."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(MANIFESTS),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["base64"] = lambda text: base64.b64encode(text.encode()).decode()
    selector = f'{{{ADD_ONS_LABEL}: "true"}}'
    return environment.get_template(f"{name}.yaml.j2").render(node_selector=selector, **values)


def install_add_ons(
    settings: LabSettings,
    kubectl: Kubectl,
    *,
    dns: IPv4Address = DNS_SERVICE_ADDRESS,
    coredns_image: str = images.COREDNS,
) -> None:
    """Cluster DNS, at the service address *dns*, and the provisioner behind the design's StorageClass."""
    addresses: dict[str, IPv4Address] = {"s3": settings.s3, "control": settings.control, "dns": dns}
    kubectl.apply(
        render(
            "add-ons",
            storage_class=settings.storage_class,
            scheduled_namespaces=SCHEDULED_NAMESPACES,
            coredns_image=coredns_image,
            local_path_image=images.LOCAL_PATH,
            busybox_image=images.BUSYBOX,
            **addresses,
        )
    )


def install(settings: LabSettings, kubectl: Kubectl, definitions: Path) -> None:
    """Flux's definitions (from the sources its programs were built from) and controllers."""
    kubectl.apply("---\n".join(path.read_text() for path in sorted(definitions.glob("*.yaml"))))
    kubectl.apply(render("flux", authority=_authority(settings), controllers=images.FLUX))


def reconcile(settings: LabSettings, kubectl: Kubectl) -> None:
    """Point Flux at the lab's repository and give it key and settings."""
    manifests = render(
        "sync",
        age_key=gitops.age_key(settings).read_text().strip(),
        authority=_authority(settings),
        garbage_collection_frequency=settings.garbage_collection_frequency,
        validation_frequency=settings.validation_frequency,
        registry_port=registry.PORT,
        git_port=gitops.GIT_PORT,
        s3_port=storage.PROXIED_PORT,
        s3_public_port=settings.s3_port,
    )
    kubectl.apply(manifests)


def wait_deployed(kubectl: Kubectl) -> None:
    """Wait until Velero says that its location is available and Flux that all is applied.

    Ends at once, with Helm's own words, when the release has failed for good.
    """

    def stalled(_: object) -> str | None:
        release = kubectl.get("helmreleases.helm.toolkit.fluxcd.io", "velero", "-n", "velero")
        condition = _condition(release, "Stalled")
        return str(condition["message"]) if condition.get("status") == "True" else None

    poll(
        lambda: kubectl.get("backupstoragelocations.velero.io", "default", "-n", "velero"),
        until=lambda location: (location or {}).get("status", {}).get("phase") == "Available",
        terminal=stalled,
        event="the BackupStorageLocation is Available",
        timeout=timeouts.seconds("lab_velero_deployed"),
        interval=0.5,
    )
    poll(
        lambda: kubectl.get("kustomizations.kustomize.toolkit.fluxcd.io", "velero-schedule", "-n", "flux-system"),
        until=lambda schedule: _condition(schedule, "Ready").get("status") == "True",
        terminal=stalled,
        event="the Kustomization velero-schedule is ready",
        timeout=timeouts.seconds("lab_velero_deployed"),
        interval=0.5,
    )


def _condition(resource: dict[str, Any] | None, kind: str) -> dict[str, Any]:
    conditions = (resource or {}).get("status", {}).get("conditions", [])
    return next((dict(c) for c in conditions if c["type"] == kind), {})


def _authority(settings: LabSettings) -> str:
    return (settings.state / "pki/ca.crt").read_text()
