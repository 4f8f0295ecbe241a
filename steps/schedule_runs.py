"""What the runs of a schedule hold, and what becomes of those that fail."""

from __future__ import annotations

import itertools
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pytest_bdd import given, parsers, then, when

from fixtures.environment.run_scope import Scope
from fixtures.environment.velero_health import VeleroHealth
from fixtures.faults.outages import EXPECTED_ERRORS, AccessDenial
from fixtures.schedule.cron_timing import wait_until
from fixtures.schedule.namespace_workloads import NamespaceWorkloads
from fixtures.schedule.runs import (
    EDIT,
    JUST_NOW,
    LAST_RUN,
    LONG_AGO,
    FailureCounters,
    ScheduleCopies,
    ScheduleCopy,
    ago,
)
from velero_acceptance.checks import backups
from velero_acceptance.checks import schedule as check
from velero_acceptance.checks.storage_usage import EXCLUDED, Estimate, Sizes, size
from velero_acceptance.core.errors import Blocked, Inconclusive
from velero_acceptance.core.settings import Environment
from velero_acceptance.core.timeouts import Timeouts, seconds
from velero_acceptance.core.waiting import WaitTimedOut, poll
from velero_acceptance.drivers.kinds import NAMESPACE, Json, labels_of, name_of, phase_of
from velero_acceptance.drivers.kubernetes import Kubernetes
from velero_acceptance.drivers.s3 import Bucket
from velero_acceptance.drivers.toxiproxy import Toxiproxy
from velero_acceptance.drivers.velero import Operation, Velero
from velero_acceptance.evidence.recorder import Evidence

DESIGN_NAMESPACES = ("database", "monitoring", "network")


@then("its list and its archive hold the design's namespaces, and no other")
def holds_designed(scheduled_run: Operation, bucket: Bucket, environment: Environment, evidence: Evidence) -> None:
    listed, archived = _listed(scheduled_run, bucket, environment), _archived(scheduled_run, bucket, environment)
    evidence.observe("namespaces in the run", ", ".join(sorted(listed)))
    foreign = check.unexpected(DESIGN_NAMESPACES, listed | archived)
    missing = check.missing(DESIGN_NAMESPACES, listed & archived)
    evidence.measure("unexpected_namespaces", len(foreign), artefact="\n".join(foreign) or "no other")
    evidence.measure("missing_namespaces", len(missing), artefact="\n".join(missing) or "none is missing")


@then("it has the data of their volumes, and of no other")
def has_data(scheduled_run: Operation, velero: Velero, sizes: Sizes, evidence: Evidence) -> None:
    """On the lab there is a volume with data in each of them, and others elsewhere; else those that there are."""
    volumes = velero.volume_backups(scheduled_run.name)
    table = "\n".join(map(_volume_line, volumes)) or "no PodVolumeBackup"
    saved = {volume["spec"]["pod"]["namespace"] for volume in volumes if volume["status"].get("snapshotID")}
    evidence.measure("unexpected_namespaces", len(check.unexpected(DESIGN_NAMESPACES, saved)), artefact=table)
    wanted = {expected.volume.namespace for expected in sizes.estimate(DESIGN_NAMESPACES).volumes}
    evidence.observe("of the design's namespaces, those with volumes", ", ".join(sorted(wanted)) or "none")
    evidence.measure("namespaces_without_data", len(check.missing(wanted, saved)), artefact=table)


@given("the sizes of the volumes that the deployed schedule backs up", target_fixture="estimate")
def sizes_known(
    deployed_schedule: Json, namespace_workloads: NamespaceWorkloads, sizes: Sizes, scope: Scope
) -> Estimate:
    namespace_workloads.deploy()
    namespaces = deployed_schedule["spec"]["template"].get("includedNamespaces") or []
    return sizes.estimate(namespaces, walk=scope.labels)


@given("the sizes of all but one of the volumes that the deployed schedule backs up", target_fixture="estimate")
def sizes_incomplete(
    deployed_schedule: Json, namespace_workloads: NamespaceWorkloads, sizes: Sizes, scope: Scope
) -> Estimate:
    known = sizes_known(deployed_schedule, namespace_workloads, sizes, scope).volumes
    if not known:
        raise Blocked("the schedule backs up no volume: there is none that an estimate could miss")
    largest = max(known, key=lambda expected: expected.bytes or 0)
    return Estimate([expected for expected in known if expected is not largest])


