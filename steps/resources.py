"""The memory and the CPU that node-agent uses, and a backup for which its memory is too small."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from pytest_bdd import given, then, when

from fixtures.applications.workload import Workload
from fixtures.environment.cluster import TargetClients
from fixtures.environment.phrases import Recorder
from fixtures.environment.run_scope import Scope
from fixtures.faults.outages import BackupFaults
from fixtures.observability.agent_resources import (
    AgentLoad,
    LoadResult,
    MemoryShortage,
    OverusingPod,
    PodGroups,
    watch_overuse,
)
from velero_acceptance.checks import resources
from velero_acceptance.core.errors import Inconclusive
from velero_acceptance.drivers.cgroups import ResourceUse
from velero_acceptance.drivers.kinds import name_of
from velero_acceptance.drivers.velero import Operation, Velero
from velero_acceptance.evidence.recorder import Evidence

MEGABYTE = 1e6


@when("many small files and fresh data are backed up and restored while node-agent is monitored", target_fixture="load")
def carry_load(agent_load: AgentLoad) -> LoadResult:
    """Once a session."""
    return agent_load.load()


@when("many small files and fresh data are backed up while the kernel kills the uploader", target_fixture="load")
def carry_load_short_of_memory(agent_load: AgentLoad, memory_shortage: MemoryShortage) -> LoadResult:
    workload = agent_load.fill("short of memory")
    memory_shortage.start()
    backup = agent_load.back_up(workload, "short of memory")
    memory_shortage.end()
    return LoadResult(backup, backup, {}, {}, {})


@then("no node-agent used more memory or CPU than the design allows")
def within_limits(load: LoadResult, evidence: Evidence) -> None:
    load.backup.require()
    load.restore.require()
    for pod, samples in load.samples.items():
        resident = max(use.resident for use in samples) / MEGABYTE
        evidence.observe(f"memory of the processes alone, {pod}", round(resident), "MB")
    _judge_peaks(Evidence.measure, load.samples, evidence)


@then("Prometheus recorded the same usage")
def same_usage(load: LoadResult, evidence: Evidence) -> None:
    faults, compared = [], 0
    for pod, samples in load.samples.items():
        faults += resources.memory_disagreeing(samples, load.memory[pod])
        faults += resources.cpu_disagreeing(samples, load.cpu[pod])
        compared += len(resources.within(load.memory[pod], samples))
    highest = max(value for series in load.memory.values() for _, value in series.points)
    evidence.observe("highest memory that Prometheus saw", round(highest / MEGABYTE), "MB")
    evidence.observe("readings of memory compared", compared)
    evidence.measure("samples_not_matching", len(faults), artefact="\n".join(faults) or "all agree")


@then("every node-agent is Burstable, as the design wants")
def burstable(velero: Velero, evidence: Evidence) -> None:
    others = resources.not_burstable(velero.agent_pods())
    evidence.measure("pods_not_burstable", len(others), artefact="\n".join(others) or "every pod is Burstable")


@given("node-agent has less memory than restic needs")
def shorten_memory(memory_shortage: MemoryShortage) -> None:
    memory_shortage.start()


@given("many small files and fresh data without a backup", target_fixture="workload")
def fill(agent_load: AgentLoad, evidence: Evidence) -> Iterator[Workload]:
    workload = agent_load.fill("more files")
    yield workload
    evidence.observe("locks that the killed uploader left", agent_load.unlock(workload))


@when("they are backed up", target_fixture="backup")
def back_up(agent_load: AgentLoad, workload: Workload) -> Operation:
    return agent_load.back_up(workload, "with scarce memory")


@then("the kernel killed the uploader, and the backup is not Completed")
def killed(memory_shortage: MemoryShortage, backup: Operation, backup_faults: BackupFaults, evidence: Evidence) -> None:
    if not (kills := memory_shortage.kills()):
        raise Inconclusive("the kernel killed no process: node-agent still had enough memory")
    evidence.observe("processes killed", kills)
    words = backup_faults.messages(backup)
    reported = resources.kill_reported(backup.phase, words)
    evidence.measure("oom_kills_not_reported", int(not reported), artefact="\n".join([backup.phase, *words]))


@when("node-agent has its memory back")
def restore_memory(memory_shortage: MemoryShortage, velero: Velero) -> None:
    memory_shortage.end()
    velero.wait_healthy()


@when("they are backed up again", target_fixture="next_backup")
def back_up_again(agent_load: AgentLoad, workload: Workload) -> Operation:
    return agent_load.back_up(workload, "with its memory back")


@then("the next backup of them is Completed, with its volume")
def next_completed(next_backup: Operation, velero: Velero, evidence: Evidence) -> None:
    volumes = [volume["status"].get("phase") for volume in velero.volume_backups(next_backup.name)]
    whole = next_backup.phase == "Completed" and volumes == ["Completed"]
    evidence.measure("backups_failed_after_kill", int(not whole), artefact=f"{next_backup.phase}, volumes {volumes}")


@then("the suite does not count it as a reported failure")
def no_reported_failure(load: LoadResult, backup_faults: BackupFaults, evidence: Evidence) -> None:
    phase, words = load.backup.phase, backup_faults.messages(load.backup)
    unreported = not resources.kill_reported(phase, words)
    evidence.expect_violation("oom_kills_not_reported", int(unreported), artefact="\n".join([phase, *words]))


@when("a pod that uses more than the design allows is monitored and judged", target_fixture="judged")
def monitor_overuse(scope: Scope, target: TargetClients, pod_groups: PodGroups) -> OverusingPod:
    return watch_overuse(target, pod_groups, scope.namespace("overuse"))


@when("one of the monitored node-agents is judged", target_fixture="judged")
def judge_agent(load: LoadResult, velero: Velero) -> OverusingPod:
    pod = velero.agent_pods()[0]
    return OverusingPod(pod, load.samples[name_of(pod)])


@then("the suite reports its memory and its CPU as too high")
def overuse_reported(judged: OverusingPod, evidence: Evidence) -> None:
    _judge_peaks(Evidence.expect_violation, {name_of(judged.pod): judged.samples}, evidence)


@then("the suite reports CPU readings that stand still as not matching")
def still_readings_reported(load: LoadResult, evidence: Evidence) -> None:
    busiest = max(load.samples, key=lambda pod: load.samples[pod][-1].cpu - load.samples[pod][0].cpu)
    series = load.cpu[busiest]
    still = replace(series, points=tuple((at, series.points[0][1]) for at, _ in series.points))
    faults = resources.cpu_disagreeing(load.samples[busiest], still)
    evidence.expect_violation("samples_not_matching", len(faults), artefact="\n".join([busiest, *faults]))


@then("the suite flags that pod as not Burstable")
def not_burstable_reported(judged: OverusingPod, evidence: Evidence) -> None:
    others = resources.not_burstable([judged.pod])
    evidence.expect_violation("pods_not_burstable", len(others), artefact="\n".join(others))


def _judge_peaks(record: Recorder, samples: Mapping[str, Sequence[ResourceUse]], evidence: Evidence) -> None:
    memory = max(map(resources.highest_memory, samples.values())) / MEGABYTE
    record(evidence, "memory_peak", memory, artefact=_table(samples))
    record(evidence, "cpu_peak", max(map(resources.highest_cpu, samples.values())), artefact=_table(samples))


def _table(samples: Mapping[str, Sequence[ResourceUse]]) -> str:
    lines = [f"{'pod':<20} {'Unix time':>13} {'working set':>12} {'resident':>9} {'CPU':>8}"]
    for pod, uses in samples.items():
        lines += [
            f"{pod:<20} {use.at:13.2f} {use.working_set / MEGABYTE:9.1f} MB {use.resident / MEGABYTE:6.1f} MB"
            f" {use.cpu:6.2f} s"
            for use in uses
        ]
    return "\n".join(lines)
