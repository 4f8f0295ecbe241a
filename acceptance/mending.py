"""Undo what scenarios do to the deployed system, by what can be seen of it: also after a killed run."""

from __future__ import annotations

from collections.abc import Iterator

from acceptance.drivers.flux import Flux, settled
from acceptance.drivers.git import Checkout
from acceptance.drivers.kinds import GIT_REPOSITORY, HELM_RELEASE, KUSTOMIZATION, NODE, Json, labels_of, name_of
from acceptance.drivers.kubernetes import Kubernetes
from acceptance.drivers.minio_admin import Users
from acceptance.drivers.toxiproxy import Toxiproxy
from acceptance.drivers.velero import Velero
from acceptance.naming import FAULT, PREFIX
from acceptance.settings import Environment
from acceptance.timeouts import Timeouts


def flux_of(kubernetes: Kubernetes, environment: Environment, timeouts: Timeouts) -> Flux:
    """The Flux of the target."""
    return Flux(kubernetes, timeouts, environment.flux_namespace, environment.flux_name)


def mend(kubernetes: Kubernetes, environment: Environment, timeouts: Timeouts) -> Iterator[str]:
    """Undo every fault that can be found; yield a line for each."""
    if environment.toxiproxy:
        Toxiproxy(environment.toxiproxy, environment.proxy).heal()
    for node in kubernetes.list_all(NODE):
        if untaint(kubernetes, name_of(node)):
            yield f"the taint of node {name_of(node)}"
        yield from _lift(Users(environment.s3))
    if Velero(kubernetes, environment.velero_namespace, environment.location, timeouts).start():
        yield "the stop of the Velero server"
    flux = flux_of(kubernetes, environment, timeouts)
    if not flux.installed():
        return
    for release in kubernetes.list_all(HELM_RELEASE, labels=FAULT):
        resume(flux, name_of(release), release["metadata"]["namespace"])
        yield f"the suspension of HelmRelease {name_of(release)}"
    if environment.gitops and take_back(Checkout(environment.gitops), flux, timeouts):
        yield "changes committed to the deployed repository"
        if environment.toxiproxy:  # our own S3
            users = Users(environment.s3)
            for name in users.names():
                if name.startswith(PREFIX):
                    users.remove(name)
                    yield f"the S3 user {name}"


def _lift(users: Users) -> Iterator[str]:
    for policy in users.policies():
        if policy.startswith(PREFIX):
            users.lift(policy)
            yield f"the S3 policy {policy}"


def taint(kubernetes: Kubernetes, node: str, owner: str) -> None:
    """Keep new pods off a node; pods that are there stay."""
    taints = [*_taints(kubernetes.require(NODE, node)), {"key": FAULT, "value": owner, "effect": "NoSchedule"}]
    kubernetes.patch(NODE, node, None, {"spec": {"taints": taints}})


def untaint(kubernetes: Kubernetes, node: str) -> bool:
    """Take our own taint off a node; say whether there was one."""
    taints = _taints(kubernetes.require(NODE, node))
    others = [taint for taint in taints if taint["key"] != FAULT]
    if len(others) == len(taints):
        return False
    kubernetes.patch(NODE, node, None, {"spec": {"taints": others or None}})
    return True


def _taints(node: Json) -> list[Json]:
    return list(node["spec"].get("taints") or [])


def suspend(flux: Flux, name: str, namespace: str, owner: str) -> None:
    """Suspend a HelmRelease, and mark it as suspended by us."""
    flux.kubernetes.patch(HELM_RELEASE, name, namespace, {"metadata": {"labels": {FAULT: owner}}})
    flux.suspend(HELM_RELEASE, name, namespace, suspended=True)


def resume(flux: Flux, name: str, namespace: str) -> None:
    """Resume a HelmRelease that we suspended, and wait until the cluster is again as Git says."""
    found = flux.kubernetes.require(HELM_RELEASE, name, namespace)
    if FAULT not in labels_of(found):
        return
    flux.suspend(HELM_RELEASE, name, namespace, suspended=False)
    flux.kubernetes.patch(HELM_RELEASE, name, namespace, {"metadata": {"labels": {FAULT: None}}})
    flux.reconcile(HELM_RELEASE, name, namespace)


def take_back(checkout: Checkout, flux: Flux, timeouts: Timeouts) -> bool:
    """Undo our commits in the deployed repository, and wait until the cluster has followed."""
    commit = checkout.take_back()
    if commit is None:
        return False
    flux.request(GIT_REPOSITORY, flux.source, flux.namespace)
    flux.wait_revision(commit, KUSTOMIZATION, flux.source)
    for kustomization in flux.kubernetes.list_all(KUSTOMIZATION, flux.namespace):
        if "deletionTimestamp" not in kustomization["metadata"]:
            flux.wait_revision(commit, KUSTOMIZATION, name_of(kustomization))
    flux.kubernetes.wait_all(
        HELM_RELEASE,
        until=lambda releases: all(settled(release) for release in releases),
        event="every HelmRelease is again as Git says",
        timeout=timeouts["deployed"],
    )
    return True