@then("it holds as much as was expected")
def as_expected(scheduled_run: Operation, estimate: Estimate, sizes: Sizes, evidence: Evidence) -> None:
    evidence.measure("estimate_error", _error(scheduled_run, estimate, sizes, evidence), artefact=estimate.table())


@then("it is seen to hold more than was expected")
def more_than_expected(scheduled_run: Operation, estimate: Estimate, sizes: Sizes, evidence: Evidence) -> None:
    evidence.expect_violation(
        "estimate_error", _error(scheduled_run, estimate, sizes, evidence), artefact=estimate.table()
    )


def _error(run: Operation, estimate: Estimate, sizes: Sizes, evidence: Evidence) -> float:
    """Percent that an estimate is off from what a run held."""
    held = sizes.report([run.item])[0].logical
    evidence.observe("expected, and held", f"{size(estimate.known)}, {size(held)}")
    return 100 * abs(held - estimate.known) / max(held, estimate.known, 1)


@then("the report says what it added to S3")
def added_reported(scheduled_run: Operation, sizes: Sizes, evidence: Evidence) -> None:
    (cost,) = sizes.report([scheduled_run.item])
    evidence.observe("added to S3, of its volumes", cost.added, "bytes")
    evidence.observe("its own folder in S3", cost.metadata, "bytes")
    evidence.observe("bytes of volumes for each byte added", round(cost.ratio, 2) if cost.ratio else "none was added")


@when(parsers.parse('"{alias}" and a namespace that does not exist are backed up'), target_fixture="backup")
def backed_up_partly(scope: Scope, velero: Velero, velero_health: VeleroHealth, alias: str) -> Operation:
    names = [scope.name(alias), scope.name("absent")]
    velero_health.allow_errors(names[1])
    return velero.backup(scope.backup_name("partly"), labels=scope.labels, includedNamespaces=names)


@then(parsers.parse('the suite names what is missing, and "{alias}" as none of the design\'s'))
def missing_named(
    scope: Scope, backup: Operation, bucket: Bucket, environment: Environment, evidence: Evidence, alias: str
) -> None:
    held = _listed(backup, bucket, environment)
    missing = check.missing(backup.item["spec"]["includedNamespaces"], held)
    evidence.expect_violation("missing_namespaces", len(missing), artefact="\n".join(missing))
    foreign = check.unexpected(DESIGN_NAMESPACES, held)
    evidence.expect_violation("unexpected_namespaces", len(foreign), artefact="\n".join(foreign))
    assert (foreign, missing) == ([scope.name(alias)], [scope.name("absent")]), (foreign, missing)


@then(parsers.parse('it is seen to have no data of "{alias}"'))
def no_data(scope: Scope, backup: Operation, velero: Velero, evidence: Evidence, alias: str) -> None:
    saved = {volume["spec"]["pod"]["namespace"] for volume in velero.volume_backups(backup.name)}
    evidence.expect_violation("namespaces_without_data", len(check.missing({scope.name(alias)}, saved)))


@given(parsers.parse('a namespace "{alias}" that is labelled as excluded from backups'))
def excluded_namespace(scope: Scope, kubernetes: Kubernetes, velero: Velero, timeouts: Timeouts, alias: str) -> None:
    """Velero enters labelled namespaces into every backup as excluded: once it does, it has seen the label."""
    name, count = scope.namespace(alias), itertools.count()
    kubernetes.patch(NAMESPACE, name, None, {"metadata": {"labels": {EXCLUDED: "true"}}})

    def excluded() -> list[str]:
        probe = scope.backup_name(f"probe {next(count)}")
        made = velero.backup(probe, labels=scope.labels, includedNamespaces=[scope.name("plain")])
        return list(made.item["spec"].get("excludedNamespaces") or [])

    poll(
        excluded,
        until=lambda names: name in names,
        event=f"Velero knows that {name} is labelled",
        timeout=timeouts["backup_started"],
    )


@when(parsers.parse('"{first}" and "{second}" are backed up'), target_fixture="backup")
def both_backed_up(scope: Scope, velero: Velero, first: str, second: str) -> Operation:
    names = [scope.name(alias) for alias in (first, second)]
    return velero.backup(scope.backup_name("both"), labels=scope.labels, includedNamespaces=names)


