"""Namespaces and applications: empty, with the corpus, or writing while they are backed up."""

from pytest_bdd import given, parsers, then, when

from fixtures.applications.live_writes import QUIESCED, UNQUIESCED, LiveApplication, lost
from fixtures.applications.standard import LATE_FILE, Application, Applications, Pair, RestoredCopy, Standard
from fixtures.applications.workload import CLAIM_NAME, Workload, Workloads
from fixtures.environment.phrases import phrase
from fixtures.environment.run_scope import Scope
from velero_acceptance.core.errors import Inconclusive
from velero_acceptance.corpus.manifest import Corpus
from velero_acceptance.drivers.kinds import CLAIM, NAMESPACE
from velero_acceptance.evidence.recorder import Evidence

HOOKS = {"hooksAttempted": 2}
FILES = {"quiesced": QUIESCED, "unquiesced": UNQUIESCED}


@given(parsers.parse('an empty namespace "{alias}"'))
def empty_namespace(scope: Scope, alias: str) -> None:
    scope.namespace(alias)


@given(parsers.parse('a namespace "{alias}" whose volume holds the standard corpus'), target_fixture="workload")
def namespace_with_corpus(scope: Scope, applications: Applications, alias: str) -> Workload:
    return applications.deploy(scope, alias)


@given(parsers.parse('a namespace "{alias}" whose volume holds the torture corpus'), target_fixture="workload")
def namespace_with_torture_corpus(scope: Scope, applications: Applications, torture: Corpus, alias: str) -> Workload:
    return applications.deploy(scope, alias, torture)


@given(
    parsers.parse('namespaces "{first}" and "{second}" whose volumes hold the standard corpus'), target_fixture="pair"
)
def two_namespaces(scope: Scope, applications: Applications, first: str, second: str) -> Pair:
    return applications.deploy(scope, first), applications.deploy(scope, second)


@given(parsers.parse('a namespace "{alias}" with an empty volume'))
def namespace_with_volume(scope: Scope, workloads: Workloads, alias: str) -> None:
    """Even an empty volume keeps a backup in progress for some seconds."""
    workloads.in_namespace(scope.namespace(alias)).deploy()


@given("the standard application", target_fixture="workload")
def standard_application(standard: Standard) -> Workload:
    return standard.workload


@given("a backup of the standard application", target_fixture="application")
@when("the standard application is backed up", target_fixture="application")
def standard_backup(standard: Standard) -> Application:
    """Backed up once a session."""
    return standard.application


@given("the standard application, backed up and restored into another namespace", target_fixture="copy")
@when("the standard application is backed up and restored into another namespace", target_fixture="copy")
def standard_copy(standard: Standard) -> RestoredCopy:
    """Backed up and restored once a session."""
    return standard.copy


@given(parsers.parse('a namespace "{alias}" that already has the PVC, with other data'))
def namespace_with_other_data(scope: Scope, workloads: Workloads, alias: str) -> None:
    """Only the PVC stays: Velero would not restore data into a pod that already exists."""
    workload = workloads.in_namespace(scope.namespace(alias)).deploy()
    workload.write_file("other-data")
    workload.remove_pods()


@when(parsers.parse('a file is written to "{alias}" after its backup'))
def write_late_file(scope: Scope, workloads: Workloads, alias: str) -> None:
    workloads.in_namespace(scope.name(alias)).write_file(LATE_FILE)


@when(parsers.parse('"{alias}" is deleted'))
def delete_namespace(scope: Scope, workloads: Workloads, alias: str) -> None:
    """Delete the namespace and wait until it is gone, so that a later restore cannot show the old data.

    Pods and PVC go first: Kubernetes takes twice as long for a namespace that still holds them.
    """
    target, name = workloads.target, scope.name(alias)
    workloads.in_namespace(name).remove_pods()
    target.kubernetes.delete(CLAIM, CLAIM_NAME, name)
    target.kubernetes.delete(NAMESPACE, name)
    target.wait(NAMESPACE, name, lambda found: found is None, f"the namespace {alias} is gone", "namespace_gone")


@when(
    "a writing application is backed up, some of its files quiesced by hooks, and restored into another namespace",
    target_fixture="live_copy",
)
def live_copy(live_application: LiveApplication) -> Workload:
    """Backed up and restored once a session."""
    return live_application.copy


@then("Velero ran the hooks")
def hooks_ran(live_application: LiveApplication, evidence: Evidence) -> None:
    status = live_application.backed_up.backup.status.get("hookStatus", {})
    evidence.observe("hooks run", int(status.get("hooksAttempted", 0)))
    if status != HOOKS:
        raise Inconclusive(f"Velero did not run the two hooks: {status}")


@then("the quiesced file, the quiesced database and the append-only log are consistent in the copy")
def consistent(live_application: LiveApplication, live_copy: Workload, evidence: Evidence) -> None:
    ledger = live_application.ledger(live_copy, QUIESCED)
    database = live_application.database(live_copy, QUIESCED)
    journal = live_application.journal(live_copy)
    problems = {
        "quiesced file": ledger.problems(live_application.backed_up.ledger_blocks),
        "quiesced database": database.problems(),
        "append-only log": journal.problems(),
    }
    shown = "\n".join(f"{name}: {', '.join(found) or 'consistent'}" for name, found in problems.items())
    artefact = f"{shown}\n{ledger}\n{database}\n{journal}"
    evidence.measure("files_inconsistent", sum(map(bool, problems.values())), artefact=artefact)


@then("every write from before the backup is in the copy")
def nothing_lost(live_application: LiveApplication, live_copy: Workload, evidence: Evidence) -> None:
    """Counted by the writer's own records; later ones would be lost with the volume."""
    backed_up, journal = live_application.backed_up, live_application.journal(live_copy)
    loss = lost(backed_up.after, journal)
    evidence.observe("recovery point: writes lost if the volume is lost when the backup ends", loss.records, "records")
    evidence.observe("recovery point: seconds lost then", loss.seconds, "s")
    evidence.observe("torn end of the journal", journal.torn, "bytes")
    shown = f"before the backup: {backed_up.before}\nafter it: {backed_up.after}\nin the copy: {journal}"
    evidence.measure("writes_lost", lost(backed_up.before, journal).records, artefact=shown)


@then(phrase("the suite reports the {name:File} file as inconsistent", File=FILES))
def inconsistency_reported(
    live_application: LiveApplication, live_copy: Workload, evidence: Evidence, name: str
) -> None:
    """The database is only observed: SQLite may recover a consistent one from two files read one after the other."""
    found = live_application.database(live_copy, name).problems()
    evidence.observe("database of the same kind", "; ".join(found) or "consistent")
    ledger = live_application.ledger(live_copy, name)
    problems = ledger.problems(live_application.backed_up.ledger_blocks)
    evidence.expect_violation("files_inconsistent", int(bool(problems)), artefact=f"{', '.join(problems)}\n{ledger}")


@then("the suite reports the writes from after the backup as lost")
def loss_reported(live_application: LiveApplication, live_copy: Workload, evidence: Evidence) -> None:
    written, journal = live_application.backed_up.after, live_application.journal(live_copy)
    evidence.expect_violation(
        "writes_lost", lost(written, journal).records, artefact=f"written: {written}\nin the copy: {journal}"
    )
