"""How long backups are kept, and how they go."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from pytest_bdd import given, parsers, then, when

from fixtures.applications.standard import Application, Applications, Restores
from fixtures.applications.workload import MOUNT, Workload, Workloads
from fixtures.backups.expiry import EXPIRATION, ExpiredBackup, Expiry
from fixtures.backups.maintenance import Maintenance
from fixtures.environment.run_scope import Scope
from fixtures.environment.velero_health import VeleroHealth
from fixtures.faults.outages import EXPECTED_ERRORS
from fixtures.gitops.flux import ValueChange
from fixtures.schedule.runs import LAST_RUN, LONG_AGO, ScheduleCopies, stamp
from velero_acceptance.checks import schedule
from velero_acceptance.corpus.manifest import Corpus
from velero_acceptance.drivers.kinds import name_of
from velero_acceptance.drivers.toxiproxy import Toxiproxy
from velero_acceptance.drivers.velero import Operation, Velero
from velero_acceptance.evidence.recorder import Evidence

COLLECTOR = "garbage collection frequency"
MAINTENANCE = "maintenance of the repository at once"
# What only the backup that expires has, of fresh data that neither compresses nor deduplicates.
OWN_BYTES = 20_000_000
# How often the design's collector looks, in seconds.
DESIGN_PERIOD = 3600


@given("a backup made by a copy of the deployed schedule", target_fixture="scheduled_backup")
def scheduled(scope: Scope, schedule_copies: ScheduleCopies, evidence: Evidence) -> Operation:
    evidence.accelerate(LAST_RUN)
    copy = schedule_copies.make("retention", last=LONG_AGO, namespace=scope.namespace("retention"))
    return copy.follow(set())[0]


@then("both are kept as long as the design says, counted from their start")
def kept_as_designed(application: Application, scheduled_backup: Operation, evidence: Evidence) -> None:
    for backup in (application.backup, scheduled_backup):
        _measure_retention(backup, evidence)


def _measure_retention(backup: Operation, evidence: Evidence) -> None:
    evidence.measure("retention", schedule.retention(backup.item))
    evidence.measure("expiration_error", schedule.expiration_error(backup.item), artefact=str(backup.status))


@when(parsers.parse('"{alias}" is backed up with a TTL of {hours:d} hours'), target_fixture="backup")
def backed_up_with_ttl(scope: Scope, velero: Velero, alias: str, hours: int) -> Operation:
    return velero.backup(
        scope.backup_name(alias), labels=scope.labels, includedNamespaces=[scope.name(alias)], ttl=f"{hours}h0m0s"
    )


@then("the suite calls its retention wrong")
def retention_wrong(backup: Operation, evidence: Evidence) -> None:
    evidence.expect_violation("retention", schedule.retention(backup.item), artefact=str(backup.item["spec"]))


@given(
    parsers.parse(
        'two completed backups of "{alias}": the "{old}" one, with data that nobody else has, and the "{kept}" one'
    ),
    target_fixture="backups",
)
def two_backups(
    scope: Scope, applications: Applications, workload: Workload, alias: str, old: str, kept: str
) -> dict[str, Application]:
    """The volume holds the standard corpus; what only the first backup has was there beside it, and was removed."""
    workload.run("fill", "-seed", workload.namespace, f"-bytes={OWN_BYTES}", f"{MOUNT}/own")
    first = applications.back_up(scope, workload, old)
    workload.run("remove", f"{MOUNT}/own")
    return {old: first, kept: applications.back_up(scope, workload, kept)}


@given(parsers.parse('the "{name}" backup was restored as "{target}"'), target_fixture="restore")
def was_restored(
    scope: Scope, restores: Restores, backups: dict[str, Application], name: str, target: str
) -> Operation:
    return restores.mapped(scope, backups[name], target).require()


@when(parsers.parse('the "{name}" backup expires'), target_fixture="expired")
def expires(
    expiry: Expiry, backups: dict[str, Application], restore: Operation, evidence: Evidence, name: str
) -> ExpiredBackup:
    evidence.accelerate(EXPIRATION)
    evidence.accelerate(COLLECTOR)
    return expiry.expire(backups[name].backup, [restore])


@then(parsers.parse('nothing of the "{name}" backup and its restores is left in time'))
def nothing_left(expiry: Expiry, expired: ExpiredBackup, evidence: Evidence, name: str) -> None:
    left = expiry.wait_gone(expired)
    evidence.measure("deletion", expired.clock.elapsed, artefact=f"{name}: {expired}")
    evidence.observe(
        "at the design's frequency, at worst", f"{DESIGN_PERIOD} s until the collector looks, and then the deletion"
    )
    evidence.measure("objects_left", len(left.objects), artefact="\n".join(left.objects) or "no object is left")
    evidence.measure("keys_left", len(left.keys), artefact="\n".join(left.keys) or "no key is left")
    evidence.measure("snapshots_left", len(left.snapshots), artefact="\n".join(left.snapshots) or "no snapshot is left")


@then("its space comes back with the next maintenance of the repository")
def space_returned(
    expiry: Expiry, backups: dict[str, Application], maintenance: Maintenance, evidence: Evidence
) -> None:
    """restic keeps up to a twentieth unused (--max-unused), and writes its index anew."""
    evidence.accelerate(MAINTENANCE)
    namespace = next(iter(backups.values())).workload.namespace
    before, after = maintenance.force(namespace)
    evidence.observe("bytes of the repository before and after", f"{before}, {after}")
    evidence.measure("space_returned", 100 * (before - after) / OWN_BYTES, artefact=maintenance.table(namespace))


@then(parsers.parse('the "{name}" backup is whole: restored as "{target}", every file is equal'))
def neighbour_whole(
    scope: Scope,
    restores: Restores,
    workloads: Workloads,
    corpus: Corpus,
    backups: dict[str, Application],
    evidence: Evidence,
    name: str,
    target: str,
) -> None:
    restores.mapped(scope, backups[name], target).require()
    workload = workloads.in_namespace(scope.name(target))
    workload.wait_ready()
    difference = corpus.manifest().compare(workload.manifest())
    evidence.measure("other_backups_damaged", int(not difference.equal), artefact=difference.table())


@given("the location is read-only")
def location_read_only(velero: Velero) -> Iterator[None]:
    mode = velero.location()["spec"].get("accessMode")
    velero.set_access("ReadOnly")
    yield
    velero.set_access(mode)


@given("Velero knows that S3 cannot be reached")
def known_unreachable(toxiproxy: Toxiproxy, velero: Velero, velero_health: VeleroHealth) -> None:
    velero_health.allow_errors(f"{EXPECTED_ERRORS}|is unavailable, cannot gc backup")
    toxiproxy.cut()
    velero.wait_location("Unavailable")


@when("the small backup expires", target_fixture="expired")
def small_backup_expires(expiry: Expiry, backup: Operation, evidence: Evidence) -> ExpiredBackup:
    evidence.accelerate(EXPIRATION)
    evidence.accelerate(COLLECTOR)
    return expiry.expire(backup.require(), [])


@then("it is still there, marked as not deletable")
def still_there(expiry: Expiry, expired: ExpiredBackup, velero: Velero, evidence: Evidence) -> None:
    """The mark is the collector's own: it looked at the backup and left it."""
    velero.wait_backup_label(expired.backup, "velero.io/gc-failure", "BSLReadOnly")
    left = expiry.find(expired)
    evidence.expect_violation("objects_left", len(left.objects), artefact="\n".join(left.objects))
    evidence.expect_violation("keys_left", len(left.keys), artefact="\n".join(left.keys))


