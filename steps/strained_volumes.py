"""Volumes that strain an uploader: large in number and size, or changing while they are read."""

from pytest_bdd import given, parsers, then, when

from fixtures.applications.large_volume import LargeVolume
from fixtures.applications.standard import Application, Restores
from fixtures.applications.workload import MOUNT, Workload, Workloads
from fixtures.environment.run_scope import Scope
from fixtures.environment.velero_health import VeleroHealth
from velero_acceptance.corpus.layers import OPTIONAL
from velero_acceptance.corpus.manifest import Corpus, Manifest
from velero_acceptance.drivers.velero import Operation
from velero_acceptance.evidence.recorder import Evidence

STIRRED = "stirred"


@given(
    parsers.parse('a namespace "{alias}" whose volume holds very many entries in one folder and a very large file'),
    target_fixture="large_source",
)
def large_source(scope: Scope, large_volume: LargeVolume, alias: str) -> Workload:
    return large_volume.deploy(scope, alias)


@when(parsers.parse('that large volume is backed up and restored into "{alias}"'), target_fixture="large_copy")
def large_copy(scope: Scope, large_volume: LargeVolume, large_source: Workload, alias: str) -> Workload:
    return large_volume.copy(scope, large_source, alias)


@then(parsers.parse('every file of the large volume in "{alias}" is equal, except for documented deviations'))
def large_equal(large_volume: LargeVolume, large_copy: Workload, evidence: Evidence, alias: str) -> None:
    """What not every volume can hold is compared in the torture corpus."""
    plan, found = large_volume.corpus.manifest(), large_copy.manifest()
    optional = [path for path in plan.entries if path.startswith(OPTIONAL)]
    difference = plan.without(optional).compare(found.without(optional))
    evidence.observe(f"paths in {alias}", difference.total)
    evidence.measure("files_equal", difference.percent_equal, artefact=difference.table())


@given(parsers.parse('files in the volume of "{alias}" that come, change and go'))
def stir(scope: Scope, workloads: Workloads, velero_health: VeleroHealth, alias: str) -> None:
    velero_health.allow_errors(rf"[Pp]od ?[Vv]olume|data path|{workloads.target.uploader.fault_words}")
    workloads.in_namespace(scope.name(alias)).run("start", "stir", "-every=2ms", f"{MOUNT}/{STIRRED}")


@then(parsers.parse('the backup says that it failed, or every other file is equal when it is restored into "{alias}"'))
def others_equal(
    scope: Scope,
    backup: Operation,
    restores: Restores,
    workloads: Workloads,
    corpus: Corpus,
    workload: Workload,
    evidence: Evidence,
    alias: str,
) -> None:
    evidence.observe("phase of the backup", backup.phase)
    evidence.observe("why", backup.reason() or "it says nothing")
    if backup.phase != "Completed":
        evidence.measure("corruptions_not_detected", 0, artefact=backup.reason())
        return
    restores.mapped(scope, Application(workload, backup, []), alias).require()
    copy = workloads.in_namespace(scope.name(alias))
    copy.wait_ready()
    difference = _steady(corpus.manifest()).compare(_steady(copy.manifest()))
    evidence.measure("corruptions_not_detected", int(not difference.equal), artefact=difference.table())


def _steady(manifest: Manifest) -> Manifest:
    return manifest.without(path for path in manifest.entries if path.split("/")[0] == STIRRED)
