"""How long backups are kept, and how expired ones are deleted."""

from collections.abc import Iterable, Iterator
from datetime import timedelta

from pytest_bdd import given, parsers, then, when

from fixtures.applications.standard import Application, Applications, Restores
from fixtures.applications.workload import MOUNT, Workload, Workloads
from fixtures.backups.expiry import EXPIRATION, ExpiredBackup, Expiry, maintain, maintenance_table
from fixtures.environment.cluster import TargetClients
from fixtures.environment.phrases import Recorder, holds, violated
from fixtures.environment.run_scope import Scope
from fixtures.environment.velero_health import VeleroHealth
from fixtures.gitops.flux import ValueChange
from fixtures.schedule.runs import LAST_RUN, LONG_AGO, ScheduleCopies, ago
from velero_acceptance.checks import schedule
from velero_acceptance.corpus.manifest import Corpus
from velero_acceptance.drivers.kinds import BACKUP, name_of
from velero_acceptance.drivers.velero import Operation, Velero
from velero_acceptance.evidence.recorder import Evidence

COLLECTOR = "garbage collection frequency"
MAINTENANCE = "maintenance of the repository at once"
UNCOLLECTED = "is unavailable, cannot gc backup"
# What only the backup that expires has, of fresh data that neither compresses nor deduplicates.
OWN_BYTES = 20_000_000
# How often the design's garbage collection runs, in seconds.
DESIGN_PERIOD = 3600


@when("a copy of the deployed schedule creates a backup", target_fixture="scheduled_backup")
def copy_creates_backup(scope: Scope, schedule_copies: ScheduleCopies, evidence: Evidence) -> Operation:
    evidence.accelerate(LAST_RUN)
    copy = schedule_copies.make("retention", last=LONG_AGO, namespace=scope.namespace("retention"))
    return copy.follow(set())[0]


@then("both are kept as long as the design says, counted from their start")
def kept_as_designed(application: Application, scheduled_backup: Operation, evidence: Evidence) -> None:
    for backup in (application.backup, scheduled_backup):
        _measure_retention(backup, evidence)


@then("the run is kept as long as the design says, counted from its start")
def run_kept(backup: Operation, evidence: Evidence) -> None:
    _measure_retention(backup, evidence)


def _measure_retention(backup: Operation, evidence: Evidence) -> None:
    evidence.measure("retention", schedule.retention(backup.item))
    evidence.measure("expiration_error", schedule.expiration_error(backup.item), artefact=str(backup.status))


@given(
    parsers.parse('two completed backups of "{alias}": "{old}", with data that no other backup has, and "{kept}"'),
    target_fixture="backups",
)
def two_backups(
    scope: Scope, applications: Applications, workload: Workload, alias: str, old: str, kept: str
) -> dict[str, Application]:
    """What only the first backup has is added to the corpus before it and removed after it."""
    workload.run("fill", "-seed", workload.namespace, f"-bytes={OWN_BYTES}", f"{MOUNT}/own")
    first = applications.back_up(scope, workload, old)
    workload.run("remove", f"{MOUNT}/own")
    return {old: first, kept: applications.back_up(scope, workload, kept)}


@given(parsers.parse('the "{name}" backup was restored into "{target}"'), target_fixture="restore")
def was_restored(
    scope: Scope, restores: Restores, backups: dict[str, Application], name: str, target: str
) -> Operation:
    return restores.mapped(scope, backups[name], target).require()


@when(parsers.parse('the "{name}" backup expires'), target_fixture="expired")
def expires(
    expiry: Expiry, backups: dict[str, Application], restore: Operation, evidence: Evidence, name: str
) -> ExpiredBackup:
    evidence.accelerate(EXPIRATION, COLLECTOR)
    return expiry.expire(backups[name].backup, [restore])


@then(parsers.parse('nothing of the "{name}" backup and its restores is left in time'))
def nothing_left(expiry: Expiry, expired: ExpiredBackup, evidence: Evidence, name: str) -> None:
    left = expiry.wait_gone(expired)
    evidence.measure("deletion", expired.clock.elapsed, artefact=f"{name}: {expired}")
    evidence.observe(
        "at the design's frequency, at worst", f"{DESIGN_PERIOD} s until garbage collection runs, and then the deletion"
    )
    evidence.measure("objects_left", len(left.objects), artefact="\n".join(left.objects) or "no object is left")
    evidence.measure("keys_left", len(left.keys), artefact="\n".join(left.keys) or "no key is left")
    evidence.measure("snapshots_left", len(left.snapshots), artefact="\n".join(left.snapshots) or "no snapshot is left")


@then("the next maintenance of the repository frees its space")
def space_freed(expiry: Expiry, backups: dict[str, Application], target: TargetClients, evidence: Evidence) -> None:
    """restic may keep up to a twentieth unused (--max-unused), and rewrites its index."""
    evidence.accelerate(MAINTENANCE)
    namespace = next(iter(backups.values())).workload.namespace
    before, after = maintain(target, namespace)
    evidence.observe("bytes of the repository before and after", f"{before}, {after}")
    evidence.measure(
        "space_returned", 100 * (before - after) / OWN_BYTES, artefact=maintenance_table(target, namespace)
    )


