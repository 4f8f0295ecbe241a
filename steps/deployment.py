"""Velero's own pods: restarts, and what they prove of S3."""

from __future__ import annotations

from datetime import datetime

from pytest_bdd import then, when

from acceptance.drivers.kinds import Json, time_of
from acceptance.drivers.s3 import Bucket
from acceptance.drivers.velero import Operation, Velero
from acceptance.evidence.recorder import Evidence
from acceptance.settings import Environment
from fixtures.scope import Scope
from fixtures.watchers import Vigil


@when("Velero is restarted", target_fixture="server_started")
def velero_restarted(velero: Velero, vigil: Vigil) -> datetime:
    """Returns the moment the new server container started, by the node's clock."""
    vigil.expect_restart()
    # At its start the server has no location it knows to be available.
    vigil.allow_errors(r"available/unavailable/unknown: 0/0/1|is in unavailable state")
    return container_started(velero.restart())


@then("the location was validated anew in time")
def validated_anew(velero: Velero, server_started: datetime, evidence: Evidence) -> None:
    location = velero.wait_location("Available", validated_after=server_started)
    validated = time_of(location["status"]["lastValidationTime"])
    seconds = (validated - server_started).total_seconds()
    evidence.measure("s3_initialised", seconds, artefact=f"container started {server_started}, validated {validated}")


@then("a small backup arrives in S3")
def small_backup_arrives(
    scope: Scope, velero: Velero, bucket: Bucket, environment: Environment, evidence: Evidence
) -> None:
    backup, arrived = _probe(scope, velero, bucket, environment)
    evidence.measure("write_probes_completed", int(arrived), artefact=f"{backup.phase} {backup.reason()}")


@then("no new validation calls the location available")
def not_available(velero: Velero, server_started: datetime, evidence: Evidence) -> None:
    """The stale phase stays until the first validation, which must be Unavailable."""
    location = velero.wait_location("Unavailable", validated_after=server_started)
    evidence.refute("s3_initialised", None, artefact=str(location["status"]))


@then("a small backup does not arrive in S3")
def small_backup_lost(
    scope: Scope, velero: Velero, bucket: Bucket, environment: Environment, evidence: Evidence
) -> None:
    backup, arrived = _probe(scope, velero, bucket, environment)
    evidence.refute("write_probes_completed", int(arrived), artefact=f"{backup.phase} {backup.reason()}")


def _probe(scope: Scope, velero: Velero, bucket: Bucket, environment: Environment) -> tuple[Operation, bool]:
    """A backup of an empty namespace, and whether it is Completed and its tarball in S3."""
    namespace = scope.namespace("probe")
    backup = velero.backup(scope.backup_name("probe"), labels=scope.labels, includedNamespaces=[namespace])
    keys = bucket.keys(environment.key("backups", backup.name, ""))
    return backup, backup.phase == "Completed" and any(key.endswith(".tar.gz") for key in keys)


def container_started(pod: Json) -> datetime:
    """When the first container of a running pod started."""
    return time_of(pod["status"]["containerStatuses"][0]["state"]["running"]["startedAt"])
