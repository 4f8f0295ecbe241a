"""How long a volume of the register's size takes, measured or predicted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_bdd import given, parsers, then, when

from fixtures.applications.standard import Application
from fixtures.applications.workload import Workload, Workloads
from fixtures.backups.progress import ProgressTracker, SlowLink, VolumeProgress
from fixtures.backups.timed import SlowLinkRun, TimedResult, TimedRun, Timing
from fixtures.environment.run_scope import Scope
from velero_acceptance.checks import backups, extrapolation, resources
from velero_acceptance.checks.extrapolation import NoPrediction, Prediction
from velero_acceptance.core.errors import Blocked, Inconclusive
from velero_acceptance.drivers.toxiproxy import Toxiproxy
from velero_acceptance.drivers.velero import Operation, Velero
from velero_acceptance.drivers.volumes import names
from velero_acceptance.evidence.recorder import Evidence


@dataclass(frozen=True)
class DatalessBackup:
    """A backup or restore that left the data out, and the workload that came of it."""

    operation: Operation
    workload: Workload


@given("fresh data, backed up and restored with the clock running", target_fixture="result")
def fresh_data(timed_run: TimedRun) -> TimedResult:
    return timed_run.result()


@given("fresh data, backed up over the link as it is", target_fixture="timings")
def ordinary_backup(timed_run: TimedRun) -> list[Timing]:
    return timed_run.result().backups


@given("fresh data, restored over the link as it is", target_fixture="timings")
def ordinary_restore(timed_run: TimedRun) -> list[Timing]:
    return timed_run.result().restores


@given("fresh data, backed up over a link that is far too slow", target_fixture="timings")
def slow_backup(slow_link_run: SlowLinkRun, toxiproxy: Toxiproxy) -> list[Timing]:
    return slow_link_run.backups(toxiproxy)


@given("fresh data, restored over a link that is far too slow", target_fixture="timings")
def slow_restore(slow_link_run: SlowLinkRun, toxiproxy: Toxiproxy) -> list[Timing]:
    return slow_link_run.restores(toxiproxy)


@when(parsers.parse('it is backed up again {how} its volume, and restored as "{alias}"'), target_fixture="hollow")
def backed_up_hollow(
    scope: Scope, velero: Velero, workloads: Workloads, result: TimedResult, how: str, alias: str
) -> DatalessBackup:
    namespace = result.volumes[0].workload.namespace
    backup = velero.backup(
        scope.backup_name("hollow"),
        labels=scope.labels,
        includedNamespaces=[namespace],
        defaultVolumesToFsBackup={"with": True, "without": False}[how],
    ).require()
    return DatalessBackup(backup, _restored(scope, velero, workloads, backup.name, namespace, alias)[1])


@when(
    parsers.parse('it is restored as "{alias}" without its pods, to which Velero would give the data'),
    target_fixture="hollow",
)
def restored_hollow(
    scope: Scope, velero: Velero, workloads: Workloads, result: TimedResult, alias: str
) -> DatalessBackup:
    """The Deployment makes pods of its own, whose volume is new and empty."""
    backup, namespace = result.backups[0].operation.name, result.volumes[0].workload.namespace
    return DatalessBackup(*_restored(scope, velero, workloads, backup, namespace, alias, excludedResources=["pods"]))


@when(parsers.parse('it is restored as "{alias}" with its pods'), target_fixture="hollow")
def restored_whole(
    scope: Scope, velero: Velero, workloads: Workloads, result: TimedResult, alias: str
) -> DatalessBackup:
    backup, namespace = result.backups[0].operation.name, result.volumes[0].workload.namespace
    return DatalessBackup(*_restored(scope, velero, workloads, backup, namespace, alias))


def _restored(
    scope: Scope, velero: Velero, workloads: Workloads, backup: str, namespace: str, alias: str, **spec: object
) -> tuple[Operation, Workload]:
    mapping = {namespace: scope.expect_namespace(alias)}
    restore = velero.restore(
        scope.restore_name(alias), labels=scope.labels, backup=backup, namespaceMapping=mapping, **spec
    )
    workload = workloads.in_namespace(scope.name(alias))
    workload.wait_running()
    return restore.require(), workload


@then("what moved the data ran with no more than the design's limits of node-agent")
def within_limits(result: TimedResult, evidence: Evidence) -> None:
    try:
        cpu, memory = resources.highest(result.movers, "cpu"), resources.highest(result.movers, "memory")
    except resources.LimitMissing as error:
        raise Blocked(f"the design's times are for its limits of node-agent, but {error}") from None
    evidence.observe("pods that moved the data", len(result.movers))
    evidence.measure("agent_cpu_limit", cpu)
    evidence.measure("agent_memory_limit", memory / resources.MEBIBYTE)


@then("the backup was in time, or would be with as much data as the register asks for")
def backup_in_time(result: TimedResult, evidence: Evidence) -> None:
    change = result.after_change
    evidence.observe(
        "backup after a change of a tenth", f"{change.seconds:.0f} s, {change.megabytes_per_second:.1f} MB/s"
    )
    _in_time("backup_duration", result.backups, evidence)


@then("the restore was in time, or would be with as much data as the register asks for")
def restore_in_time(result: TimedResult, evidence: Evidence) -> None:
    _in_time("restore_duration", result.restores, evidence)


@then("what came back is what was there")
def equal(result: TimedResult, evidence: Evidence) -> None:
    evidence.measure("files_equal", result.difference.percent_equal, artefact=result.difference.table())


@then("with as much data as the register asks for the backup would come too late")
def backup_too_late(timings: list[Timing], evidence: Evidence) -> None:
    _too_late("backup_duration", timings, evidence)


@then("with as much data as the register asks for the restore would come too late")
def restore_too_late(timings: list[Timing], evidence: Evidence) -> None:
    _too_late("restore_duration", timings, evidence)


@then("that took no time, and is not called a success")
def not_a_success(hollow: DatalessBackup, result: TimedResult, evidence: Evidence) -> None:
    operation = hollow.operation
    evidence.observe("without its data it took", (operation.finished - operation.started).total_seconds(), "s")
    difference = result.volumes[0].changes_to(hollow.workload)
    evidence.expect_violation("files_equal", difference.percent_equal, artefact=difference.table())


def _in_time(threshold: str, timings: Sequence[Timing], evidence: Evidence) -> None:
    """Measure the largest timing when it is as large as the register asks for; else predict."""
    largest = timings[-1]
    evidence.observe("throughput", round(largest.megabytes_per_second, 1), "MB/s")
    evidence.observe("held back by the CPU limit", str(largest.throttling or "not known"))
    if evidence.criterion.threshold("data_size").holds(largest.gigabytes):
        evidence.measure("data_size", largest.gigabytes)
        evidence.measure(threshold, largest.seconds, artefact=str(largest.operation.status))
        return
    prediction = _prediction(timings, evidence)
    evidence.observe("took", largest.seconds, f"s for {largest.gigabytes:.3g} GB")
    evidence.extrapolate(
        threshold, prediction, amount="data_size", reached=largest.gigabytes, artefact=prediction.table()
    )


def _too_late(threshold: str, timings: Sequence[Timing], evidence: Evidence) -> None:
    prediction = _prediction(timings, evidence)
    evidence.expect_violation(threshold, prediction.seconds, artefact=prediction.table())


def _prediction(timings: Sequence[Timing], evidence: Evidence) -> Prediction:
    try:
        points = [timing.point for timing in timings]
        return extrapolation.predict(points, evidence.criterion.threshold("data_size").value)
    except NoPrediction as error:
        raise Inconclusive(f"nothing can be said of as much data as the register asks for: {error}") from None


# Progress of volumes while they are backed up and restored.


@given("a volume of fresh data, backed up over a slow link", target_fixture="tracked")
@when("fresh data is backed up over a slow link", target_fixture="tracked")
def backed_up_slowly(slow_link: SlowLink, toxiproxy: Toxiproxy) -> VolumeProgress:
    return slow_link.backup(toxiproxy)


@given("a volume of fresh data, backed up and restored over a slow link", target_fixture="tracked")
@when("fresh data is restored over a slow link", target_fixture="tracked")
def restored_slowly(slow_link: SlowLink, toxiproxy: Toxiproxy) -> VolumeProgress:
    return slow_link.restore(toxiproxy)


@when("it is backed up again, with nothing new in it", target_fixture="tracked")
def backed_up_again(scope: Scope, progress_tracker: ProgressTracker, application: Application) -> VolumeProgress:
    return progress_tracker.backup(scope, application.workload.namespace, "again")


@when(parsers.parse('its small volume is restored as "{alias}"'), target_fixture="tracked")
def small_restored(
    scope: Scope, progress_tracker: ProgressTracker, application: Application, alias: str
) -> VolumeProgress:
    return progress_tracker.restore(scope, application.backup.name, application.workload.namespace, alias)


@then("its volume went through its phases in order")
def phases_in_order(tracked: VolumeProgress, evidence: Evidence) -> None:
    volumes = names(tracked.samples)
    wrong = [v for v in volumes if not backups.in_order([s for s in tracked.samples if s.volume == v])]
    evidence.observe("volumes", len(volumes))
    evidence.measure("volumes_out_of_order", len(wrong), artefact=backups.table(tracked.samples))


@then("the bytes done grew from sample to sample, before the end")
def bytes_grew(tracked: VolumeProgress, evidence: Evidence) -> None:
    grown = backups.growing(tracked.samples)
    evidence.measure("growing_samples", len(grown), artefact=backups.table(tracked.samples))


@then("at the same samples there were more and more packs in S3")
def packs_stored(tracked: VolumeProgress, evidence: Evidence) -> None:
    more = backups.stored_more(backups.growing(tracked.samples))
    evidence.measure("samples_with_more_packs_stored", more, artefact=backups.table(tracked.samples))


@then("at the same samples S3 had been asked for more and more packs")
def packs_fetched(tracked: VolumeProgress, evidence: Evidence) -> None:
    more = backups.stored_more(backups.growing(tracked.samples))
    evidence.measure("samples_with_more_packs_fetched", more, artefact=backups.table(tracked.samples))


@then("its progress shows only the end, which the suite does not call progress")
def only_the_end(tracked: VolumeProgress, evidence: Evidence) -> None:
    """Velero calls it Completed with all bytes done, as it does every backup and restore."""
    assert tracked.samples[-1].done == tracked.samples[-1].total > 0, tracked.samples[-1]
    grown = backups.growing(tracked.samples)
    evidence.expect_violation("growing_samples", len(grown), artefact=backups.table(tracked.samples))
