"""What the runs of a schedule hold, and what follows a run that fails."""

import itertools
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pytest_bdd import given, parsers, then, when

from fixtures.environment.cluster import TargetClients
from fixtures.environment.phrases import Recorder, holds, phrase, violated
from fixtures.environment.run_scope import Scope
from fixtures.environment.velero_health import VeleroHealth
from fixtures.faults.outages import EXPECTED_ERRORS, AccessDenial
from fixtures.schedule.cron_timing import wait_until
from fixtures.schedule.history import failures
from fixtures.schedule.namespace_workloads import NamespaceWorkloads
from fixtures.schedule.runs import EDIT, JUST_NOW, LAST_RUN, LONG_AGO, ScheduleCopies, ScheduleCopy, ago
from velero_acceptance.checks import backups
from velero_acceptance.checks import schedule as check
from velero_acceptance.checks.storage_usage import EXCLUDED, Estimate, Sizes, size
from velero_acceptance.core.errors import Blocked, Inconclusive
from velero_acceptance.core.timeouts import Timeouts, seconds
from velero_acceptance.core.waiting import WaitTimedOut, poll
from velero_acceptance.drivers.kinds import CONFIG_MAP, NAMESPACE, Json, labels_of, name_of, phase_of
from velero_acceptance.drivers.kubernetes import Kubernetes
from velero_acceptance.drivers.toxiproxy import Toxiproxy
from velero_acceptance.drivers.velero import Operation, Velero
from velero_acceptance.evidence.recorder import Evidence

DESIGN_NAMESPACES = ("database", "monitoring", "network")
VOLUMES = {"all the": True, "all but one of the": False}


@then("the resource list and the archive of the run hold the design's namespaces and no others")
def holds_designed(backup: Operation, target: TargetClients, evidence: Evidence) -> None:
    files = target.backup_files(backup.name)
    listed, archived = check.namespaces_in(files.resource_list()), check.namespaces_archived(files.archive)
    evidence.observe("namespaces in the run", ", ".join(sorted(listed)))
    foreign = check.unexpected(DESIGN_NAMESPACES, listed | archived)
    missing = check.missing(DESIGN_NAMESPACES, listed & archived)
    evidence.measure("unexpected_namespaces", len(foreign), artefact="\n".join(foreign) or "no others")
    evidence.measure("missing_namespaces", len(missing), artefact="\n".join(missing) or "none is missing")


@then("the run holds no data of other namespaces")
def no_other_data(backup: Operation, velero: Velero, evidence: Evidence) -> None:
    volumes = velero.volume_backups(backup.name)
    table = "\n".join(map(_volume_line, volumes)) or "no PodVolumeBackup"
    saved = {volume["spec"]["pod"]["namespace"] for volume in volumes if volume["status"].get("snapshotID")}
    evidence.measure("unexpected_namespaces", len(check.unexpected(DESIGN_NAMESPACES, saved)), artefact=table)


@given(
    phrase("an estimate of {whole:Volumes} volumes that the deployed schedule backs up", Volumes=VOLUMES),
    target_fixture="estimate",
)
def estimate_run(
    deployed_schedule: Json, namespace_workloads: NamespaceWorkloads, sizes: Sizes, scope: Scope, whole: bool
) -> Estimate:
    namespace_workloads.deploy()
    namespaces = deployed_schedule["spec"]["template"].get("includedNamespaces") or []
    estimate = sizes.estimate(namespaces, walk=scope.labels)
    if whole:
        return estimate
    if not estimate.volumes:
        raise Blocked("the schedule backs up no volume: there is none that an estimate could miss")
    largest = max(estimate.volumes, key=lambda expected: expected.bytes or 0)
    return Estimate([expected for expected in estimate.volumes if expected is not largest])


