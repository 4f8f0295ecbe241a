"""Data compared with the manifest that is kept outside the cluster, as restored and as the uploader alone reads it."""

from dataclasses import replace
from pathlib import Path

from pytest_bdd import parsers, then, when

from fixtures.applications.repository_oracle import Oracle
from fixtures.applications.second_backup import FIRST, SECOND, ChangedApplication
from fixtures.applications.standard import LATE_FILE, Application, RestoredCopy, Standard
from fixtures.applications.workload import Workload, Workloads
from fixtures.environment.phrases import Recorder, holds, phrase, violated
from fixtures.environment.run_scope import Scope
from fixtures.environment.velero_health import VeleroHealth
from velero_acceptance.core.errors import AcceptanceError, Blocked
from velero_acceptance.corpus.layers import Layers
from velero_acceptance.corpus.manifest import Corpus
from velero_acceptance.drivers.s3 import Bucket
from velero_acceptance.drivers.velero import Operation
from velero_acceptance.evidence.recorder import Evidence


@then(parsers.parse('every file of the corpus in "{alias}" is equal, bytes and metadata'))
def corpus_equal(scope: Scope, workloads: Workloads, corpus: Corpus, evidence: Evidence, alias: str) -> None:
    difference = corpus.manifest().compare(workloads.in_namespace(scope.name(alias)).manifest())
    evidence.measure("files_equal", difference.percent_equal, artefact=difference.table())


@then("every file of the corpus in the copy is equal, bytes and metadata")
def copy_equal(copy: RestoredCopy, corpus: Corpus, evidence: Evidence) -> None:
    difference = corpus.manifest().compare(copy.workload.manifest())
    evidence.measure("files_equal", difference.percent_equal, artefact=difference.table())


@then("the source still holds its corpus unchanged")
def source_unchanged(standard: Standard, corpus: Corpus, evidence: Evidence) -> None:
    """Nothing is excused here: no uploader has written to it."""
    plan = replace(corpus.manifest(), losses=())
    difference = plan.compare(standard.application.workload.manifest())
    evidence.measure("source_unchanged", difference.percent_equal, artefact=difference.table())


@then(parsers.parse('the suite reports the data in "{alias}" as different'))
def difference_reported(scope: Scope, workloads: Workloads, corpus: Corpus, evidence: Evidence, alias: str) -> None:
    workload = workloads.in_namespace(scope.name(alias))
    workload.wait_ready()
    difference = corpus.manifest().compare(workload.manifest())
    evidence.expect_violation("files_equal", difference.percent_equal, artefact=difference.table())


@then(parsers.parse('the file that was written after the backup is not in "{alias}"'))
def late_file_absent(scope: Scope, workloads: Workloads, evidence: Evidence, alias: str) -> None:
    found = workloads.in_namespace(scope.name(alias)).manifest().entries
    evidence.measure("files_written_after_backup", sum(LATE_FILE in path for path in found))


@when(
    parsers.parse('the volume, the repository and the restored volume in "{alias}" are compared with the manifest'),
    target_fixture="layers",
)
def compare_layers(
    scope: Scope,
    restore: Operation,
    application: Application,
    workloads: Workloads,
    oracle: Oracle,
    torture: Corpus,
    evidence: Evidence,
    tmp_path: Path,
    alias: str,
) -> Layers:
    """Each is read independently, so that a loss can be attributed to one of them."""
    restore.require()
    copy, plan = workloads.in_namespace(scope.name(alias)), torture.manifest()
    copy.wait_ready()
    layers = Layers.of(
        plan, application.workload.manifest(), oracle.manifest(application, torture, tmp_path), copy.manifest()
    )
    evidence.attach("layers.txt", layers.table())
    evidence.observe("not tested, because the volume refused it", ", ".join(layers.untested) or "nothing")
    for layer, count in layers.counts().items():
        evidence.observe(layer, count, "findings")
    for loss, paths in layers.restored.known.items():
        evidence.observe(f"documented, {loss.erratum}: {loss.name}", paths, "paths")
    if never := [str(finding) for finding in layers.volume.findings if finding.known]:
        raise Blocked(
            "the volume's own file system does not keep what the uploader is to be tested with: " + "; ".join(never)
        )
    return layers


