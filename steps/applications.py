"""Namespaces, applications with the corpus, and what happens to them before Velero acts."""

from __future__ import annotations

from pytest_bdd import given, parsers, when

from acceptance.corpus import Corpus
from acceptance.drivers.kinds import CLAIM, NAMESPACE
from acceptance.drivers.kubernetes import Kubernetes
from acceptance.timeouts import Timeouts
from fixtures.scope import Scope
from fixtures.standard import Application, Applications, Pair, RestoredCopy, Standard
from fixtures.workload import CLAIM_NAME, Workload, Workloads

LATE_FILE = "written-after-the-backup"


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


@given("the standard application, backed up", target_fixture="application")
def standard_application(standard: Standard) -> Application:
    return standard.application


@given("the standard application, backed up and restored as a copy", target_fixture="copy")
def standard_copy(standard: Standard) -> RestoredCopy:
    return standard.copy


@given(parsers.parse('a namespace "{alias}" whose claim of the same name holds other data'))
def namespace_with_other_data(scope: Scope, workloads: Workloads, alias: str) -> None:
    """Only the claim stays: a pod that is there already would never get the volume's data."""
    workload = workloads.in_namespace(scope.namespace(alias)).deploy()
    workload.write_file("other-data")
    workload.remove_pods()


@given(parsers.parse('a file is written to "{alias}" after the backup'))
def late_file(scope: Scope, workloads: Workloads, alias: str) -> None:
    workloads.in_namespace(scope.name(alias)).write_file(LATE_FILE)


@given(parsers.parse('"{alias}" is deleted'))
@when(parsers.parse('"{alias}" is deleted'))
def namespace_deleted(
    scope: Scope, kubernetes: Kubernetes, workloads: Workloads, timeouts: Timeouts, alias: str
) -> None:
    """Delete the namespace and wait until it is gone: what is restored later cannot be the old data.

    Pods and claim go first: a namespace that still holds them takes Kubernetes twice as long.
    """
    workloads.in_namespace(scope.name(alias)).remove_pods()
    kubernetes.delete(CLAIM, CLAIM_NAME, scope.name(alias))
    kubernetes.delete(NAMESPACE, scope.name(alias))
    kubernetes.wait(
        NAMESPACE,
        scope.name(alias),
        until=lambda found: found is None,
        event=f"the namespace {alias} is gone",
        timeout=timeouts["namespace_gone"],
    )
