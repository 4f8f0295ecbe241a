"""What node-agent uses, and what becomes of a backup when it may not have it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pytest_bdd import given, then, when

from fixtures.applications.workload import Workload
from fixtures.environment.run_scope import Scope
from fixtures.environment.velero_health import VeleroHealth
from fixtures.faults.outages import BackupFaults
from fixtures.observability.agent_resources import AgentLoad, LoadResult, MemoryShortage, Overuse, OverusingPod
from velero_acceptance.checks import resources
from velero_acceptance.core.errors import Inconclusive
from velero_acceptance.drivers.cgroups import ResourceUse
from velero_acceptance.drivers.kinds import name_of
from velero_acceptance.drivers.velero import Operation, Velero
from velero_acceptance.evidence.recorder import Evidence

# What a process that the kernel ends leaves in Velero's log, and a node-agent that starts anew.
KILLED = r"signal: killed|restic|pod volume|PodVolumeBackup|podvolumebackup|server starting|[Ee]rror backing up"
MEGABYTE = 1e6


@given("many small files and fresh data, backed up and restored with node-agent watched", target_fixture="load")
def loaded(agent_load: AgentLoad) -> LoadResult:
    return agent_load.load()


@given("many small files and fresh data, backed up while the kernel kills the uploader", target_fixture="load")
def killed_load(agent_load: AgentLoad, memory_shortage: MemoryShortage, velero_health: VeleroHealth) -> LoadResult:
    workload = agent_load.fill("short of memory")
    scarce(memory_shortage, velero_health)
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
    evidence.measure("memory_peak", _megabytes(load.samples), artefact=_table(load.samples))
    evidence.measure("cpu_peak", _cpus(load.samples), artefact=_table(load.samples))


@then("Prometheus saw the same use")
def same_use(load: LoadResult, evidence: Evidence) -> None:
    faults, compared = [], 0
    for pod, samples in load.samples.items():
        faults += resources.memory_disagreeing(samples, load.memory[pod])
        faults += resources.cpu_disagreeing(samples, load.cpu[pod])
        compared += len(resources.within(load.memory[pod], samples))
    highest = max(value for series in load.memory.values() for _, value in series.points)
    evidence.observe("highest memory that Prometheus saw", round(highest / MEGABYTE), "MB")
    evidence.observe("readings of memory compared", compared)
    evidence.measure("samples_not_matching", len(faults), artefact="\n".join(faults) or "all agree")


@then("every node-agent is of the quality of service that the design wants")
def burstable(velero: Velero, evidence: Evidence) -> None:
    others = resources.not_burstable(velero.agent_pods())
    evidence.measure("pods_not_burstable", len(others), artefact="\n".join(others) or "all are Burstable")


@given("node-agent has less memory than restic needs")
def scarce(memory_shortage: MemoryShortage, velero_health: VeleroHealth) -> None:
    velero_health.expect_restart()
    velero_health.allow_errors(KILLED)


@given("many small files and fresh data, of which there is no backup yet", target_fixture="workload")
def filled(agent_load: AgentLoad, evidence: Evidence) -> Iterator[Workload]:
    workload = agent_load.fill("more files")
    yield workload
    evidence.observe("locks that the killed uploader left", agent_load.unlock(workload))


@when("they are backed up", target_fixture="backup")
def backed_up(agent_load: AgentLoad, workload: Workload) -> Operation:
    return agent_load.back_up(workload, "with scarce memory")


@then("the kernel killed the uploader, and the backup is not Completed")
def killed(memory_shortage: MemoryShortage, backup: Operation, backup_faults: BackupFaults, evidence: Evidence) -> None:
    if not (kills := memory_shortage.kills()):
        raise Inconclusive("the kernel killed nothing: the memory was not scarce enough")
    evidence.observe("processes killed", kills)
    words = backup_faults.words(backup)
    told = resources.kill_reported(backup.phase, words)
    evidence.measure("oom_kills_not_reported", int(not told), artefact="\n".join([backup.phase, *words]))


@then("the next backup of them is Completed once node-agent has its memory back")
def next_works(
    agent_load: AgentLoad, workload: Workload, memory_shortage: MemoryShortage, velero: Velero, evidence: Evidence
) -> None:
    memory_shortage.end()
    velero.wait_healthy()
    following = agent_load.back_up(workload, "with its memory back")
    volumes = [volume["status"].get("phase") for volume in velero.volume_backups(following.name)]
    whole = following.phase == "Completed" and volumes == ["Completed"]
    evidence.measure("backups_failed_after_kill", int(not whole), artefact=f"{following.phase}, volumes {volumes}")


@then("the suite does not call it a failure that was told")
def not_told(load: LoadResult, backup_faults: BackupFaults, evidence: Evidence) -> None:
    words = backup_faults.words(load.backup)
    told = resources.kill_reported(load.backup.phase, words)
    evidence.expect_violation("oom_kills_not_reported", int(not told), artefact="\n".join([load.backup.phase, *words]))


@given("a pod that uses more than the design allows, watched likewise", target_fixture="strained")
def strained(scope: Scope, overuse: Overuse) -> OverusingPod:
    return overuse.watch(scope.namespace("strain"))


@given("one of them, as it was watched", target_fixture="strained")
def watched_agent(load: LoadResult, velero: Velero) -> OverusingPod:
    pod = velero.agent_pods()[0]
    return OverusingPod(pod, load.samples[name_of(pod)])


@then("the suite calls its memory and its CPU too much")
def too_much(strained: OverusingPod, evidence: Evidence) -> None:
    samples = {"strain": strained.samples}
    evidence.expect_violation("memory_peak", _megabytes(samples), artefact=_table(samples))
    evidence.expect_violation("cpu_peak", _cpus(samples), artefact=_table(samples))


@then("it does not take what Prometheus saw of one node-agent for another's")
def another(load: LoadResult, evidence: Evidence) -> None:
    ranked = sorted(load.samples, key=lambda pod: resources.highest_memory(load.samples[pod]))
    idlest, busiest = ranked[0], ranked[-1]
    faults = resources.cpu_disagreeing(load.samples[busiest], load.cpu[idlest])
    evidence.expect_violation(
        "samples_not_matching", len(faults), artefact="\n".join([f"{busiest} and {idlest}", *faults])
    )


@then("it does not take that pod for one of the quality of service that the design wants")
def not_burstable(strained: OverusingPod, evidence: Evidence) -> None:
    others = resources.not_burstable([strained.pod])
    evidence.expect_violation("pods_not_burstable", len(others), artefact="\n".join(others))


def _megabytes(samples: Mapping[str, Sequence[ResourceUse]]) -> float:
    return max(map(resources.highest_memory, samples.values())) / MEGABYTE


def _cpus(samples: Mapping[str, Sequence[ResourceUse]]) -> float:
    return max(map(resources.highest_cpu, samples.values()))


def _table(samples: Mapping[str, Sequence[ResourceUse]]) -> str:
    lines = [f"{'pod':<20} {'Unix time':>13} {'working set':>12} {'resident':>9} {'CPU':>8}"]
    for pod, uses in samples.items():
        lines += [
            f"{pod:<20} {use.at:13.2f} {use.working_set / MEGABYTE:9.1f} MB {use.resident / MEGABYTE:6.1f} MB"
            f" {use.cpu:6.2f} s"
            for use in uses
        ]
    return "\n".join(lines)