@then("every file of the restored volume is equal, bytes and metadata, except for documented deviations")
def layers_equal(layers: Layers, evidence: Evidence) -> None:
    evidence.measure("files_equal", layers.restored.percent_equal, artefact=layers.restored.table())


@then("the uploader alone finds every file in the repository, and no damage")
def repository_equal(layers: Layers, application: Application, oracle: Oracle, evidence: Evidence) -> None:
    damage = oracle.repository(application.workload.namespace).check()
    percent = 0.0 if damage else layers.repository.percent_equal
    evidence.measure("repository_files_equal", percent, artefact=f"{layers.repository.table()}\n{damage}")


@when("an application is backed up, changed and backed up again", target_fixture="changed")
def changed_between_backups(changed_application: ChangedApplication) -> ChangedApplication:
    """Backed up and changed once a session."""
    assert changed_application.backups
    return changed_application


@when(
    phrase('its {which:Backup} backup is restored into "{alias}"', Backup=(FIRST, SECOND)),
    target_fixture="changed_copy",
)
def restore_one_of_both(scope: Scope, changed: ChangedApplication, which: str, alias: str) -> Workload:
    return changed.restore(scope, which, alias)


@then(holds('every file in "{alias}" is as it was after the change, except for documented deviations'))
@then(violated('the suite reports the data in "{alias}" as that from before the change'))
def as_after_the_change(
    changed: ChangedApplication, changed_copy: Workload, evidence: Evidence, record: Recorder, alias: str
) -> None:
    """The expected content is computed from the seed: it is that of no volume and of no backup."""
    found = changed_copy.manifest()
    difference = changed.corpus.changed.manifest().compare(found)
    for loss, paths in difference.known.items():
        evidence.observe(f"documented, {loss.erratum}: {loss.name}", paths, "paths")
    before = changed.corpus.manifest().compare(found)
    evidence.observe(f"paths of {alias} as before the change", before.percent_equal, "percent")
    record(evidence, "files_equal", difference.percent_equal, artefact=difference.table())


@when("a byte of the backup's data in S3 is flipped")
def flip_byte(application: Application, bucket: Bucket, oracle: Oracle, evidence: Evidence) -> None:
    """In the largest pack, which holds file contents."""
    key = oracle.largest_pack(application, bucket)
    content = bytearray(bucket.get(key))
    content[len(content) // 3] ^= 0xFF
    bucket.put(key, bytes(content))
    evidence.observe("flipped a byte of", key)


@when("the largest pack of the backup's data in S3 is deleted")
def delete_pack(application: Application, bucket: Bucket, oracle: Oracle, evidence: Evidence) -> None:
    key = oracle.largest_pack(application, bucket)
    bucket.delete(key)
    evidence.observe("deleted", key)


@then("the suite detects the damage, by a failed restore or by different data")
def damage_detected(
    restore: Operation, workloads: Workloads, corpus: Corpus, evidence: Evidence, velero_health: VeleroHealth
) -> None:
    """A restore that fails may leave its pod waiting for data: then there is nothing to read."""
    velero_health.allow_errors(
        rf"PodVolumeRestore|data path|pod volume restore|{workloads.target.uploader.fault_words}"
    )
    evidence.observe("phase of the restore", restore.phase)
    (target,) = restore.item["spec"]["namespaceMapping"].values()
    workload = workloads.in_namespace(target)
    try:
        if restore.phase == "Completed":
            workload.wait_ready()  # Velero reports it before the pod has its data, which would look like damage
        found = workload.manifest()
    except AcceptanceError as error:
        percent, shown = 0.0, f"no data can be read: {error}"
    else:
        difference = corpus.manifest().compare(found)
        percent, shown = difference.percent_equal, difference.table()
    passes = restore.phase == "Completed" and percent == 100.0
    evidence.measure("corruptions_not_detected", int(passes), artefact=f"the restore ended {restore.phase}")
    evidence.expect_violation("files_equal", percent, artefact=shown)


@then("the uploader alone reports the damage")
def uploader_reports_damage(application: Application, oracle: Oracle, evidence: Evidence) -> None:
    problem = oracle.repository(application.workload.namespace).check()
    evidence.expect_violation("repository_files_equal", None if problem else 100.0, artefact=problem)