@then(parsers.parse('the "{name}" backup is whole: restored into "{target}", every file is equal'))
def other_backup_whole(
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


@when("the small backup expires", target_fixture="expired")
def small_backup_expires(expiry: Expiry, backup: Operation, evidence: Evidence) -> ExpiredBackup:
    evidence.accelerate(EXPIRATION, COLLECTOR)
    return expiry.expire(backup.require(), [])


@then("the suite reports it as not deleted, and Velero labels it with the cause")
def kept_and_labelled(expiry: Expiry, expired: ExpiredBackup, velero: Velero, evidence: Evidence) -> None:
    """Only the garbage collector sets the label: so it has found the backup and left it."""
    velero.wait_backup_label(expired.backup, "velero.io/gc-failure", "BSLReadOnly")
    _expect_left(expiry, expired, evidence)


@then("the suite reports it as not deleted, and the garbage collector logs the cause")
def kept_and_logged(
    expiry: Expiry, expired: ExpiredBackup, velero: Velero, velero_health: VeleroHealth, evidence: Evidence
) -> None:
    """For this cause the garbage collector sets no label on the backup, it only logs a line."""
    velero_health.allow_errors(UNCOLLECTED)
    velero.wait_log_line(expired.backup, UNCOLLECTED)
    evidence.observe("labels of the garbage collector on the backup", velero.gc_mark(expired.backup) or "none")
    _expect_left(expiry, expired, evidence)


def _expect_left(expiry: Expiry, expired: ExpiredBackup, evidence: Evidence) -> None:
    left = expiry.find(expired)
    evidence.expect_violation("objects_left", len(left.objects), artefact="\n".join(left.objects))
    evidence.expect_violation("keys_left", len(left.keys), artefact="\n".join(left.keys))


@when("the location is writable again")
def location_writable(velero: Velero) -> None:
    velero.set_access("ReadWrite")


@then("the expired backup is deleted")
def expired_deleted(expiry: Expiry, expired: ExpiredBackup, evidence: Evidence) -> None:
    left = expiry.wait_gone(expired)
    assert not left.objects and not left.keys, left
    evidence.observe("deleted after", expired.clock.elapsed, "s")


@given(parsers.parse('two small backups of "{alias}", "{old}" and "{kept}"'), target_fixture="small_backups")
def two_small_backups(scope: Scope, velero: Velero, alias: str, old: str, kept: str) -> dict[str, str]:
    """Names by alias."""
    names = {name: scope.backup_name(name) for name in (old, kept)}
    for name in names.values():
        velero.backup(name, labels=scope.labels, includedNamespaces=[scope.name(alias)]).require()
    return names


@when(parsers.parse('the small backup "{name}" expires'))
def expire_one(velero: Velero, small_backups: dict[str, str], collector: str, evidence: Evidence, name: str) -> None:
    _expire(velero, [small_backups[name]], evidence)


@when("both small backups expire")
def expire_both(velero: Velero, small_backups: dict[str, str], collector: str, evidence: Evidence) -> None:
    """The one that the scenario looks for first."""
    _expire(velero, reversed(small_backups.values()), evidence)


def _expire(velero: Velero, names: Iterable[str], evidence: Evidence) -> None:
    evidence.accelerate(EXPIRATION, COLLECTOR)
    for name in names:
        velero.move_time(BACKUP, name, "expiration", ago(timedelta(hours=1)))


@then(parsers.parse('the garbage collector reports "{name}" as expired and requests its deletion'))
def expired_identified(velero: Velero, small_backups: dict[str, str], evidence: Evidence, name: str) -> None:
    request = velero.wait_deletion_requested(small_backups[name])
    lines = velero.log_lines(small_backups[name], "expired")
    evidence.observe("deletion requested by", name_of(request))
    evidence.measure("expired_not_identified", int(not lines), artefact="\n".join(lines) or "the log does not name it")


@then(parsers.parse('it does neither for "{name}"'))
def unexpired_left(velero: Velero, small_backups: dict[str, str], evidence: Evidence, name: str) -> None:
    """Garbage collection handles all backups in one pass: by now it would have reported this one too."""
    evidence.measure("unexpired_identified", int(velero.is_collected(small_backups[name])))


@then(parsers.parse('the suite reports that the garbage collector took "{old}" and skipped "{kept}"'))
def skipped_backup_reported(
    velero: Velero, small_backups: dict[str, str], evidence: Evidence, old: str, kept: str
) -> None:
    velero.wait_deletion_requested(small_backups[old])
    evidence.expect_violation("expired_not_identified", int(not velero.is_collected(small_backups[kept])))


@then(holds("the backup is kept as long as the design says"))
@then(violated("the suite reports its retention as wrong"))
def kept_by_default(record: Recorder, backup: Operation, evidence: Evidence) -> None:
    record(evidence, "retention", schedule.retention(backup.item), artefact=str(backup.item["spec"]))


@then("the backup is kept as long as the committed default says")
def committed_retention(backup: Operation, default_change: ValueChange, evidence: Evidence) -> None:
    expected = schedule.seconds_of(default_change.value)
    found = schedule.retention(backup.item)
    evidence.observe("retention", found, "s")
    assert found == expected, f"{default_change.value} was committed, the backup is kept for {found} s"


@when("another default retention is committed to Git")
def commit_default(default_change: ValueChange, velero: Velero, velero_health: VeleroHealth) -> None:
    """The default is an argument of the server, which restarts for it."""
    velero_health.expect_restart()
    default_change.commit()
    velero.wait_argument(f"--default-backup-ttl={default_change.value}")
