"""Flux: from a commit to a working Velero, and back to what Git says."""

from __future__ import annotations

from pytest_bdd import given, then, when

from acceptance.drivers.flux import Flux
from acceptance.drivers.kinds import HELM_RELEASE, KUSTOMIZATION
from acceptance.drivers.velero import Velero
from acceptance.evidence.recorder import Evidence
from acceptance.settings import Environment
from fixtures.drift import Drift
from fixtures.gitops import RELEASE, NewDeployment, ValueChange


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
    evidence.refute("deployment", None, artefact=message)


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
    evidence.measure("drifts_left", len(left), artefact="\n".join(left) or "nothing differs")


@given("Velero's release is suspended")
def release_suspended(suspended: None) -> None:
    """It is resumed when the scenario ends."""


@when("Flux is asked to look at the release again")
def flux_asked(drift: Drift) -> None:
    drift.ask_in_vain()


@then("the service is still missing")
def still_missing(drift: Drift, evidence: Evidence) -> None:
    left = drift.left()
    evidence.refute("drifts_left", len(left), artefact="\n".join(left))
