"""Make the faults of a mutant in the deployed system, and undo them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import yaml

from velero_acceptance.core.errors import Refusal
from velero_acceptance.core.settings import Environment
from velero_acceptance.core.timeouts import Timeouts
from velero_acceptance.drivers import kinds
from velero_acceptance.drivers.flux import Flux
from velero_acceptance.drivers.git import MUTANT_BASE, Checkout
from velero_acceptance.drivers.kinds import Json, Kind
from velero_acceptance.drivers.kubernetes import Kubernetes
from velero_acceptance.drivers.minio_admin import Users
from velero_acceptance.drivers.s3 import Bucket
from velero_acceptance.drivers.velero import Velero
from velero_acceptance.drivers.velero_server import AGENT
from velero_acceptance.mutants.models import FileChange, Mutant, ObjectPatch
from velero_acceptance.target.fault_reverts import flux_of, wait_deployed

if TYPE_CHECKING:
    from lab.facts import LabFacts
    from lab.lifecycle import Lab

RELEASE = "kubernetes/apps/velero/app/helmrelease.yaml"
WRAPPER = "mutant-uploader"
MUTANT_POLICY = "acc-mutant-{}"


@dataclass(frozen=True)
class DeployedSystem:
    """The clients of a lab or a kind cluster."""

    environment: Environment
    timeouts: Timeouts
    kubernetes: Kubernetes
    velero: Velero
    bucket: Bucket
    cluster: Lab
    facts: LabFacts

    @cached_property
    def kinds(self) -> dict[str, Kind]:
        return {kind.kind: kind for kind in self.kubernetes.listable_kinds()}

    @property
    def checkout(self) -> Checkout:
        if self.environment.gitops is None:
            raise Refusal("mutants are committed to the deployed repository, and this target has none")
        return Checkout(self.environment.gitops, MUTANT_BASE)

    @property
    def flux(self) -> Flux:
        return flux_of(self.kubernetes, self.environment, self.timeouts)

    def kind(self, name: str) -> Kind:
        """A kind by its name; raises Refusal when the cluster does not know it."""
        try:
            return self.kinds[name]
        except KeyError:
            raise Refusal(f"the cluster has no kind {name}") from None


@contextmanager
def seeded(mutant: Mutant, system: DeployedSystem) -> Iterator[None]:
    """The system with the faults of *mutant*; afterwards it is as before. Raises AcceptanceError."""
    with ExitStack() as undo:
        undo.enter_context(_created(mutant.create, system))
        undo.enter_context(_committed(mutant, system))
        for patch in mutant.patch:
            undo.enter_context(_patched(patch, system))
        undo.enter_context(_permitted(mutant, system))
        undo.enter_context(_expiring(mutant.lifecycle, system))
        undo.enter_context(_stored(mutant.s3, system))
        undo.enter_context(_replaced(mutant.velero, system))
        yield


def wait_healthy(system: DeployedSystem) -> None:
    """Wait until Velero is ready and its location Available; raises AcceptanceError when it never is."""
    system.velero.wait_healthy()
    system.velero.wait_location("Available")


def merged(content: Any, patch: Any) -> Any:
    """*content* after a JSON merge patch (RFC 7386)."""
    if not isinstance(patch, dict):
        return patch
    base = dict(content) if isinstance(content, dict) else {}
    for key, value in patch.items():
        if value is None:
            base.pop(key, None)
        else:
            base[key] = merged(base.get(key), value)
    return base


def reverse(content: Any, patch: Any) -> Any:
    """The merge patch that undoes *patch* on *content*."""
    if not isinstance(patch, dict) or not isinstance(content, dict):
        return content
    return {key: reverse(content.get(key), value) for key, value in patch.items()}


def changed_text(path: str, text: str, change: FileChange) -> str | None:
    """A file after a change, None when it is to be deleted; raises Refusal when the change does not fit."""
    if change is None or isinstance(change, str):
        return change
    if isinstance(change, list):
        for piece in change:
            if piece.old not in text:
                raise Refusal(f"{path} does not contain {piece.old!r}")
            text = text.replace(piece.old, piece.new)
        return text
    documents = list(yaml.safe_load_all(text))
    chosen = [number for number, document in enumerate(documents) if _is_of(document, change)]
    if len(chosen) != 1:
        raise Refusal(f"{path} has {len(chosen)} documents of that kind and name, not one")
    documents[chosen[0]] = merged(documents[chosen[0]], change)
    return yaml.safe_dump_all(documents, sort_keys=False)


def _is_of(document: Json, change: dict[str, Any]) -> bool:
    """Whether a document has the kind and the name that a change names, if it names any."""
    name = (change.get("metadata") or {}).get("name")
    return change.get("kind") in (None, document["kind"]) and name in (None, document["metadata"]["name"])


@contextmanager
def _committed(mutant: Mutant, system: DeployedSystem) -> Iterator[None]:
    """The deployed repository with the files of a mutant, deployed."""
    changes: dict[str, FileChange] = dict(mutant.git)
    if mutant.restic:
        changes[RELEASE] = merged(changes.get(RELEASE), _uploader_in_between(system.facts.busybox_image))
    if not changes:
        yield
        return
    changes = {path: _noticed(change, mutant.id) for path, change in changes.items()}
    checkout, flux, texts = system.checkout, system.flux, {}
    for path, change in changes.items():
        here = checkout.folder / path
        texts[path] = changed_text(path, here.read_text() if here.exists() else "", change)
    with _uploader_script(mutant.restic, system):
        try:
            commit = checkout.change(texts, f"Seeded fault: {mutant.title}")
            wait_deployed(commit, flux, system.timeouts)
            system.velero.wait_agents(kinds.is_rolled_out, "node-agent runs as committed", "velero_restarted")
            yield
        finally:
            # Whatever a scenario of the run committed it has taken back; not even the history keeps the fault.
            wait_deployed(checkout.forget(), flux, system.timeouts)


def _noticed(change: FileChange, name: str) -> FileChange:
    """A change with another value of the chart if it adds post-renderers to a HelmRelease.

    helm-controller takes the first ones that it sees for those that are deployed (v1.4.0, adoptPostRenderersStatus).
    """
    if not isinstance(change, dict) or "postRenderers" not in change.get("spec", {}):
        return change
    return dict(merged(change, {"spec": {"values": {"global": {"mutant": name}}}}))


def _uploader_in_between(image: str) -> dict[str, Any]:
    """A merge patch of the HelmRelease: node-agent finds a script as ``restic``, and a shell for it."""
    tools, wrapper = {"name": "tools", "mountPath": "/tools"}, {"name": WRAPPER, "mountPath": "/wrapper"}
    pod = {
        "initContainers": [
            {
                "name": "tools",
                "image": image,
                "command": ["/bin/busybox", "cp", "/bin/busybox", "/tools/busybox"],
                "volumeMounts": [tools],
            }
        ],
        "containers": [
            {
                "name": AGENT,
                "env": [{"name": "PATH", "value": "/wrapper:/usr/local/bin:/usr/bin:/bin"}],
                "volumeMounts": [tools, wrapper],
            }
        ],
        "volumes": [
            {"name": "tools", "emptyDir": {}},
            {"name": WRAPPER, "configMap": {"name": WRAPPER, "defaultMode": 0o555}},
        ],
    }
    agents = {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": AGENT}}
    patch = yaml.safe_dump({**agents, "spec": {"template": {"spec": pod}}})
    target = {"kind": "DaemonSet", "name": AGENT}
    return {"spec": {"postRenderers": [{"kustomize": {"patches": [{"target": target, "patch": patch}]}}]}}


@contextmanager
def _uploader_script(script: str, system: DeployedSystem) -> Iterator[None]:
    """The script in the cluster; not in the repository, where Flux would replace its variables."""
    if not script:
        yield
        return
    metadata = {"name": WRAPPER, "namespace": system.velero.namespace}
    data = {"restic": f"#!/tools/busybox sh\nreal=/usr/bin/restic\nbusybox=/tools/busybox\n{script}"}
    system.kubernetes.create(kinds.CONFIG_MAP, {"metadata": metadata, "data": data})
    try:
        yield
    finally:
        system.kubernetes.delete(kinds.CONFIG_MAP, WRAPPER, system.velero.namespace)


@contextmanager
def _created(manifests: str, system: DeployedSystem) -> Iterator[None]:
    """The cluster with more objects; their pods are ready."""
    made: list[tuple[Kind, str, str | None]] = []
    try:
        for item in filter(None, yaml.safe_load_all(manifests)):
            kind, metadata = system.kind(item["kind"]), item["metadata"]
            system.kubernetes.create(kind, item, metadata.get("namespace"))
            made.append((kind, metadata["name"], metadata.get("namespace")))
        _wait_rolled_out(made, system)
        yield
    finally:
        for kind, name, namespace in reversed(made):
            system.kubernetes.delete(kind, name, namespace)
        for kind, name, namespace in made:
            system.kubernetes.wait(
                kind,
                name,
                namespace,
                until=lambda item: item is None,
                event=f"{kind.kind} {name} is gone",
                timeout=system.timeouts["namespace_gone"],
            )


def _wait_rolled_out(made: list[tuple[Kind, str, str | None]], system: DeployedSystem) -> None:
    for kind, name, namespace in made:
        if kind.kind in ("Deployment", "DaemonSet"):
            system.kubernetes.wait(
                kind,
                name,
                namespace,
                until=lambda item: item is not None and kinds.is_rolled_out(item),
                event=f"{kind.kind} {name} is rolled out",
                timeout=system.timeouts["pod_ready"],
            )


@contextmanager
def _patched(change: ObjectPatch, system: DeployedSystem) -> Iterator[None]:
    kind = system.kind(change.kind)
    before = system.kubernetes.require(kind, change.name, change.namespace)
    system.kubernetes.patch(kind, change.name, change.namespace, change.patch)
    try:
        yield
    finally:
        system.kubernetes.patch(kind, change.name, change.namespace, reverse(before, change.patch))


@contextmanager
def _permitted(mutant: Mutant, system: DeployedSystem) -> Iterator[None]:
    """Velero's user in S3 with more policies."""
    users, user = Users(system.environment.s3), system.facts.credentials().access_key
    policies = [(users.deny, permission) for permission in mutant.deny]
    policies += [(users.allow, permission) for permission in mutant.allow]
    try:
        for number, (attach, permission) in enumerate(policies):
            attach(MUTANT_POLICY.format(number), user, permission.action, permission.resource)
        yield
    finally:
        for number in range(len(policies)):
            users.lift(MUTANT_POLICY.format(number))


@contextmanager
def _expiring(days: int | None, system: DeployedSystem) -> Iterator[None]:
    if days is None:
        yield
        return
    system.bucket.expire_after(days)
    try:
        yield
    finally:
        system.bucket.expire_nothing()


@contextmanager
def _stored(objects: dict[str, str], system: DeployedSystem) -> Iterator[None]:
    try:
        for key, text in objects.items():
            system.bucket.put(key, text.encode())
        yield
    finally:
        system.bucket.delete(*objects)


@contextmanager
def _replaced(script: str, system: DeployedSystem) -> Iterator[None]:
    """A script in place of the command velero, whose path it has as ``$real``."""
    if not script:
        yield
        return
    from lab import facts

    cluster, known = system.cluster, system.facts
    wrapper = cluster.state / "mutant-velero"
    wrapper.write_text(f"#!/bin/sh\nreal={known.velero_cli}\n{script}")
    wrapper.chmod(0o755)
    try:
        facts.save(cluster.settings, known.model_copy(update={"velero_cli": wrapper}))
        yield
    finally:
        facts.save(cluster.settings, known)
        wrapper.unlink()
