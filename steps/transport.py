"""HTTPS to S3: what the packets show, what is configured, and what is refused."""

from __future__ import annotations

from pathlib import Path

from pytest_bdd import given, then, when

from fixtures.applications.packet_capture import PacketCaptures
from fixtures.applications.standard import Standard
from fixtures.environment.velero_health import VeleroHealth
from fixtures.storage.locations import Locations, foreign_authority
from velero_acceptance.core.errors import Inconclusive
from velero_acceptance.core.settings import Environment
from velero_acceptance.core.timeouts import Timeouts
from velero_acceptance.corpus.uploaders import Uploader
from velero_acceptance.drivers.kinds import phase_of
from velero_acceptance.drivers.s3 import Bucket, plain_status
from velero_acceptance.drivers.velero import Velero
from velero_acceptance.evidence.recorder import Evidence

UNTRUSTED = ("x509", "certificate signed by unknown authority")


@then("every connection to S3 began with a TLS handshake")
def all_tls(packet_captures: PacketCaptures, capture_command: list[str], evidence: Evidence) -> None:
    seen = packet_captures.transport()
    evidence.measure("tls_streams", len(seen.tls), artefact=seen.table())
    evidence.measure("plaintext_streams", len(seen.plaintext), artefact=seen.table())
    evidence.measure("streams_below_tls_1_2", len(seen.outdated), artefact=seen.table())


@then("no S3 request was readable on any connection")
def nothing_readable(packet_captures: PacketCaptures, capture_command: list[str], evidence: Evidence) -> None:
    """On no port: S3 in the clear would show its signature wherever it went."""
    evidence.measure("plaintext_bytes", packet_captures.transport().plaintext_bytes)


@then("the location and the repository ask for HTTPS with verification")
def https_configured(velero: Velero, standard: Standard, uploader: Uploader, evidence: Evidence) -> None:
    config = velero.location()["spec"].get("config", {})
    repositories = velero.repositories(standard.application.workload.namespace)
    addresses = [str(repository["spec"].get("resticIdentifier", "")) for repository in repositories]
    wrong = _insecure(config)
    wrong += [f"resticIdentifier is {name}" for name in addresses if not name.startswith(uploader.address)]
    evidence.measure("plugin_connects", int(phase_of(velero.location()) == "Available"))
    evidence.measure("uploader_connects", int(bool(repositories) and all(phase_of(r) == "Ready" for r in repositories)))
    evidence.measure("insecure_settings", len(wrong), artefact="\n".join(wrong) or f"{config}\n{addresses}")


@then("the location asks for HTTPS with verification")
def location_https(velero: Velero, evidence: Evidence) -> None:
    location = velero.location()
    wrong = _insecure(location["spec"].get("config", {}))
    evidence.measure("plugin_connects", int(phase_of(location) == "Available"))
    evidence.measure("insecure_settings", len(wrong), artefact="\n".join(wrong) or "all of them ask for HTTPS")


def _insecure(config: dict[str, str]) -> list[str]:
    """The settings of a location that let S3 be reached without TLS, or without its verification."""
    wrong = [f"{name} is {config[name]}" for name in ("s3Url", "publicUrl") if not _https(config.get(name))]
    return [*wrong, *(["insecureSkipTLSVerify is set"] if config.get("insecureSkipTLSVerify") == "true" else [])]


@then("S3 refuses plain HTTP")
def plain_refused(environment: Environment, timeouts: Timeouts, evidence: Evidence) -> None:
    status = plain_status(environment.s3, environment.bucket, call_seconds=timeouts["s3_call"])
    evidence.measure("plain_requests_answered", int(status is not None and status < 400), artefact=f"status {status}")


@when("somebody asks S3 over HTTPS while packets are kept", target_fixture="plain_capture")
def ask_over_https(packet_captures: PacketCaptures, bucket: Bucket) -> Path:
    with packet_captures.capture("https") as capture:
        bucket.state()
    return capture.file


@when("somebody asks S3 in plain HTTP while packets are kept", target_fixture="plain_capture")
def ask_plainly(
    packet_captures: PacketCaptures, capture_command: list[str], environment: Environment, timeouts: Timeouts
) -> Path:
    with packet_captures.capture("plain") as capture:
        plain_status(environment.s3, environment.bucket, call_seconds=timeouts["s3_call"])
    return capture.file


@then("the plain connection is seen")
def plain_seen(packet_captures: PacketCaptures, plain_capture: Path, evidence: Evidence) -> None:
    seen = packet_captures.transport(plain_capture)
    evidence.expect_violation("plaintext_streams", len(seen.plaintext), artefact=seen.table())


@then("the request is seen to be readable")
def readable_seen(packet_captures: PacketCaptures, plain_capture: Path, evidence: Evidence) -> None:
    evidence.expect_violation("plaintext_bytes", packet_captures.transport(plain_capture).plaintext_bytes)


@given("a location that trusts another authority", target_fixture="distrusting")
def distrusting_location(locations: Locations, velero_health: VeleroHealth) -> str:
    velero_health.allow_errors(r"x509|unknown authority|available/unavailable/unknown|is in unavailable state")
    return locations.make("distrusting", storage={"caCert": foreign_authority()})


@given("a location that trusts the authority of S3", target_fixture="distrusting")
def trusting_location(locations: Locations) -> str:
    return locations.make("trusting")


@then("the plugin refuses the certificate of S3")
def plugin_refuses(locations: Locations, distrusting: str, evidence: Evidence) -> None:
    location = locations.wait_validated(distrusting)
    _refuse("plugin", location, accepted=phase_of(location) == "Available", evidence=evidence)


@then("the uploader refuses the certificate of S3")
def uploader_refuses(locations: Locations, distrusting: str, evidence: Evidence) -> None:
    repository = locations.open_repository(distrusting)
    _refuse("uploader", repository, accepted=phase_of(repository) == "Ready", evidence=evidence)


def _refuse(who: str, item: dict[str, object], *, accepted: bool, evidence: Evidence) -> None:
    status = str(item["status"])
    evidence.expect_violation(f"{who}_connects", int(accepted), artefact=status)
    if not any(text in status for text in UNTRUSTED):
        raise Inconclusive(f"{who} failed for another reason than the certificate: {status[:500]}")


def _https(url: str | None) -> bool:
    return url is None or url.startswith("https://")