@then(holds("the run holds as much data as estimated"))
@then(violated("the suite reports that the run holds more data than estimated"))
def as_estimated(record: Recorder, backup: Operation, estimate: Estimate, sizes: Sizes, evidence: Evidence) -> None:
    """Measured in percent of the larger of the two."""
    held = sizes.report([backup.item])[0].logical
    evidence.observe("expected, and held", f"{size(estimate.known)}, {size(held)}")
    error = 100 * abs(held - estimate.known) / max(held, estimate.known, 1)
    record(evidence, "estimate_error", error, artefact=estimate.table())


@then("the report shows how much data the run added to S3")
def added_reported(backup: Operation, sizes: Sizes, evidence: Evidence) -> None:
    (cost,) = sizes.report([backup.item])
    evidence.observe("added to S3, of its volumes", cost.added, "bytes")
    evidence.observe("its own folder in S3", cost.metadata, "bytes")
    evidence.observe("bytes of volumes for each byte added", round(cost.ratio, 2) if cost.ratio else "none was added")


@when(parsers.parse('"{alias}" and a namespace that does not exist are backed up'), target_fixture="backup")
def back_up_partly(scope: Scope, velero: Velero, velero_health: VeleroHealth, alias: str) -> Operation:
    names = [scope.name(alias), scope.name("absent")]
    velero_health.allow_errors(names[1])
    return velero.backup(scope.backup_name("partly"), labels=scope.labels, includedNamespaces=names)


@then(parsers.parse('the suite reports the missing namespace, and "{alias}" as unexpected'))
def namespaces_reported(scope: Scope, backup: Operation, target: TargetClients, evidence: Evidence, alias: str) -> None:
    held = _listed(backup, target)
    missing = check.missing(backup.item["spec"]["includedNamespaces"], held)
    evidence.expect_violation("missing_namespaces", len(missing), artefact="\n".join(missing))
    foreign = check.unexpected(DESIGN_NAMESPACES, held)
    evidence.expect_violation("unexpected_namespaces", len(foreign), artefact="\n".join(foreign))
    assert (foreign, missing) == ([scope.name(alias)], [scope.name("absent")]), (foreign, missing)


@when(parsers.parse('a copy of the deployed schedule backs up "{alias}"'), target_fixture="backup")
def copy_backs_up(scope: Scope, schedule_copies: ScheduleCopies, evidence: Evidence, alias: str) -> Operation:
    """By its template as it stands, but for the namespace."""
    evidence.accelerate(LAST_RUN)
    copy = schedule_copies.make(alias, last=LONG_AGO, namespace=scope.name(alias))
    return copy.follow(set())[0]


@when(
    parsers.parse('a copy of the deployed schedule that leaves out ConfigMaps backs up "{alias}"'),
    target_fixture="backup",
)
def poor_copy_backs_up(scope: Scope, schedule_copies: ScheduleCopies, evidence: Evidence, alias: str) -> Operation:
    evidence.accelerate(LAST_RUN)
    template = {"excludedResources": [CONFIG_MAP.plural]}
    copy = schedule_copies.make(alias, last=LONG_AGO, namespace=scope.name(alias), template=template)
    return copy.follow(set())[0]


@given(parsers.parse('a namespace "{alias}" with the label that excludes it from backups'))
def excluded_namespace(scope: Scope, kubernetes: Kubernetes, velero: Velero, timeouts: Timeouts, alias: str) -> None:
    """Velero adds labelled namespaces to the excluded ones of every backup, which shows that it knows the label."""
    name, other, count = scope.namespace(alias), scope.namespace("probe"), itertools.count()
    kubernetes.patch(NAMESPACE, name, None, {"metadata": {"labels": {EXCLUDED: "true"}}})

    def excluded() -> list[str]:
        probe = scope.backup_name(f"probe {next(count)}")
        made = velero.backup(probe, labels=scope.labels, includedNamespaces=[other])
        return list(made.item["spec"].get("excludedNamespaces") or [])

    poll(
        excluded,
        until=lambda names: name in names,
        event=f"Velero knows that {name} is labelled",
        timeout=timeouts["backup_started"],
    )