@then(parsers.parse('the suite names "{alias}" as missing, and says why'))
def excluded_named(
    scope: Scope,
    kubernetes: Kubernetes,
    backup: Operation,
    bucket: Bucket,
    environment: Environment,
    evidence: Evidence,
    alias: str,
) -> None:
    """Velero 1.16 refuses the whole backup for it, though nobody asked to exclude anything."""
    held = _listed(backup, bucket, environment) if backup.phase == "Completed" else set()
    missing = check.missing(backup.item["spec"]["includedNamespaces"], held)
    labels = labels_of(kubernetes.require(NAMESPACE, scope.name(alias)))
    why = f"{alias} is labelled {EXCLUDED}={labels.get(EXCLUDED)}; the backup is {backup.phase}: {backup.reason()}"
    evidence.observe("of the labelled namespace", f"{backup.phase}: {backup.reason()}")
    evidence.expect_violation("missing_namespaces", len(missing), artefact="\n".join([*missing, why]))
    assert scope.name(alias) in missing and labels.get(EXCLUDED) == "true", why


@dataclass(frozen=True)
class DueCopy:
    """A run of a copy, and the failures that the metrics had counted of it before."""

    run: Operation
    counted: float


@when("the copy is due", target_fixture="failed")
def copy_due(copy: ScheduleCopy, failure_counters: FailureCounters, evidence: Evidence) -> DueCopy:
    evidence.accelerate(LAST_RUN)
    evidence.accelerate(EDIT)
    before = failure_counters.failures(copy.name)
    return DueCopy(copy.follow(copy.make_due())[0], before)


@given("S3 is cut off")
def cut_off(velero: Velero, toxiproxy: Toxiproxy, velero_health: VeleroHealth) -> None:
    """Right after a validation: what Velero knows of the location is then old enough to be wrong for seconds."""
    velero_health.allow_errors(EXPECTED_ERRORS)
    velero.wait_location("Available", validated_after=datetime.now(UTC))
    toxiproxy.cut()


@then("its run is a failure, logged and counted, and the copy stays enabled")
def run_failed(
    failed: DueCopy,
    copy: ScheduleCopy,
    failure_counters: FailureCounters,
    velero: Velero,
    velero_health: VeleroHealth,
    evidence: Evidence,
) -> None:
    run = failed.run
    evidence.observe("the run ended", f"{run.phase}: {run.reason()[:200]}")
    assert run.phase in backups.FAILURES, f"the run is {run.phase}, as if nothing had failed"
    lines = _logged(velero_health, run.name)
    evidence.measure("failures_not_logged", int(not lines), artefact="\n".join(lines) or "no error line names the run")
    counted = failure_counters.failures(copy.name) - failed.counted
    evidence.measure("failures_not_counted", int(counted != 1), artefact=f"{counted:g} failures of {copy.name} counted")
    evidence.measure("schedules_stopped", int(phase_of(velero.schedule(copy.name)) != "Enabled"))


def _logged(velero_health: VeleroHealth, run: str) -> list[str]:
    """The error lines that name the run; they are followed, so they come a moment after what they tell of."""
    with suppress(WaitTimedOut):
        return poll(
            lambda: backups.logged(velero_health.error_lines(), run),
            until=bool,
            event=f"an error line names {run}",
            timeout=seconds("log_followed"),
            interval=0.2,
        )
    return []


@when("S3 takes it again and the copy is due again", target_fixture="next_run")
def due_after_denial(copy: ScheduleCopy, access_denial: AccessDenial) -> Operation:
    access_denial.lift()
    return copy.follow(copy.make_due())[0]


@when("S3 can be reached again and the copy is due again", target_fixture="next_run")
def due_after_cut(copy: ScheduleCopy, toxiproxy: Toxiproxy, velero: Velero) -> Operation:
    toxiproxy.heal()
    velero.wait_location("Available", validated_after=datetime.now(UTC))
    return copy.follow(copy.make_due())[0]


@then("its next run is Completed, and there were no other runs")
def recovered(next_run: Operation, copy: ScheduleCopy, evidence: Evidence) -> None:
    runs = copy.runs()
    evidence.measure(
        "runs_not_recovered", int(next_run.phase != "Completed"), artefact=next_run.reason() or next_run.phase
    )
    evidence.measure("overlapping_runs", len(runs) - 2, artefact="\n".join(map(name_of, runs)))


@dataclass(frozen=True)
class OverlappingRun:
    """The runs of a schedule that was due again while one was at work, and a schedule whose run waited meanwhile."""

    at_work: list[str]
    queued: ScheduleCopy


