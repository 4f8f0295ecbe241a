"""The bucket and the location: layout, stray objects, validations, and faults of S3."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from pytest_bdd import given, then, when

from fixtures.applications.standard import RestoredCopy, Standard
from fixtures.environment.cluster import TargetClients
from fixtures.environment.phrases import phrase
from fixtures.environment.run_scope import Scope
from fixtures.environment.velero_health import VeleroHealth
from fixtures.faults.outages import EXPECTED_ERRORS, S3_FAULTS
from fixtures.storage.credentials import DeployedKeys
from fixtures.storage.validation import LocationWatch
from velero_acceptance.checks.bucket import LayoutFindings, Validity, backup_keys, restore_keys, unreadable
from velero_acceptance.core.naming import unique
from velero_acceptance.core.settings import Environment
from velero_acceptance.core.timeouts import Timeouts
from velero_acceptance.drivers.kinds import time_of
from velero_acceptance.drivers.minio_admin import Users
from velero_acceptance.drivers.s3 import Bucket, BucketState, break_design, bucket_made, may_make_bucket
from velero_acceptance.drivers.toxiproxy import Toxiproxy
from velero_acceptance.drivers.velero import Velero
from velero_acceptance.evidence.recorder import Evidence


@then("S3 holds exactly the keys of that backup, that restore and their repository")
def layout_exact(layout_findings: LayoutFindings, evidence: Evidence) -> None:
    evidence.measure("keys_missing", len(layout_findings.missing), artefact=layout_findings.table())
    evidence.measure("keys_unexpected", len(layout_findings.unexpected), artefact=layout_findings.table())


@then("every object of that backup and that restore can be read")
def objects_readable(standard: Standard, copy: RestoredCopy, target: TargetClients, evidence: Evidence) -> None:
    prefix = target.key("")
    keys = backup_keys(prefix, standard.application.backup.name, target.uploader)
    keys |= restore_keys(prefix, copy.restore.name)
    bad = unreadable({key: target.bucket.problem(key) for key in keys})
    evidence.observe("objects read", len(keys))
    evidence.measure("objects_unreadable", len(bad), artefact="\n".join(bad) or "all objects were read")


@when("an object is stored in a folder that the layout does not have", target_fixture="stray")
def store_stray(scope: Scope, bucket: Bucket, environment: Environment) -> Iterator[str]:
    key = environment.key(unique(scope.run), "stray")
    scope.created.keys.add(key)
    bucket.put(key, b"not Velero's")
    yield key
    bucket.delete(key)


@then("the suite reports the key as unexpected")
def stray_reported(layout_findings: LayoutFindings, evidence: Evidence) -> None:
    evidence.expect_violation("keys_unexpected", len(layout_findings.unexpected), artefact=layout_findings.table())


@then("Velero reports the location as Unavailable and names the folder")
def unavailable_for_stray(velero: Velero, stray: str, velero_health: VeleroHealth) -> None:
    velero_health.allow_errors(
        r"invalid top-level directories|available/unavailable/unknown: 0/1/0|is in unavailable state"
    )
    location = velero.wait_location("Unavailable")
    folder = stray.split("/")[-2]
    assert folder in location["status"]["message"], location["status"]


@when("the object is deleted", target_fixture="repaired_at")
def delete_stray(bucket: Bucket, stray: str) -> datetime:
    bucket.delete(stray)
    return datetime.now(UTC)


@given(phrase("S3 {fault:Fault}", Fault=S3_FAULTS))
@when(phrase("S3 {fault:Fault}", Fault=S3_FAULTS))
def s3_fault(toxiproxy: Toxiproxy, velero_health: VeleroHealth, fault: Callable[[Toxiproxy], None]) -> None:
    velero_health.allow_errors(EXPECTED_ERRORS)
    fault(toxiproxy)


@given("Velero reports the location as Unavailable")
def unavailable(velero: Velero) -> None:
    velero.wait_location("Unavailable")


@when("S3 accepts connections again", target_fixture="repaired_at")
def s3_repaired(toxiproxy: Toxiproxy) -> datetime:
    repaired_at = datetime.now(UTC)
    toxiproxy.heal()
    return repaired_at


@then("the location becomes Available again")
def available_again(velero: Velero, repaired_at: datetime, evidence: Evidence) -> None:
    location = velero.wait_location("Available", validated_after=repaired_at)
    seconds = (time_of(location["status"]["lastValidationTime"]) - repaired_at).total_seconds()
    evidence.observe("available again after", round(seconds, 1), "s")


@given("the suite watches the location")
def watch_location(location_watch: LocationWatch) -> None:
    location_watch.start()


@when("several validation periods have passed", target_fixture="validity")
def periods_passed(location_watch: LocationWatch, evidence: Evidence) -> Validity:
    """As many as the register asks for."""
    return location_watch.after(int(evidence.criterion.threshold("validations_observed").value))


@then("Velero validated the location in every period and found it Available")
def validated_in_every_period(validity: Validity, evidence: Evidence) -> None:
    evidence.observe("longest time between two validations", validity.longest.total_seconds(), "s")
    evidence.measure("validations_observed", validity.periods, artefact=str(validity))
    evidence.measure("validations_missed", validity.missed, artefact=str(validity))


@then("Velero reports the location as Unavailable, with the cause")
def unavailable_with_cause(velero: Velero, evidence: Evidence) -> None:
    message = velero.wait_location("Unavailable")["status"]["message"]
    evidence.attach("message.txt", message)
    assert "connection refused" in message, message


@then("the suite reports the outage as a missed validation")
def outage_reported(location_watch: LocationWatch, evidence: Evidence) -> None:
    validity = location_watch.after_outage()
    evidence.expect_violation("validations_missed", validity.missed, artefact=str(validity))


@then("the bucket exists, without versioning and without a lifecycle rule")
def bucket_as_designed(bucket_state: BucketState, evidence: Evidence) -> None:
    evidence.measure("buckets_as_designed", int(bucket_state.as_designed), artefact=str(bucket_state))


@then("Velero's key cannot create a bucket")
def cannot_create_bucket(
    scope: Scope, environment: Environment, deployed_keys: DeployedKeys, timeouts: Timeouts, evidence: Evidence
) -> None:
    """So neither Velero nor restic, which would try to, has created the bucket."""
    access = deployed_keys.keys.access(environment)
    made = may_make_bucket(access, scope.name("bucket"), call_seconds=timeouts["s3_call"])
    evidence.measure("bucket_creations_allowed", int(made))


@when(
    phrase(
        "another bucket is created {designed:State}",
        State={"with versioning and a lifecycle rule": False, "without versioning and without a lifecycle rule": True},
    ),
    target_fixture="other_bucket",
)
def create_bucket(
    scope: Scope, environment: Environment, s3_administrator: Users, timeouts: Timeouts, designed: bool
) -> Iterator[Bucket]:
    name, seconds = scope.name("bucket"), timeouts["s3_call"]
    with bucket_made(environment.s3, name, call_seconds=seconds) as client:
        if not designed:
            break_design(client, name)
        yield Bucket(environment.s3, name, call_seconds=seconds)


@then("the suite reports that bucket as not matching the design")
def bucket_reported(other_bucket: Bucket, evidence: Evidence) -> None:
    state = other_bucket.state()
    evidence.expect_violation("buckets_as_designed", int(state.as_designed), artefact=str(state))
