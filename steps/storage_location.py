"""The bucket and the location: layout, strays, and faults on the way to S3."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from pytest_bdd import given, then, when

from fixtures.applications.standard import RestoredCopy, Standard
from fixtures.environment.run_scope import Scope
from fixtures.environment.velero_health import VeleroHealth
from fixtures.storage.credentials import DeployedKeys
from fixtures.storage.validation import LocationWatch
from velero_acceptance.checks.bucket import LayoutFindings, backup_keys, inspect, restore_keys, unreadable
from velero_acceptance.core.naming import is_generated_name, unique
from velero_acceptance.core.settings import Environment
from velero_acceptance.core.timeouts import Timeouts
from velero_acceptance.corpus.uploaders import Uploader
from velero_acceptance.drivers.kinds import time_of
from velero_acceptance.drivers.minio_admin import Users
from velero_acceptance.drivers.s3 import Bucket, BucketState, break_design, bucket_made, may_make_bucket
from velero_acceptance.drivers.toxiproxy import Toxiproxy
from velero_acceptance.drivers.velero import Velero
from velero_acceptance.evidence.recorder import Evidence


@then("S3 holds exactly the keys of that backup, that restore and its repository")
def layout_exact(
    standard: Standard,
    copy: RestoredCopy,
    bucket: Bucket,
    environment: Environment,
    uploader: Uploader,
    evidence: Evidence,
) -> None:
    findings = _findings(standard, copy, bucket, environment, uploader)
    evidence.measure("keys_missing", len(findings.missing), artefact=findings.table())
    evidence.measure("keys_unexpected", len(findings.unexpected), artefact=findings.table())


@then("every object of that backup and that restore can be read")
def objects_readable(
    standard: Standard,
    copy: RestoredCopy,
    bucket: Bucket,
    environment: Environment,
    uploader: Uploader,
    evidence: Evidence,
) -> None:
    prefix = environment.key("")
    keys = backup_keys(prefix, standard.application.backup.name, uploader)
    keys |= restore_keys(prefix, copy.restore.name)
    bad = unreadable({key: bucket.problem(key) for key in keys})
    evidence.observe("objects read", len(keys))
    evidence.measure("objects_unreadable", len(bad), artefact="\n".join(bad) or "all objects were read")


@when("somebody puts an object beside the prefixes", target_fixture="stray")
def stray_object(scope: Scope, bucket: Bucket, environment: Environment) -> Iterator[str]:
    key = environment.key(unique(scope.run), "stray")
    scope.created.keys.add(key)
    bucket.put(key, b"not Velero's")
    yield key
    bucket.delete(key)


@then("the keys are no longer those of the layout")
def layout_broken(
    standard: Standard,
    copy: RestoredCopy,
    bucket: Bucket,
    environment: Environment,
    uploader: Uploader,
    evidence: Evidence,
) -> None:
    findings = _findings(standard, copy, bucket, environment, uploader)
    evidence.expect_violation("keys_unexpected", len(findings.unexpected), artefact=findings.table())


@then("Velero calls the location unavailable and names the folder")
def location_unavailable(velero: Velero, stray: str, velero_health: VeleroHealth) -> None:
    velero_health.allow_errors(
        r"invalid top-level directories|available/unavailable/unknown: 0/1/0|is in unavailable state"
    )
    location = velero.wait_location("Unavailable")
    folder = stray.split("/")[-2]
    assert folder in location["status"]["message"], location["status"]


@then("the location is available again once the object is gone")
def available_without_stray(velero: Velero, bucket: Bucket, stray: str) -> None:
    bucket.delete(stray)
    velero.wait_location("Available")


@given("S3 refuses connections")
def s3_refuses(toxiproxy: Toxiproxy, velero_health: VeleroHealth) -> None:
    velero_health.allow_errors(r"connection refused|available/unavailable/unknown: 0/1/0|is in unavailable state")
    toxiproxy.cut()


@then("the location is available again once S3 answers")
def available_after_heal(velero: Velero, toxiproxy: Toxiproxy, evidence: Evidence) -> None:
    healed = datetime.now(UTC)
    toxiproxy.heal()
    location = velero.wait_location("Available", validated_after=healed)
    seconds = (time_of(location["status"]["lastValidationTime"]) - healed).total_seconds()
    evidence.observe("available again after healing", round(seconds, 1), "s")


@given("the location is watched")
def location_watched(location_watch: LocationWatch) -> None:
    """From now until the scenario ends."""


@then("the location is available in every period")
def available_in_every_period(location_watch: LocationWatch, evidence: Evidence) -> None:
    seen = location_watch.after(_periods(evidence))
    evidence.observe("longest time between two validations", seen.longest.total_seconds(), "s")
    evidence.measure("validations_observed", seen.periods, artefact=str(seen))
    evidence.measure("validations_missed", seen.missed, artefact=str(seen))


@then("Velero calls the location unavailable and says why")
def unavailable_with_reason(velero: Velero, evidence: Evidence) -> None:
    message = velero.wait_location("Unavailable")["status"]["message"]
    evidence.attach("message.txt", message)
    assert "connection refused" in message, message


@then("the outage is seen among the periods")
def outage_seen(location_watch: LocationWatch, evidence: Evidence) -> None:
    seen = location_watch.after_outage()
    evidence.expect_violation("validations_missed", seen.missed, artefact=str(seen))


@then("the bucket is there, without versions and without a lifecycle rule")
def bucket_as_designed(bucket_state: BucketState, evidence: Evidence) -> None:
    evidence.measure("buckets_as_designed", int(bucket_state.as_designed), artefact=str(bucket_state))


@then("Velero's key may not make a bucket")
def no_right_to_make(
    scope: Scope, environment: Environment, deployed_keys: DeployedKeys, timeouts: Timeouts, evidence: Evidence
) -> None:
    """So neither Velero nor restic, which would try, has made it."""
    access = deployed_keys.keys.access(environment)
    made = may_make_bucket(access, scope.name("bucket"), call_seconds=timeouts["s3_call"])
    evidence.measure("bucket_creations_allowed", int(made))


@given("a bucket with versions and a lifecycle rule", target_fixture="other_bucket")
def bucket_with_versions(
    scope: Scope, environment: Environment, s3_administrator: Users, timeouts: Timeouts
) -> Iterator[Bucket]:
    with bucket_made(environment.s3, scope.name("bucket"), call_seconds=timeouts["s3_call"]) as client:
        break_design(client, scope.name("bucket"))
        yield Bucket(environment.s3, scope.name("bucket"), call_seconds=timeouts["s3_call"])


@given("a bucket without versions and without a lifecycle rule", target_fixture="other_bucket")
def bucket_without(
    scope: Scope, environment: Environment, s3_administrator: Users, timeouts: Timeouts
) -> Iterator[Bucket]:
    with bucket_made(environment.s3, scope.name("bucket"), call_seconds=timeouts["s3_call"]):
        yield Bucket(environment.s3, scope.name("bucket"), call_seconds=timeouts["s3_call"])


@then("it is seen not to be as designed")
def bucket_otherwise(other_bucket: Bucket, evidence: Evidence) -> None:
    state = other_bucket.state()
    evidence.expect_violation("buckets_as_designed", int(state.as_designed), artefact=str(state))


def _periods(evidence: Evidence) -> int:
    return int(evidence.criterion.threshold("validations_observed").value)


def _findings(
    standard: Standard, copy: RestoredCopy, bucket: Bucket, environment: Environment, uploader: Uploader
) -> LayoutFindings:
    # A second Velero of the suite has a prefix of its own beside the location's.
    found = bucket.keys()
    keys = [key for key in found if not (environment.prefix and is_generated_name(key.partition("/")[0]))]
    return inspect(
        keys,
        environment.key(""),
        backup=standard.application.backup.name,
        restore=copy.restore.name,
        uploader=uploader,
        namespace=standard.application.workload.namespace,
        snapshots=1,
    )
