"""Undo the faults that scenarios inject into the deployed system, found by their marks: also those of a killed run."""

from collections.abc import Callable, Iterator

from velero_acceptance.checks import resources
from velero_acceptance.core.errors import AcceptanceError
from velero_acceptance.core.naming import FAULT, is_generated_name
from velero_acceptance.core.settings import Environment
from velero_acceptance.core.timeouts import Timeouts
from velero_acceptance.drivers import kinds
from velero_acceptance.drivers.cgroups import PodCgroups
from velero_acceptance.drivers.flux import Flux, settled
from velero_acceptance.drivers.git import MUTANT_BASE, Checkout
from velero_acceptance.drivers.kinds import Json, labels_of, name_of
from velero_acceptance.drivers.kubernetes import Kubernetes
from velero_acceptance.drivers.minio_admin import Quota, Users
from velero_acceptance.drivers.toxiproxy import Toxiproxy
from velero_acceptance.drivers.velero import Velero
from velero_acceptance.drivers.velero_server import AGENT
from velero_acceptance.target.hand_edits import undo_all

RECLAIM = "persistentVolumeReclaimPolicy"


def flux_of(kubernetes: Kubernetes, environment: Environment, timeouts: Timeouts) -> Flux:
    return Flux(kubernetes, timeouts, environment.flux_namespace, environment.flux_name)


def revert_faults(kubernetes: Kubernetes, environment: Environment, timeouts: Timeouts) -> Iterator[str]:
    """Undo every fault that can be found; yield a line for each."""
    if environment.toxiproxy:
        proxy = Toxiproxy(environment.toxiproxy, environment.proxy)
        proxy.heal()
        yield from _remove_generated(
            "route to S3", proxy.routes(), lambda name: Toxiproxy(str(environment.toxiproxy), name).remove()
        )
    yield from _restore_limits(kubernetes, environment)
    for node in kubernetes.list_all(kinds.NODE):
        if untaint(kubernetes, name_of(node)):
            yield f"the taint of node {name_of(node)}"
    for volume in kubernetes.list_all(kinds.VOLUME, labels=FAULT):
        if release_volume(kubernetes, name_of(volume)):
            yield f"the reclaim policy of volume {name_of(volume)}"
    users = Users(environment.s3)
    if administrator := users.permitted():
        yield from _remove_generated("S3 policy", users.policies(), users.lift)
    if Velero(kubernetes, environment.velero_namespace, environment.location, timeouts).start():
        yield "the stop of the Velero server"
    flux = flux_of(kubernetes, environment, timeouts)
    if flux.installed():
        yield from undo_all(kubernetes)
        for release in kubernetes.list_all(kinds.HELM_RELEASE, labels=FAULT):
            resume(flux, name_of(release), release["metadata"]["namespace"])
            yield f"the suspension of HelmRelease {name_of(release)}"
        if environment.gitops and revert_commit(Checkout(environment.gitops), flux, timeouts):
            yield "changes committed to the deployed repository"
        if environment.gitops and (mutated := Checkout(environment.gitops, MUTANT_BASE)).changed():
            wait_deployed(mutated.forget(), flux, timeouts)
            yield "the mutant committed to the deployed repository"
    if administrator:  # only now: until the commits are taken back, Velero may still use them
        yield from _remove_generated("S3 user", users.names(), users.remove)


def _remove_generated(what: str, names: list[str], remove: Callable[[str], None]) -> Iterator[str]:
    for name in filter(is_generated_name, names):
        remove(name)
        yield f"the {what} {name}"


def _restore_limits(kubernetes: Kubernetes, environment: Environment) -> Iterator[str]:
    """Restore the validation of locations, the bucket's room and node-agent's memory."""
    for location in kubernetes.list_all(kinds.STORAGE_LOCATION, environment.velero_namespace):
        if resume_validation(kubernetes, location):
            yield f"the paused validation of the location {name_of(location)}"
    if environment.toxiproxy and (quota := Quota(environment.s3, environment.bucket)).get():  # the lab's S3
        quota.clear()
        yield f"the quota of the bucket {environment.bucket}"
    for pod in kubernetes.list_all(kinds.POD, environment.velero_namespace, labels=f"name={AGENT}"):
        if restore_memory_limit(pod, environment):
            yield f"the lowered memory limit of {name_of(pod)}"


def taint(kubernetes: Kubernetes, node: str, owner: str) -> None:
    """Keep new pods off a node; existing pods stay."""
    taints = [*_taints(kubernetes.require(kinds.NODE, node)), {"key": FAULT, "value": owner, "effect": "NoSchedule"}]
    kubernetes.patch(kinds.NODE, node, None, {"spec": {"taints": taints}})


