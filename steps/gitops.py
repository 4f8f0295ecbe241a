"""Flux: from a commit to a working Velero, and back to what Git says."""

from __future__ import annotations

from pathlib import Path

from pytest_bdd import given, parsers, then, when

from fixtures.gitops.drift import Drift
from fixtures.gitops.flux import RELEASE, NewDeployment, ValueChange
from fixtures.gitops.layout_mutations import FAULTS
from velero_acceptance.checks import gitops_layout
from velero_acceptance.core.naming import RUN_LABEL
from velero_acceptance.core.settings import Environment
from velero_acceptance.drivers import kustomize
from velero_acceptance.drivers.flux import Flux
from velero_acceptance.drivers.git import Checkout
from velero_acceptance.drivers.kinds import HELM_RELEASE, KUSTOMIZATION, SCHEDULE, name_of
from velero_acceptance.drivers.kubernetes import Kubernetes
from velero_acceptance.drivers.velero import Velero
from velero_acceptance.evidence.recorder import Evidence


@when("Velero is committed to Git for a new namespace")
def commit_anew(new_deployment: NewDeployment) -> None:
    new_deployment.commit()


@when("Velero is committed to Git for a new namespace, with the value deployRestic of the design")
def commit_broken(new_deployment: NewDeployment) -> None:
    """Erratum E-03: the chart refuses to render with it."""
    new_deployment.commit({"op": "add", "path": "/spec/values/deployRestic", "value": True})


@then("the release is Ready there for what was committed, and pods and location with it, in time")
def deployed_in_time(new_deployment: NewDeployment, evidence: Evidence) -> None:
    spans = new_deployment.wait_deployed()
    for what, seconds in spans.items():
        evidence.observe(f"from the commit to {what}", round(seconds, 1), "s")
    evidence.measure("deployment", max(spans.values()), artefact=str(spans))


@then("the release there fails, and Flux says why")
def release_fails(new_deployment: NewDeployment, evidence: Evidence) -> None:
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
    evidence.observe("Flux looks into Git every", flux.interval())
    evidence.observe("from the commit to the live object", round(seconds, 1), "s")
    evidence.measure("changes_not_applied", 0, artefact=f"applied after {seconds:.1f} s")


@given("somebody edits the location and the schedule, and deletes Velero's service")
def edited_by_hand(drift: Drift) -> None:
    drift.edit_location()
    drift.edit_schedule()
    drift.delete_service()


@given("somebody deletes Velero's service")
def service_deleted(drift: Drift) -> None:
    drift.delete_service()


@when("Flux looks at its objects again")
def flux_looks(flux: Flux, environment: Environment, evidence: Evidence) -> None:
    """Asked for: by itself it looks every 30 minutes (release) and every 10 minutes (schedule)."""
    evidence.accelerate("requested reconciliation")
    seconds = flux.reconcile(HELM_RELEASE, RELEASE, environment.velero_namespace)
    evidence.observe("HelmRelease reconciled in", round(seconds, 1), "s")
    seconds = flux.reconcile(KUSTOMIZATION, "velero-schedule", flux.namespace)
    evidence.observe("Kustomization reconciled in", round(seconds, 1), "s")


@then("all of them are again as Git says")
def as_git_says(drift: Drift, evidence: Evidence) -> None:
    left = drift.left()
    evidence.measure("drifts_not_reverted", len(left), artefact="\n".join(left) or "nothing differs")


@given("Velero's release is suspended")
def release_suspended(suspended_release: None) -> None:
    """It is resumed when the scenario ends."""


@when("Flux is asked to look at the release again")
def flux_asked(drift: Drift) -> None:
    drift.ask_in_vain()


@then("the service is still missing")
def still_missing(drift: Drift, evidence: Evidence) -> None:
    left = drift.left()
    evidence.expect_violation("drifts_not_reverted", len(left), artefact="\n".join(left))


# The layout of the repository that Flux deploys from, judged on a copy of its commit.


@given("a copy of the commit that Flux has applied", target_fixture="tree")
def applied_commit(
    checkout: Checkout, flux: Flux, environment: Environment, evidence: Evidence, tmp_path: Path
) -> Path:
    commit, tree = checkout.head(), tmp_path / "tree"
    flux.wait_revision(commit, KUSTOMIZATION, environment.flux_name)
    checkout.export(tree)
    evidence.observe("commit", commit)
    return tree


@when(parsers.parse('in that copy "{fault}"'))
def seeded(tree: Path, fault: str) -> None:
    FAULTS[fault](tree)


@then("every path of the layout is there, and every file is named")
def paths_and_files(tree: Path, evidence: Evidence) -> None:
    _measure(tree, evidence, "paths_missing", "orphan_files")


@then("every folder builds")
def folders_build(tree: Path, evidence: Evidence) -> None:
    _measure(tree, evidence, "builds_failed")


@then("there is one schedule, and it waits for the release that brings its definition")
def one_schedule_in_order(tree: Path, evidence: Evidence) -> None:
    _measure(tree, evidence, "schedules", "order_faults")


@then("Velero's namespace has one schedule beside the suite's own")
def one_live_schedule(kubernetes: Kubernetes, environment: Environment, evidence: Evidence) -> None:
    live = kubernetes.list_all(SCHEDULE, environment.velero_namespace, labels=f"!{RUN_LABEL}")
    evidence.measure("schedules_in_cluster", len(live), artefact="\n".join(map(name_of, live)))


@then(parsers.parse("{finding} is no longer as designed"))
def fault_seen(tree: Path, finding: str, evidence: Evidence) -> None:
    found = findings(tree)[finding]
    evidence.expect_violation(finding, len(found), artefact="\n".join(found))


def _measure(tree: Path, evidence: Evidence, *names: str) -> None:
    found = findings(tree)
    for name in names:
        evidence.measure(name, len(found[name]), artefact="\n".join(found[name]) or "none")


def findings(tree: Path) -> dict[str, list[str]]:
    """What there is to say of a tree, by threshold."""
    files = kustomize.texts(tree)
    built = {folder: kustomize.build(tree / folder) for folder in gitops_layout.folders(files)}
    rendered = {folder: result.items for folder, result in built.items()}
    return {
        "paths_missing": gitops_layout.paths_missing(files),
        "orphan_files": gitops_layout.orphan_files(files),
        "builds_failed": [f"{folder}: {result.error}" for folder, result in built.items() if result.error],
        "schedules": gitops_layout.schedules(rendered),
        "order_faults": gitops_layout.order_faults(files, rendered),
    }
