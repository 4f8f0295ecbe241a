"""Undo what scenarios do to the deployed system, by what can be seen of it: also after a killed run."""

from __future__ import annotations

from collections.abc import Iterator

from velero_acceptance.checks import resources
from velero_acceptance.core.errors import AcceptanceError
from velero_acceptance.core.naming import FAULT, is_generated_name
from velero_acceptance.core.settings import Environment
from velero_acceptance.core.timeouts import Timeouts
from velero_acceptance.drivers.cgroups import PodCgroups
from velero_acceptance.drivers.flux import Flux, settled
from velero_acceptance.drivers.git import Checkout
from velero_acceptance.drivers.kinds import (
    GIT_REPOSITORY,
    HELM_RELEASE,
    KUSTOMIZATION,
    NODE,
    POD,
    STORAGE_LOCATION,
    Json,
    labels_of,
    name_of,
)
from velero_acceptance.drivers.kubernetes import Kubernetes
from velero_acceptance.drivers.minio_admin import Quota, Users
from velero_acceptance.drivers.toxiproxy import Toxiproxy
from velero_acceptance.drivers.velero import Velero


def flux_of(kubernetes: Kubernetes, environment: Environment, timeouts: Timeouts) -> Flux:
    """The Flux of the target."""
    return Flux(kubernetes, timeouts, environment.flux_namespace, environment.flux_name)


def revert_faults(kubernetes: Kubernetes, environment: Environment, timeouts: Timeouts) -> Iterator[str]:
    """Undo every fault that can be found; yield a line for each."""
    if environment.toxiproxy:
        yield from _mend_route(environment.toxiproxy, environment.proxy)
    yield from _mend_shortages(kubernetes, environment)
    for node in kubernetes.list_all(NODE):
        if untaint(kubernetes, name_of(node)):
            yield f"the taint of node {name_of(node)}"
    users = Users(environment.s3)
    if administrator := users.permitted():
        yield from _lift(users)
    if Velero(kubernetes, environment.velero_namespace, environment.location, timeouts).start():
        yield "the stop of the Velero server"
    flux = flux_of(kubernetes, environment, timeouts)
    if flux.installed():
        for release in kubernetes.list_all(HELM_RELEASE, labels=FAULT):
            resume(flux, name_of(release), release["metadata"]["namespace"])
            yield f"the suspension of HelmRelease {name_of(release)}"
        if environment.gitops and revert_commit(Checkout(environment.gitops), flux, timeouts):
            yield "changes committed to the deployed repository"
    if administrator:  # only now: until the commits are taken back, Velero may still use them
        yield from _remove_users(users)


def _mend_route(server: str, route: str) -> Iterator[str]:
    """Heal the way to S3, and remove those that scenarios have laid beside it."""
    proxy = Toxiproxy(server, route)
    proxy.heal()
    for name in proxy.routes():
        if is_generated_name(name):
            Toxiproxy(server, name).remove()
            yield f"the way to S3 {name}"


def _remove_users(users: Users) -> Iterator[str]:
    for name in users.names():
        if is_generated_name(name):
            users.remove(name)
            yield f"the S3 user {name}"


def _mend_shortages(kubernetes: Kubernetes, environment: Environment) -> Iterator[str]:
    """Give back the attention, the room and the memory that Velero was denied."""
    for location in kubernetes.list_all(STORAGE_LOCATION, environment.velero_namespace):
        if resume_validation(kubernetes, location):
            yield f"the neglect of the location {name_of(location)}"
    if environment.toxiproxy and (quota := Quota(environment.s3, environment.bucket)).get():  # our own S3
        quota.clear()
        yield f"the quota of the bucket {environment.bucket}"
    for pod in kubernetes.list_all(POD, environment.velero_namespace, labels="name=node-agent"):
        if restore_memory_limit(pod, environment):
            yield f"the scarce memory of {name_of(pod)}"


def _lift(users: Users) -> Iterator[str]:
    for policy in users.policies():
        if is_generated_name(policy):
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


def pause_validation(kubernetes: Kubernetes, location: Json) -> None:
    """Have a location not validated for a day, and remember in it how often it was."""
    frequency = location["spec"].get("validationFrequency")
    change = {"metadata": {"annotations": {FAULT: frequency or ""}}, "spec": {"validationFrequency": "24h"}}
    kubernetes.patch(STORAGE_LOCATION, name_of(location), location["metadata"]["namespace"], change)


def resume_validation(kubernetes: Kubernetes, location: Json) -> bool:
    """Have a location that we neglected validated as often as before; say whether it was one."""
    before = (location["metadata"].get("annotations") or {}).get(FAULT)
    if before is None:
        return False
    change = {"metadata": {"annotations": {FAULT: None}}, "spec": {"validationFrequency": before or None}}
    kubernetes.patch(STORAGE_LOCATION, name_of(location), location["metadata"]["namespace"], change)
    return True


def restore_memory_limit(pod: Json, environment: Environment) -> bool:
    """Let a pod of node-agent have again what its limit says; say whether it had less. Only on this machine."""
    if not environment.cgroups:
        return False
    try:
        groups, size = (
            PodCgroups.of(environment.cgroups, pod["metadata"]["uid"]),
            int(resources.highest([pod], "memory")),
        )
    except (AcceptanceError, resources.LimitMissing):
        return False
    if groups.limit() >= size:
        return False
    groups.set_limit(size)
    return True


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


def revert_commit(checkout: Checkout, flux: Flux, timeouts: Timeouts) -> bool:
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