@then("it is still there, and the collector says that it cannot reach it")
def still_there_unreached(expiry: Expiry, expired: ExpiredBackup, velero: Velero, evidence: Evidence) -> None:
    """The collector leaves no mark on the backup, only a line in the log: it looked at the backup and left it."""
    velero.wait_log_line(expired.backup, "is unavailable, cannot gc backup")
    left = expiry.find(expired)
    evidence.observe("marks of the collector on the backup", velero.gc_mark(expired.backup) or "none")
    evidence.expect_violation("objects_left", len(left.objects), artefact="\n".join(left.objects))
    evidence.expect_violation("keys_left", len(left.keys), artefact="\n".join(left.keys))


@then("it goes once S3 can be reached again")
def goes_when_reached(expiry: Expiry, expired: ExpiredBackup, toxiproxy: Toxiproxy, evidence: Evidence) -> None:
    toxiproxy.heal()
    left = expiry.wait_gone(expired)
    assert not left.objects and not left.keys, left
    evidence.observe("gone after", expired.clock.elapsed, "s")


@then("it goes once the location can be written again")
def goes_after_all(expiry: Expiry, expired: ExpiredBackup, velero: Velero, evidence: Evidence) -> None:
    velero.set_access("ReadWrite")
    left = expiry.wait_gone(expired)
    assert not left.objects and not left.keys, left
    evidence.observe("gone after", expired.clock.elapsed, "s")


