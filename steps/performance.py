"""How long backups and restores take, measured or predicted for the data size of the register, and their progress."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter

from pytest_bdd import given, parsers, then, when

from fixtures.applications.standard import Application
from fixtures.applications.workload import Workload, Workloads
from fixtures.backups.progress import SlowLink, VolumeProgress, track_backup, track_restore
from fixtures.backups.timed import SlowLinkRun, TimedResult, TimedRun, Timing
from fixtures.backups.volume_timeouts import FLAG, VolumeTimeouts
from fixtures.environment.cluster import TargetClients
from fixtures.environment.phrases import phrase
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
    """A backup or restore, maybe one that left the data out, and the restored workload."""

    operation: Operation
    workload: Workload


# What is timed, with where the timed run keeps its timings, how the slow link is used, and the threshold.
FULL_SPEED = {"backed up": attrgetter("backups"), "restored": attrgetter("restores")}
TOO_SLOW = {"backed up": SlowLinkRun.backups, "restored": SlowLinkRun.restores}
THRESHOLDS = {"backup": "backup_duration", "restore": "restore_duration"}
VOLUMES = {"with its volume": True, "without its volume": False}
PODS: dict[str, dict[str, object]] = {"with its pods": {}, "without its pods": {"excludedResources": ["pods"]}}
PATIENCE = {"1 second": 1.0, "4 hours": 14400.0}
SLOWED = {"backed up": SlowLink.backup, "backed up and restored": SlowLink.restore}
PACKS = {"held": "samples_with_more_packs_stored", "had served": "samples_with_more_packs_fetched"}


@given("fresh data, backed up and restored", target_fixture="result")
@when("fresh data is backed up and restored, and both are timed", target_fixture="result")
def timed_result(timed_run: TimedRun) -> TimedResult:
    """Backed up and restored once a session."""
    return timed_run.result()


@when(phrase("fresh data is {timings_of:Operation} at full link speed", Operation=FULL_SPEED), target_fixture="timings")
def time_at_full_speed(timed_run: TimedRun, timings_of: Callable[[TimedResult], list[Timing]]) -> list[Timing]:
    return timings_of(timed_run.result())


@when(
    phrase("small volumes are {operation:Operation} over a link that is far too slow", Operation=TOO_SLOW),
    target_fixture="timings",
)
def time_over_slow_link(
    slow_link_run: SlowLinkRun, toxiproxy: Toxiproxy, operation: Callable[[SlowLinkRun, Toxiproxy], list[Timing]]
) -> list[Timing]:
    return operation(slow_link_run, toxiproxy)


@when(
    phrase('it is backed up again {whole:Volume} and restored into "{alias}"', Volume=VOLUMES),
    target_fixture="dataless",
)
def back_up_with_or_without_volume(
    scope: Scope, velero: Velero, workloads: Workloads, result: TimedResult, whole: bool, alias: str
) -> DatalessBackup:
    namespace = result.volumes[0].workload.namespace
    backup = velero.backup(
        scope.backup_name("dataless"),
        labels=scope.labels,
        includedNamespaces=[namespace],
        defaultVolumesToFsBackup=whole,
    ).require()
    return DatalessBackup(backup, _restored(scope, velero, workloads, backup.name, namespace, alias)[1])


@when(phrase('its backup is restored into "{alias}" {spec:Pods}', Pods=PODS), target_fixture="dataless")
def restore_with_or_without_pods(
    scope: Scope, velero: Velero, workloads: Workloads, result: TimedResult, spec: Mapping[str, object], alias: str
) -> DatalessBackup:
    """Without its pods, the Deployment creates new ones whose volume is empty."""
    backup, namespace = result.backups[0].operation.name, result.volumes[0].workload.namespace
    return DatalessBackup(*_restored(scope, velero, workloads, backup, namespace, alias, **spec))


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


@then("the pods that moved the data had no more than the design's limits of node-agent")
def within_limits(result: TimedResult, evidence: Evidence) -> None:
    try:
        cpu, memory = resources.highest(result.movers, "cpu"), resources.highest(result.movers, "memory")
    except resources.LimitMissing as error:
        raise Blocked(f"the design's times are for its limits of node-agent, but {error}") from None
    evidence.observe("pods that moved the data", len(result.movers))
    evidence.measure("agent_cpu_limit", cpu)
    evidence.measure("agent_memory_limit", memory / resources.MEBIBYTE)


@then("the backup was in time, or would be for the data size of the register")
def backup_in_time(result: TimedResult, volume_timeouts: VolumeTimeouts, evidence: Evidence) -> None:
    change = result.after_change
    evidence.observe(
        "backup after a change of a tenth", f"{change.seconds:.0f} s, {change.megabytes_per_second:.1f} MB/s"
    )
    _in_time("backup_duration", result.backups, volume_timeouts.of_backups(), evidence)


@then("the restore was in time, or would be for the data size of the register")
def restore_in_time(result: TimedResult, volume_timeouts: VolumeTimeouts, evidence: Evidence) -> None:
    _in_time("restore_duration", result.restores, volume_timeouts.of_restores(), evidence)


@when(phrase("Velero is taken to give up after {patience:Patience}", Patience=PATIENCE), target_fixture="patience")
def assume_timeout(patience: float) -> float:
    """The deployed one is left as it is: the check is asked about another."""
    return patience


@then(
    phrase("the suite reports that Velero would give up before the end of the {name:Operation}", Operation=THRESHOLDS)
)
def short_timeout_reported(result: TimedResult, patience: float, evidence: Evidence, name: str) -> None:
    timings = result.backups if name == THRESHOLDS["backup"] else result.restores
    found = extrapolation.exceeded({FLAG: patience}, _seconds_needed(timings, evidence)[0])
    evidence.expect_violation("timeouts_too_short", len(found), artefact="\n".join(found))


@then("the restored data is equal to the original")
def data_equal(result: TimedResult, evidence: Evidence) -> None:
    evidence.measure("files_equal", result.difference.percent_equal, artefact=result.difference.table())


@then(phrase("the suite predicts a late {threshold:Operation} for the data size of the register", Operation=THRESHOLDS))
def predicted_too_late(timings: list[Timing], evidence: Evidence, threshold: str) -> None:
    prediction = _prediction(timings, evidence)
    evidence.expect_violation(threshold, prediction.seconds, artefact=prediction.table())


@then("the suite reports the data as missing")
def missing_data_reported(dataless: DatalessBackup, result: TimedResult, evidence: Evidence) -> None:
    operation = dataless.operation
    evidence.observe("without its data it took", (operation.finished - operation.started).total_seconds(), "s")
    difference = result.volumes[0].changes_to(dataless.workload)
    evidence.expect_violation("files_equal", difference.percent_equal, artefact=difference.table())


def _in_time(threshold: str, timings: Sequence[Timing], timeouts: Mapping[str, float], evidence: Evidence) -> None:
    """Measure the largest timing when it is as large as the register asks for; else predict."""
    largest = timings[-1]
    _within_timeouts(timings, timeouts, evidence)
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


def _within_timeouts(timings: Sequence[Timing], timeouts: Mapping[str, float], evidence: Evidence) -> None:
    """Whether Velero itself waits long enough for the data size of the register."""
    seconds, at_most = _seconds_needed(timings, evidence)
    found, possible = extrapolation.exceeded(timeouts, seconds), extrapolation.exceeded(timeouts, at_most)
    shown = "\n".join(found) or ", ".join(f"{name} is {limit:g} s" for name, limit in timeouts.items())
    evidence.measure("timeouts_too_short", len(found), artefact=shown)
    if possible:
        raise Inconclusive(f"it cannot be excluded: {possible[0]}; try more data")


def _seconds_needed(timings: Sequence[Timing], evidence: Evidence) -> tuple[float, float]:
    """What the data size of the register needs, as measured or predicted, and at most."""
    largest = timings[-1]
    if evidence.criterion.threshold("data_size").holds(largest.gigabytes):
        return largest.seconds, largest.seconds
    prediction = _prediction(timings, evidence)
    return prediction.seconds, prediction.high


def _prediction(timings: Sequence[Timing], evidence: Evidence) -> Prediction:
    try:
        points = [timing.point for timing in timings]
        return extrapolation.predict(points, evidence.criterion.threshold("data_size").value)
    except NoPrediction as error:
        raise Inconclusive(f"nothing can be predicted for the data size of the register: {error}") from None


@when(phrase("fresh data is {operation:Operation} over a slow link", Operation=SLOWED), target_fixture="tracked")
def track_over_slow_link(
    slow_link: SlowLink, toxiproxy: Toxiproxy, operation: Callable[[SlowLink, Toxiproxy], VolumeProgress]
) -> VolumeProgress:
    return operation(slow_link, toxiproxy)


@when("the standard application is backed up again without changes", target_fixture="tracked")
def back_up_without_changes(scope: Scope, target: TargetClients, application: Application) -> VolumeProgress:
    return track_backup(target, scope, application.workload.namespace, "again")


@when(parsers.parse('its small volume is restored into "{alias}"'), target_fixture="tracked")
def restore_small_volume(scope: Scope, target: TargetClients, application: Application, alias: str) -> VolumeProgress:
    return track_restore(target, scope, application.backup.name, application.workload.namespace, alias)


@then("its volume went through its phases in order")
def phases_in_order(tracked: VolumeProgress, evidence: Evidence) -> None:
    volumes = names(tracked.samples)
    wrong = [v for v in volumes if not backups.in_order([s for s in tracked.samples if s.volume == v])]
    evidence.observe("volumes", len(volumes))
    evidence.measure("volumes_out_of_order", len(wrong), artefact=backups.table(tracked.samples))


@then("the bytes done grew from sample to sample before the end")
def bytes_grew(tracked: VolumeProgress, evidence: Evidence) -> None:
    grown = backups.growing(tracked.samples)
    evidence.measure("growing_samples", len(grown), artefact=backups.table(tracked.samples))


@then(phrase("S3 {threshold:Direction} more packs from sample to sample", Direction=PACKS))
def packs_grew(tracked: VolumeProgress, evidence: Evidence, threshold: str) -> None:
    more = backups.stored_more(backups.growing(tracked.samples))
    evidence.measure(threshold, more, artefact=backups.table(tracked.samples))


@then("the suite reports that no progress was visible before the end")
def only_the_end(tracked: VolumeProgress, evidence: Evidence) -> None:
    """Velero reports all bytes as done at the end, as it does for every backup and restore."""
    assert tracked.samples[-1].done == tracked.samples[-1].total > 0, tracked.samples[-1]
    grown = backups.growing(tracked.samples)
    evidence.expect_violation("growing_samples", len(grown), artefact=backups.table(tracked.samples))