@when(parsers.parse('"{first}" and "{second}" are backed up'), target_fixture="backup")
def back_up_both(scope: Scope, velero: Velero, first: str, second: str) -> Operation:
    names = [scope.name(alias) for alias in (first, second)]
    return velero.backup(scope.backup_name("both"), labels=scope.labels, includedNamespaces=names)


@then(parsers.parse('the suite reports "{alias}" as missing because of its label'))
def exclusion_reported(scope: Scope, target: TargetClients, backup: Operation, evidence: Evidence, alias: str) -> None:
    """Velero 1.16 rejects the whole backup for it, although the backup excludes nothing."""
    held = _listed(backup, target) if backup.phase == "Completed" else set()
    missing = check.missing(backup.item["spec"]["includedNamespaces"], held)
    labels = labels_of(target.kubernetes.require(NAMESPACE, scope.name(alias)))
    why = f"{alias} is labelled {EXCLUDED}={labels.get(EXCLUDED)}; the backup is {backup.phase}: {backup.reason()}"
    evidence.observe("of the labelled namespace", f"{backup.phase}: {backup.reason()}")
    evidence.expect_violation("missing_namespaces", len(missing), artefact="\n".join([*missing, why]))
    assert scope.name(alias) in missing and labels.get(EXCLUDED) == "true", why


@dataclass(frozen=True)
class DueCopy:
    """A run of a copy, and how many failures of the copy the metrics had counted before."""

    run: Operation
    counted: float


@when("the copy is due", target_fixture="due_run")
def copy_due(copy: ScheduleCopy, target: TargetClients, evidence: Evidence) -> DueCopy:
    evidence.accelerate(LAST_RUN, EDIT)
    before = failures(target, copy.name)
    return DueCopy(copy.follow(copy.make_due())[0], before)


@given("S3 becomes unreachable right after a validation of the location")
def cut_after_validation(velero: Velero, toxiproxy: Toxiproxy, velero_health: VeleroHealth) -> None:
    """So that Velero still takes the location for Available when the run starts."""
    velero_health.allow_errors(EXPECTED_ERRORS)
    velero.wait_location("Available", validated_after=datetime.now(UTC))
    toxiproxy.cut()


@then("its run fails, the failure is logged and counted, and the copy stays enabled")
def run_failed(
    due_run: DueCopy, copy: ScheduleCopy, target: TargetClients, velero_health: VeleroHealth, evidence: Evidence
) -> None:
    run = due_run.run
    evidence.observe("the run ended", f"{run.phase}: {run.reason()[:200]}")
    assert run.phase in backups.FAILURES, f"the run is {run.phase}, as if nothing had failed"
    _judge_log(Evidence.measure, velero_health, run.name, evidence)
    _judge_count(Evidence.measure, target, copy, evidence, before=due_run.counted)
    evidence.measure("schedules_stopped", int(phase_of(target.velero.schedule(copy.name)) != "Enabled"))


def _judge_count(
    record: Recorder, target: TargetClients, copy: ScheduleCopy, evidence: Evidence, before: float = 0
) -> None:
    counted = failures(target, copy.name) - before
    artefact = f"{counted:g} failures of {copy.name} counted"
    record(evidence, "failures_not_counted", int(counted != 1), artefact=artefact)


def _judge_log(record: Recorder, velero_health: VeleroHealth, run: str, evidence: Evidence) -> None:
    """The logs are followed, so an error line comes a moment after its event."""
    lines: list[str] = []
    with suppress(WaitTimedOut):
        lines = poll(
            lambda: backups.logged(velero_health.error_lines(), run),
            until=bool,
            event=f"an error line names {run}",
            timeout=seconds("log_followed"),
            interval=0.2,
        )
    artefact = "\n".join(lines) or "no error line names the run"
    record(evidence, "failures_not_logged", int(not lines), artefact=artefact)


@when("S3 grants Velero write access again")
def lift_denial(access_denial: AccessDenial) -> None:
    access_denial.lift()


@when("the copy is due again", target_fixture="next_run")
def copy_due_again(copy: ScheduleCopy) -> Operation:
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
    """The runs of a schedule that was due again during a run, and a schedule whose run waited meanwhile."""

    running: list[str]
    queued: ScheduleCopy