def untaint(kubernetes: Kubernetes, node: str) -> bool:
    """Remove the suite's taint from a node; return whether there was one."""
    taints = _taints(kubernetes.require(kinds.NODE, node))
    others = [taint for taint in taints if taint["key"] != FAULT]
    if len(others) == len(taints):
        return False
    kubernetes.patch(kinds.NODE, node, None, {"spec": {"taints": others or None}})
    return True


def _taints(node: Json) -> list[Json]:
    return list(node["spec"].get("taints") or [])


def retain_volume(kubernetes: Kubernetes, volume: str, owner: str) -> None:
    """Have a volume that would be deleted with its claim stay, and mark it; any other one stays anyway."""
    if kubernetes.require(kinds.VOLUME, volume)["spec"].get(RECLAIM) == "Delete":
        change = {"metadata": {"labels": {FAULT: owner}}, "spec": {RECLAIM: "Retain"}}
        kubernetes.patch(kinds.VOLUME, volume, None, change)


def release_volume(kubernetes: Kubernetes, volume: str) -> bool:
    """Have a volume that the suite retained deleted with its claim; return whether it was one."""
    if FAULT not in labels_of(kubernetes.require(kinds.VOLUME, volume)):
        return False
    change = {"metadata": {"labels": {FAULT: None}}, "spec": {RECLAIM: "Delete"}}
    kubernetes.patch(kinds.VOLUME, volume, None, change)
    return True


def pause_validation(kubernetes: Kubernetes, location: Json) -> None:
    """Set a location's validation frequency to a day, and note the present one in an annotation."""
    _set_frequency(kubernetes, location, "24h", location["spec"].get("validationFrequency") or "")


def resume_validation(kubernetes: Kubernetes, location: Json) -> bool:
    """Restore the validation frequency of a location; return whether it was paused."""
    before = (location["metadata"].get("annotations") or {}).get(FAULT)
    if before is None:
        return False
    _set_frequency(kubernetes, location, before or None, None)
    return True


def _set_frequency(kubernetes: Kubernetes, location: Json, frequency: str | None, note: str | None) -> None:
    change = {"metadata": {"annotations": {FAULT: note}}, "spec": {"validationFrequency": frequency}}
    kubernetes.patch(kinds.STORAGE_LOCATION, name_of(location), location["metadata"]["namespace"], change)


def restore_memory_limit(pod: Json, environment: Environment) -> bool:
    """Give a pod of node-agent on this machine the memory of its limit; return whether it had less."""
    if not environment.cgroups:
        return False
    try:
        groups = PodCgroups.of(environment.cgroups, pod["metadata"]["uid"])
        size = int(resources.highest([pod], "memory"))
    except (AcceptanceError, resources.LimitMissing):
        return False
    if groups.limit() >= size:
        return False
    groups.set_limit(size)
    return True


def suspend(flux: Flux, name: str, namespace: str, owner: str) -> None:
    """Suspend a HelmRelease, and mark it as suspended by *owner*."""
    flux.kubernetes.patch(kinds.HELM_RELEASE, name, namespace, {"metadata": {"labels": {FAULT: owner}}})
    flux.suspend(kinds.HELM_RELEASE, name, namespace, suspended=True)


def resume(flux: Flux, name: str, namespace: str) -> None:
    """Resume a HelmRelease that the suite suspended, and wait until it is reconciled."""
    found = flux.kubernetes.require(kinds.HELM_RELEASE, name, namespace)
    if FAULT not in labels_of(found):
        return
    flux.suspend(kinds.HELM_RELEASE, name, namespace, suspended=False)
    flux.kubernetes.patch(kinds.HELM_RELEASE, name, namespace, {"metadata": {"labels": {FAULT: None}}})
    flux.reconcile(kinds.HELM_RELEASE, name, namespace)


def revert_commit(checkout: Checkout, flux: Flux, timeouts: Timeouts) -> bool:
    """Undo the suite's commits in the deployed repository, and wait until Flux has deployed that."""
    commit = checkout.take_back()
    if commit is None:
        return False
    wait_deployed(commit, flux, timeouts)
    return True


def wait_deployed(commit: str, flux: Flux, timeouts: Timeouts) -> None:
    """Let Flux fetch *commit*, and wait until every Kustomization and HelmRelease is as it says."""
    flux.request(kinds.GIT_REPOSITORY, flux.source, flux.namespace)
    flux.wait_revision(commit, kinds.KUSTOMIZATION, flux.source)
    for kustomization in flux.kubernetes.list_all(kinds.KUSTOMIZATION, flux.namespace):
        if "deletionTimestamp" not in kustomization["metadata"]:
            flux.wait_revision(commit, kinds.KUSTOMIZATION, name_of(kustomization))
    flux.wait_deleted()
    flux.kubernetes.wait_all(
        kinds.HELM_RELEASE,
        until=lambda releases: all(settled(release) for release in releases),
        event="every HelmRelease is reconciled",
        timeout=timeouts["deployed"],
    )
