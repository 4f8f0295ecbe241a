"""The layout of the repository that Flux deploys from, judged on a copy of its commit."""

from __future__ import annotations

from pathlib import Path

from pytest_bdd import given, parsers, then, when

from acceptance.checks import gitops_layout
from acceptance.drivers import kustomize
from acceptance.drivers.flux import Flux
from acceptance.drivers.git import Checkout
from acceptance.drivers.kinds import KUSTOMIZATION, SCHEDULE, name_of
from acceptance.drivers.kubernetes import Kubernetes
from acceptance.evidence.recorder import Evidence
from acceptance.naming import RUN_LABEL
from acceptance.settings import Environment
from fixtures.layout_faults import FAULTS


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
    evidence.measure("schedules_live", len(live), artefact="\n".join(map(name_of, live)))


@then(parsers.parse("{finding} is no longer as designed"))
def fault_seen(tree: Path, finding: str, evidence: Evidence) -> None:
    found = findings(tree)[finding]
    evidence.refute(finding, len(found), artefact="\n".join(found))


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
