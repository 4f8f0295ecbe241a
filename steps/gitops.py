"""Flux: from a commit to a working Velero, the reversal of drift, and the layout of the repository."""

from collections.abc import Callable
from pathlib import Path

from pytest_bdd import given, then, when

from fixtures.environment.phrases import Recorder, holds, phrase, violated
from fixtures.environment.velero_health import VeleroHealth
from fixtures.gitops.drift import Drift, FluxObjects
from fixtures.gitops.flux import NewDeployment, ValueChange
from fixtures.gitops.layout_mutations import FAULTS
from velero_acceptance.checks import gitops_layout
from velero_acceptance.core.naming import RUN_LABEL
from velero_acceptance.core.settings import Environment
from velero_acceptance.drivers.flux import Flux
from velero_acceptance.drivers.git import Checkout
from velero_acceptance.drivers.kinds import KUSTOMIZATION, SCHEDULE, name_of
from velero_acceptance.drivers.kubernetes import Kubernetes
from velero_acceptance.drivers.velero import Velero
from velero_acceptance.evidence.recorder import Evidence

# Thresholds by what a feature says of the layout, and by what it calls a violation.
LAYOUT = {
    "every path of the layout exists, and a kustomization names every file": ("paths_missing", "orphan_files"),
    "every folder builds": ("builds_failed",),
    "there is one schedule, and it waits for the release that brings its CRD": ("schedules", "order_faults"),
}
FINDINGS = {
    "a wrong order": "order_faults",
    "a second schedule": "schedules",
    "a missing path": "paths_missing",
    "a file that nothing names": "orphan_files",
    "a folder that does not build": "builds_failed",
}


@when("Velero is committed to Git for a new namespace")
def commit_velero(new_deployment: NewDeployment) -> None:
    new_deployment.commit()


@when("Velero is committed to Git for a new namespace, with the value deployRestic of the design")
def commit_unrenderable(new_deployment: NewDeployment) -> None:
    """Erratum E-03: the chart cannot be rendered with it."""
    new_deployment.commit({"op": "add", "path": "/spec/values/deployRestic", "value": True})


@then("Flux reports the committed release there as Ready, and its pods and location are ready, all in time")
def deployed_in_time(new_deployment: NewDeployment, evidence: Evidence) -> None:
    spans = new_deployment.wait_deployed()
    for what, seconds in spans.items():
        evidence.observe(f"from the commit to {what}", round(seconds, 1), "s")
    evidence.measure("deployment", max(spans.values()), artefact=str(spans))


@then("the suite reports the release there as not deployed, with the cause that Flux names")
def failed_release_reported(new_deployment: NewDeployment, evidence: Evidence) -> None:
    message = new_deployment.wait_failed()
    assert "deployRestic" in message, message
    evidence.expect_violation("deployment", None, artefact=message)


@when("another validation frequency is committed to Git")
def commit_frequency(frequency_change: ValueChange) -> None:
    frequency_change.commit()


@then("the live location has that frequency")
def frequency_live(frequency_change: ValueChange, velero: Velero, flux: Flux, evidence: Evidence) -> None:
    velero.wait_frequency(frequency_change.value, timeout=frequency_change.clock.remaining)
    seconds = frequency_change.clock.elapsed
    evidence.observe("Flux reads Git every", flux.interval())
    evidence.observe("from the commit to the live object", round(seconds, 1), "s")
    evidence.measure("changes_not_applied", 0, artefact=f"applied after {seconds:.1f} s")


@given("every object that Flux applies for Velero was edited, and Velero's Service was deleted")
def edit_by_hand(drift: Drift, velero_health: VeleroHealth, evidence: Evidence) -> None:
    """No pod is replaced, but for some seconds one more runs: of the replicas' edit."""
    velero_health.expect_restart()
    edited, left = drift.edit_all()
    drift.delete_service()
    evidence.observe("edits by hand", len(edited))
    evidence.observe("objects not edited", ", ".join(left) or "none")
    evidence.attach("edits.txt", "\n".join(edited))


@given("Flux is told to ignore what happens to the schedule")
def exempt_schedule(drift: Drift) -> None:
    drift.exempt_schedule()


@then(holds("Flux was told to ignore none of the objects that it applies for Velero"))
@then(violated("the suite reports the schedule as exempt from reconciliation"))
def exemptions_reported(record: Recorder, flux_objects: FluxObjects, evidence: Evidence) -> None:
    found = flux_objects.exemptions()
    record(evidence, "reconciliation_exemptions", len(found), artefact="\n".join(found) or "none")


@given("Velero's Service was deleted")
def delete_service(drift: Drift) -> None:
    drift.delete_service()


@when("Flux reconciles")
def reconcile(flux_objects: FluxObjects, evidence: Evidence) -> None:
    """On request: by itself it does so every 30 minutes (release) and every 10 minutes (schedule)."""
    evidence.accelerate("requested reconciliation")
    for applier, seconds in flux_objects.reconcile().items():
        evidence.observe(f"{applier} reconciled in", round(seconds, 1), "s")


@then(holds("every object is as in Git again"))
@then(violated("the suite reports the Service as missing"))
def drift_reverted(record: Recorder, drift: Drift, evidence: Evidence) -> None:
    left = drift.remaining()
    record(evidence, "drifts_not_reverted", len(left), artefact="\n".join(left) or "nothing differs")


@given("Velero's release is suspended")
def suspend_release(drift: Drift) -> None:
    drift.suspend_release()


@when("Flux is asked to reconcile the release")
def request_reconciliation(drift: Drift) -> None:
    drift.request_reconciliation()


@given("a copy of the commit that Flux has applied", target_fixture="tree")
def applied_commit(
    checkout: Checkout, flux: Flux, environment: Environment, evidence: Evidence, tmp_path: Path
) -> Path:
    commit, tree = checkout.head(), tmp_path / "tree"
    flux.wait_revision(commit, KUSTOMIZATION, environment.flux_name)
    checkout.export(tree)
    evidence.observe("commit", commit)
    return tree


@when(phrase("in that copy {fault:Fault}", Fault=FAULTS))
def seed_fault(tree: Path, fault: Callable[[Path], None]) -> None:
    fault(tree)


@then(phrase("{names:Layout}", Layout=LAYOUT))
def layout_as_designed(tree: Path, names: tuple[str, ...], evidence: Evidence) -> None:
    found = gitops_layout.findings(tree)
    for name in names:
        evidence.measure(name, len(found[name]), artefact="\n".join(found[name]) or "none")


@then("Velero's namespace has one schedule, apart from those of the suite")
def one_live_schedule(kubernetes: Kubernetes, environment: Environment, evidence: Evidence) -> None:
    live = kubernetes.list_all(SCHEDULE, environment.velero_namespace, labels=f"!{RUN_LABEL}")
    evidence.measure("schedules_in_cluster", len(live), artefact="\n".join(map(name_of, live)))


@then(phrase("the suite reports {finding:Finding}", Finding=FINDINGS))
def finding_reported(tree: Path, finding: str, evidence: Evidence) -> None:
    found = gitops_layout.findings(tree)[finding]
    evidence.expect_violation(finding, len(found), artefact="\n".join(found))