@when("the copy is due again while its run is in progress", target_fixture="overlap")
def due_during_run(
    velero: Velero, copy: ScheduleCopy, schedule_copies: ScheduleCopies, timeouts: Timeouts, evidence: Evidence
) -> OverlappingRun:
    """A second copy is due meanwhile too, and due again while its own run waits for the end of the first one's."""
    evidence.accelerate(LAST_RUN, EDIT)
    name = copy.wait_made(copy.make_due())
    velero.wait_started(name)
    queued = schedule_copies.make("queued", last=LONG_AGO, namespace=copy.namespace)
    queued.wait_made(set())
    wait_until(datetime.now(UTC) + timedelta(seconds=1), timeouts)  # two runs of one second would have one name
    for one in (copy, queued):
        one.make_due()
    schedule_copies.wait_checked(copy.namespace)
    for one in (copy, queued):
        one.edit(ago(JUST_NOW))
    if phase_of(velero.find_backup(name)) != "InProgress":
        raise Inconclusive("the run had ended before Velero looked at its schedule again")
    return OverlappingRun([name_of(run) for run in copy.runs()], queued)


@then("the copy started no other run")
def no_other_run(overlap: OverlappingRun, evidence: Evidence) -> None:
    evidence.measure("overlapping_runs", len(overlap.running) - 1, artefact="\n".join(overlap.running))


@then("the report shows what happens to runs that wait in the queue")
def queue_reported(overlap: OverlappingRun, velero: Velero, evidence: Evidence) -> None:
    """Velero 1.16 ignores a run that has no phase yet (issue 9277): each due time adds another one."""
    waiting = [name_of(run) for run in overlap.queued.runs()]
    evidence.observe("runs of a schedule that was due twice while its run waited", len(waiting))
    for name in (*overlap.running, *waiting):
        velero.follow_backup(name)


@then("the suite reports that the schedule has not recovered")
def missing_recovery_reported(backup: Operation, evidence: Evidence) -> None:
    evidence.expect_violation("runs_not_recovered", int(backup.phase != "Completed"), artefact=backup.reason())


@when("a run of the copy is Completed", target_fixture="single")
def complete_run(copy: ScheduleCopy, evidence: Evidence) -> Operation:
    evidence.accelerate(LAST_RUN, EDIT)
    return copy.follow(copy.make_due())[0].require()


@when("a run of the copy is rejected because its location does not exist", target_fixture="single")
def reject_run(copy: ScheduleCopy, evidence: Evidence) -> Operation:
    evidence.accelerate(LAST_RUN, EDIT)
    copy.edit(template={"storageLocation": "nowhere"})
    return copy.follow(copy.make_due())[0].require("FailedValidation")


@then("the suite finds the failure in the metrics and reports it as missing from the log")
def counted_and_not_logged(
    copy: ScheduleCopy, single: Operation, target: TargetClients, velero_health: VeleroHealth, evidence: Evidence
) -> None:
    """Velero logs what it rejects at debug level only; the status of the run names the cause."""
    evidence.observe("the run says", single.reason())
    _judge_count(Evidence.measure, target, copy, evidence)
    _judge_log(Evidence.expect_violation, velero_health, single.name, evidence)


@then("the suite reports that the metrics count no failure of the copy")
def missing_count_reported(copy: ScheduleCopy, target: TargetClients, evidence: Evidence) -> None:
    _judge_count(Evidence.expect_violation, target, copy, evidence)


def _listed(backup: Operation, target: TargetClients) -> set[str]:
    return check.namespaces_in(target.backup_files(backup.name).resource_list())


def _volume_line(volume: Json) -> str:
    pod, status = volume["spec"]["pod"], volume["status"]
    done = (status.get("progress") or {}).get("totalBytes", 0)
    return f"{pod['namespace']}/{pod['name']} {volume['spec']['volume']}: {phase_of(volume)}, {done} bytes"
