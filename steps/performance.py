"""How long a volume of the register's size takes, measured or predicted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_bdd import given, parsers, then, when

from acceptance.checks import extrapolation, limits
from acceptance.checks.extrapolation import NothingFollows, Prediction
from acceptance.drivers.toxiproxy import Toxiproxy
from acceptance.drivers.velero import Operation, Velero
from acceptance.evidence.recorder import Blocked, Evidence, Inconclusive
from fixtures.scope import Scope
from fixtures.timed import Result, SlowRun, TimedRun, Timing
from fixtures.workload import Workload, Workloads


@dataclass(frozen=True)
class Hollow:
    """A backup or restore that left the data out, and the workload that came of it."""

    operation: Operation
    workload: Workload


@given("fresh data, backed up and restored with the clock running", target_fixture="result")
def fresh_data(timed: TimedRun) -> Result:
    return timed.result()


@given("fresh data, backed up over the link as it is", target_fixture="timings")
def ordinary_backup(timed: TimedRun) -> list[Timing]:
    return timed.result().backups


@given("fresh data, restored over the link as it is", target_fixture="timings")
def ordinary_restore(timed: TimedRun) -> list[Timing]:
    return timed.result().restores


@given("fresh data, backed up over a link that is far too slow", target_fixture="timings")
def slow_backup(slow_run: SlowRun, toxiproxy: Toxiproxy) -> list[Timing]:
    return slow_run.backups(toxiproxy)


@given("fresh data, restored over a link that is far too slow", target_fixture="timings")
def slow_restore(slow_run: SlowRun, toxiproxy: Toxiproxy) -> list[Timing]:
    return slow_run.restores(toxiproxy)


@when(parsers.parse('it is backed up again {how} its volume, and restored as "{alias}"'), target_fixture="hollow")
def backed_up_hollow(
    scope: Scope, velero: Velero, workloads: Workloads, result: Result, how: str, alias: str
) -> Hollow:
    namespace = result.volumes[0].workload.namespace
    backup = velero.backup(
        scope.backup_name("hollow"),
        labels=scope.labels,
        includedNamespaces=[namespace],
        defaultVolumesToFsBackup={"with": True, "without": False}[how],
    ).require()
    return Hollow(backup, _restored(scope, velero, workloads, backup.name, namespace, alias)[1])


@when(
    parsers.parse('it is restored as "{alias}" without its pods, to which Velero would give the data'),
    target_fixture="hollow",
)
def restored_hollow(scope: Scope, velero: Velero, workloads: Workloads, result: Result, alias: str) -> Hollow:
    """The Deployment makes pods of its own, whose volume is new and empty."""
    backup, namespace = result.backups[0].operation.name, result.volumes[0].workload.namespace
    return Hollow(*_restored(scope, velero, workloads, backup, namespace, alias, excludedResources=["pods"]))


@when(parsers.parse('it is restored as "{alias}" with its pods'), target_fixture="hollow")
def restored_whole(scope: Scope, velero: Velero, workloads: Workloads, result: Result, alias: str) -> Hollow:
    backup, namespace = result.backups[0].operation.name, result.volumes[0].workload.namespace
    return Hollow(*_restored(scope, velero, workloads, backup, namespace, alias))


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
def within_limits(result: Result, evidence: Evidence) -> None:
    try:
        cpu, memory = limits.highest(result.movers, "cpu"), limits.highest(result.movers, "memory")
    except limits.Unlimited as error:
        raise Blocked(f"the design's times are for its limits of node-agent, but {error}") from None
    evidence.observe("pods that moved the data", len(result.movers))
    evidence.measure("agent_cpu_limit", cpu)
    evidence.measure("agent_memory_limit", memory / limits.MEBIBYTE)


@then("the backup was in time, or would be with as much data as the register asks for")
def backup_in_time(result: Result, evidence: Evidence) -> None:
    change = result.after_change
    evidence.observe(
        "backup after a change of a tenth", f"{change.seconds:.0f} s, {change.megabytes_per_second:.1f} MB/s"
    )
    _in_time("backup_duration", result.backups, evidence)


@then("the restore was in time, or would be with as much data as the register asks for")
def restore_in_time(result: Result, evidence: Evidence) -> None:
    _in_time("restore_duration", result.restores, evidence)


@then("what came back is what was there")
def equal(result: Result, evidence: Evidence) -> None:
    evidence.measure("files_equal", result.difference.percent_equal, artefact=result.difference.table())


@then("with as much data as the register asks for the backup would come too late")
def backup_too_late(timings: list[Timing], evidence: Evidence) -> None:
    _too_late("backup_duration", timings, evidence)


@then("with as much data as the register asks for the restore would come too late")
def restore_too_late(timings: list[Timing], evidence: Evidence) -> None:
    _too_late("restore_duration", timings, evidence)


@then("that took no time, and is not called a success")
def not_a_success(hollow: Hollow, result: Result, evidence: Evidence) -> None:
    operation = hollow.operation
    evidence.observe("without its data it took", (operation.finished - operation.started).total_seconds(), "s")
    difference = result.volumes[0].changes_to(hollow.workload)
    evidence.refute("files_equal", difference.percent_equal, artefact=difference.table())


def _in_time(threshold: str, timings: Sequence[Timing], evidence: Evidence) -> None:
    """Measure the largest timing when it is as large as the register asks for; else predict."""
    largest = timings[-1]
    evidence.observe("throughput", round(largest.megabytes_per_second, 1), "MB/s")
    evidence.observe("held back by the CPU limit", str(largest.slept or "not known"))
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
    evidence.refute(threshold, prediction.seconds, artefact=prediction.table())


def _prediction(timings: Sequence[Timing], evidence: Evidence) -> Prediction:
    try:
        points = [timing.point for timing in timings]
        return extrapolation.predict(points, evidence.criterion.threshold("data_size").value)
    except NothingFollows as error:
        raise Inconclusive(f"nothing can be said of as much data as the register asks for: {error}") from None
