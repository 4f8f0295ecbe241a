"""HTTPS to S3: what packet captures show, what is configured, and what is rejected."""

from collections.abc import Callable
from pathlib import Path

from pytest_bdd import then, when

from fixtures.applications.packet_capture import PacketCaptures
from fixtures.applications.standard import Standard
from fixtures.environment.cluster import TargetClients
from fixtures.environment.phrases import phrase
from fixtures.environment.velero_health import VeleroHealth
from fixtures.storage.locations import Locations, foreign_authority
from velero_acceptance.core.errors import Inconclusive
from velero_acceptance.corpus.uploaders import Uploader
from velero_acceptance.drivers.kinds import Json, phase_of
from velero_acceptance.drivers.s3 import plain_status
from velero_acceptance.drivers.velero import Velero
from velero_acceptance.evidence.recorder import Evidence

UNTRUSTED = ("x509", "certificate signed by unknown authority")
PROTOCOLS = {"plain HTTP": True, "HTTPS": False}
# What a location has in its objectStorage to trust one.
AUTHORITIES: dict[str, Callable[[], Json]] = {
    "the CA of S3": dict,
    "another CA": lambda: {"caCert": foreign_authority()},
}


@then("every connection to S3 started with a TLS handshake")
def all_tls(packet_captures: PacketCaptures, capture_command: list[str], evidence: Evidence) -> None:
    seen = packet_captures.transport()
    evidence.measure("tls_streams", len(seen.tls), artefact=seen.table())
    evidence.measure("plaintext_streams", len(seen.plaintext), artefact=seen.table())
    evidence.measure("streams_below_tls_1_2", len(seen.outdated), artefact=seen.table())


@then("no S3 request was readable on any connection")
def nothing_readable(packet_captures: PacketCaptures, capture_command: list[str], evidence: Evidence) -> None:
    """On any port: a plaintext S3 request shows its signature wherever it goes."""
    evidence.measure("plaintext_bytes", packet_captures.transport().plaintext_bytes)


@then("the location and the repository are configured for verified HTTPS")
def https_configured(velero: Velero, standard: Standard, uploader: Uploader, evidence: Evidence) -> None:
    config = velero.location()["spec"].get("config", {})
    repositories = velero.repositories(standard.application.workload.namespace)
    addresses = [str(repository["spec"].get("resticIdentifier", "")) for repository in repositories]
    wrong = _insecure(config)
    wrong += [f"resticIdentifier is {name}" for name in addresses if not name.startswith(uploader.address)]
    evidence.measure("plugin_connects", int(phase_of(velero.location()) == "Available"))
    evidence.measure("uploader_connects", int(bool(repositories) and all(phase_of(r) == "Ready" for r in repositories)))
    evidence.measure("insecure_settings", len(wrong), artefact="\n".join(wrong) or f"{config}\n{addresses}")


@then("the location is configured for verified HTTPS")
def location_https(velero: Velero, evidence: Evidence) -> None:
    location = velero.location()
    wrong = _insecure(location["spec"].get("config", {}))
    evidence.measure("plugin_connects", int(phase_of(location) == "Available"))
    evidence.measure("insecure_settings", len(wrong), artefact="\n".join(wrong) or "every setting asks for HTTPS")


def _insecure(config: dict[str, str]) -> list[str]:
    """The settings of a location that allow S3 without TLS or without verifying its certificate."""
    wrong = [f"{name} is {config[name]}" for name in ("s3Url", "publicUrl") if not _https(config.get(name))]
    return [*wrong, *(["insecureSkipTLSVerify is set"] if config.get("insecureSkipTLSVerify") == "true" else [])]


@then("S3 refuses plain HTTP")
def plain_refused(target: TargetClients, evidence: Evidence) -> None:
    status = _request_plainly(target)
    evidence.measure("plain_requests_answered", int(status is not None and status < 400), artefact=f"status {status}")


@when(
    phrase("a request is sent to S3 over {plain:Protocol} during a packet capture", Protocol=PROTOCOLS),
    target_fixture="captured",
)
def send_request(
    packet_captures: PacketCaptures, capture_command: list[str], target: TargetClients, plain: bool
) -> Path:
    with packet_captures.capture("request") as capture:
        if plain:
            _request_plainly(target)
        else:
            target.bucket.state()
    return capture.file


@then("the suite detects the plaintext connection")
def plaintext_detected(packet_captures: PacketCaptures, captured: Path, evidence: Evidence) -> None:
    seen = packet_captures.transport(captured)
    evidence.expect_violation("plaintext_streams", len(seen.plaintext), artefact=seen.table())


@then("the suite reports the request as readable")
def readable_reported(packet_captures: PacketCaptures, captured: Path, evidence: Evidence) -> None:
    evidence.expect_violation("plaintext_bytes", packet_captures.transport(captured).plaintext_bytes)


@when(phrase("a location is created that trusts {storage:Authority}", Authority=AUTHORITIES), target_fixture="location")
def create_location(locations: Locations, velero_health: VeleroHealth, storage: Callable[[], Json]) -> str:
    velero_health.allow_errors(r"x509|unknown authority|available/unavailable/unknown|is in unavailable state")
    return locations.make("location", storage=storage())


@then("the plugin rejects the certificate of S3")
def plugin_rejects(locations: Locations, location: str, evidence: Evidence) -> None:
    item = locations.wait_validated(location)
    _rejected("plugin", item, accepted=phase_of(item) == "Available", evidence=evidence)


@then("the uploader rejects the certificate of S3")
def uploader_rejects(locations: Locations, location: str, evidence: Evidence) -> None:
    repository = locations.open_repository(location)
    _rejected("uploader", repository, accepted=phase_of(repository) == "Ready", evidence=evidence)


def _rejected(who: str, item: Json, *, accepted: bool, evidence: Evidence) -> None:
    status = str(item["status"])
    evidence.expect_violation(f"{who}_connects", int(accepted), artefact=status)
    if not any(text in status for text in UNTRUSTED):
        raise Inconclusive(f"{who} failed for another reason than the certificate: {status[:500]}")


def _request_plainly(target: TargetClients) -> int | None:
    place = target.environment
    return plain_status(place.s3, place.bucket, call_seconds=target.timeouts["s3_call"])


def _https(url: str | None) -> bool:
    return url is None or url.startswith("https://")