@given(parsers.parse('two small backups of "{alias}", "{old}" and "{kept}"'), target_fixture="small_backups")
def two_small_backups(scope: Scope, velero: Velero, alias: str, old: str, kept: str) -> dict[str, str]:
    """Names by alias."""
    names = {name: scope.backup_name(name) for name in (old, kept)}
    for name in names.values():
        velero.backup(name, labels=scope.labels, includedNamespaces=[scope.name(alias)]).require()
    return names


@when(parsers.parse('the small backup "{name}" expires'))
def one_of_them_expires(
    velero: Velero, small_backups: dict[str, str], collector: str, evidence: Evidence, name: str
) -> None:
    evidence.accelerate(EXPIRATION)
    evidence.accelerate(COLLECTOR)
    velero.expire(small_backups[name], stamp(datetime.now(UTC) - timedelta(hours=1)))


@when(parsers.parse('the small backups "{one}" and "{other}" expire'))
def both_expire(
    velero: Velero, small_backups: dict[str, str], collector: str, evidence: Evidence, one: str, other: str
) -> None:
    for name in (other, one):
        one_of_them_expires(velero, small_backups, collector, evidence, name)


@then(parsers.parse('the collector calls "{name}" expired and asks for its deletion'))
def collector_identifies(velero: Velero, small_backups: dict[str, str], evidence: Evidence, name: str) -> None:
    request = velero.wait_deletion_requested(small_backups[name])
    lines = velero.log_lines(small_backups[name], "expired")
    evidence.observe("deletion asked for by", name_of(request))
    evidence.measure("expired_not_identified", int(not lines), artefact="\n".join(lines) or "the log calls it nothing")


@then(parsers.parse('it does neither for "{name}"'))
def collector_leaves(velero: Velero, small_backups: dict[str, str], evidence: Evidence, name: str) -> None:
    """The collector looks at all backups in one pass: had it wanted this one too, it would have said so by now."""
    evidence.measure("unexpired_identified", int(velero.is_collected(small_backups[name])))


@then(parsers.parse('the suite sees that the collector passed over "{name}"'))
def passed_over(velero: Velero, small_backups: dict[str, str], evidence: Evidence, name: str) -> None:
    velero.wait_deletion_requested(small_backups["old"])
    evidence.expect_violation("expired_not_identified", int(not velero.is_collected(small_backups[name])))


@then("the run is kept as long as the design says, counted from its start")
def run_kept(scheduled_run: Operation, evidence: Evidence) -> None:
    _measure_retention(scheduled_run, evidence)


@then("the backup is kept as long as the design says")
def kept_by_default(backup: Operation, evidence: Evidence) -> None:
    evidence.measure("retention", schedule.retention(backup.item), artefact=str(backup.item["spec"]))


@then("its retention is the one that was committed")
def committed_retention(backup: Operation, default_change: ValueChange, evidence: Evidence) -> None:
    expected = schedule.seconds_of(default_change.value)
    found = schedule.retention(backup.item)
    evidence.observe("retention", found, "s")
    assert found == expected, f"{default_change.value} was committed, the backup is kept for {found} s"


@when("another default retention is committed to Git")
def commit_default(default_change: ValueChange, velero: Velero, velero_health: VeleroHealth) -> None:
    """The server takes its default from its arguments: it restarts."""
    velero_health.expect_restart()
    default_change.commit()
    velero.wait_argument(f"--default-backup-ttl={default_change.value}")