@when("the copy is due again while its run is at work", target_fixture="overlap")
def due_meanwhile(
    scope: Scope,
    velero: Velero,
    copy: ScheduleCopy,
    schedule_copies: ScheduleCopies,
    timeouts: Timeouts,
    evidence: Evidence,
) -> OverlappingRun:
    """A second copy is due meanwhile, and due again while its own run waits for the first one's end."""
    evidence.accelerate(LAST_RUN)
    evidence.accelerate(EDIT)
    name = copy.wait_made(copy.make_due())
    velero.wait_started(name)
    queued = schedule_copies.make("queued", last=LONG_AGO, namespace=scope.name("source"))
    queued.wait_made(set())
    wait_until(datetime.now(UTC) + timedelta(seconds=1), timeouts)  # two runs of one second would have one name
    for one in (copy, queued):
        one.make_due()
    schedule_copies.wait_looked(scope.name("source"))
    for one in (copy, queued):
        one.edit(ago(JUST_NOW))
    if phase_of(velero.find_backup(name)) != "InProgress":
        raise Inconclusive("the run had ended before Velero looked at its schedule again")
    return OverlappingRun([name_of(run) for run in copy.runs()], queued)


@then("no other run of it was begun")
def none_begun(overlap: OverlappingRun, evidence: Evidence) -> None:
    evidence.measure("overlapping_runs", len(overlap.at_work) - 1, artefact="\n".join(overlap.at_work))


@then("the report says what becomes of runs that wait in the queue")
def queue_reported(overlap: OverlappingRun, velero: Velero, evidence: Evidence) -> None:
    """Velero 1.16 takes a run that has no phase yet for none (issue 9277): each time that is due adds one."""
    waiting = [name_of(run) for run in overlap.queued.runs()]
    evidence.observe("runs of a schedule that was due twice while its run waited", len(waiting))
    for name in (*overlap.at_work, *waiting):
        velero.follow_backup(name)


@then("the suite does not call it a recovery")
def no_recovery(backup: Operation, evidence: Evidence) -> None:
    evidence.expect_violation("runs_not_recovered", int(backup.phase != "Completed"), artefact=backup.reason())


@when("a run of it is Completed", target_fixture="single")
def run_completed(copy: ScheduleCopy, evidence: Evidence) -> Operation:
    evidence.accelerate(LAST_RUN)
    evidence.accelerate(EDIT)
    return copy.follow(copy.make_due())[0].require()


@when("a run of it is refused for want of a location", target_fixture="single")
def run_refused(copy: ScheduleCopy, evidence: Evidence) -> Operation:
    evidence.accelerate(LAST_RUN)
    evidence.accelerate(EDIT)
    copy.edit(template={"storageLocation": "nowhere"})
    return copy.follow(copy.make_due())[0].require("FailedValidation")


@then("it is found as a failure among the metrics, and as none in the log")
def counted_and_not_logged(
    copy: ScheduleCopy,
    single: Operation,
    failure_counters: FailureCounters,
    velero_health: VeleroHealth,
    evidence: Evidence,
) -> None:
    """Velero logs what it refuses at debug level only; the run itself says why."""
    evidence.observe("the run says", single.reason())
    counted = failure_counters.failures(copy.name)
    evidence.measure("failures_not_counted", int(counted != 1), artefact=f"{counted:g} failures of {copy.name} counted")
    lines = _logged(velero_health, single.name)
    evidence.expect_violation(
        "failures_not_logged", int(not lines), artefact="\n".join(lines) or "no error line names the run"
    )


@then("the suite does not find a failure of it among the metrics")
def nothing_counted(copy: ScheduleCopy, failure_counters: FailureCounters, evidence: Evidence) -> None:
    counted = failure_counters.failures(copy.name)
    evidence.expect_violation(
        "failures_not_counted", int(counted != 1), artefact=f"{counted:g} failures of {copy.name} counted"
    )


def _listed(backup: Operation, bucket: Bucket, environment: Environment) -> set[str]:
    return check.namespaces_in(bucket.json(_key(backup, environment, "-resource-list.json.gz")))


def _archived(backup: Operation, bucket: Bucket, environment: Environment) -> set[str]:
    return check.namespaces_archived(bucket.members(_key(backup, environment, ".tar.gz")))


def _key(backup: Operation, environment: Environment, ending: str) -> str:
    return environment.key("backups", backup.name, f"{backup.name}{ending}")


def _volume_line(volume: Json) -> str:
    pod, status = volume["spec"]["pod"], volume["status"]
    done = (status.get("progress") or {}).get("totalBytes", 0)
    return f"{pod['namespace']}/{pod['name']} {volume['spec']['volume']}: {phase_of(volume)}, {done} bytes"
