"""The systems around a cluster (S3's users, the link to it, Git, Flux, Prometheus), which note what is done to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from fixtures.environment.cluster import TargetClients
from tests.fake_cluster import FakeCluster, ready
from velero_acceptance.core.timeouts import Timeouts
from velero_acceptance.drivers.flux import REQUESTED_AT, Flux
from velero_acceptance.drivers.git import Checkout
from velero_acceptance.drivers.kinds import GIT_REPOSITORY, HELM_RELEASE, KUSTOMIZATION, Json, Kind, name_of
from velero_acceptance.drivers.minio_admin import Users
from velero_acceptance.drivers.toxiproxy import Toxiproxy
from velero_acceptance.drivers.volumes import Sample


class FakeLink(Toxiproxy):
    """A proxy that notes what is done to it."""

    def __init__(self, done: list[str] | None = None) -> None:
        self.done: list[str] = [] if done is None else done
        self.faulty = False

    def _note(self, what: str, *, faulty: bool = True) -> None:
        self.done.append(what)
        self.faulty = faulty

    def throttle(self, kilobytes_per_second: int) -> None:
        self._note(f"throttle {kilobytes_per_second}")

    def cut(self) -> None:
        self._note("cut")

    def heal(self) -> None:
        self._note("heal", faulty=False)

    def remove(self) -> None:
        self._note("remove")

    def add_route(self, name: str) -> tuple[Toxiproxy, int]:
        self._note(f"add {name}", faulty=False)
        return self, 9443


class FakeUsers(Users):
    """The users and policies of S3; *done* is what was asked of them, also what other systems note."""

    def __init__(self, done: list[str] | None = None) -> None:
        self.done: list[str] = [] if done is None else done
        self.denied: dict[str, str] = {}

    def add_like(self, name: str, secret: str, model: str) -> None:
        self.done.append(f"add user {name} like {model}")

    def remove(self, name: str) -> None:
        self.done.append(f"remove user {name}")

    def deny(self, policy: str, user: str, action: str, resource: str) -> None:
        self.denied[policy] = f"{user} {action} {resource}"
        self.done.append(f"deny {resource}")

    def lift(self, policy: str) -> None:
        self.done.append(f"lift {self.denied.pop(policy).split('/', 1)[-1]}")


class FakeCheckout(Checkout):
    """A checkout whose files are in memory, in a *folder* only for what reads them itself."""

    def __init__(self, files: Mapping[str, str], done: list[str], folder: Path = Path("/nowhere")) -> None:
        super().__init__(folder)
        self.texts, self.done, self._before = dict(files), done, dict(files)

    def read(self, path: str) -> str:
        return self.texts[path]

    def files(self) -> list[str]:
        return sorted(self.texts)

    def change(self, changes: Mapping[str, str | None], message: str) -> str:
        self.texts = {path: text for path, text in {**self.texts, **changes}.items() if text is not None}
        self.done.append(f"commit {message}")
        return "c" * 40

    def take_back(self) -> str | None:
        if self.texts == self._before:
            return None
        self.texts = dict(self._before)
        self.done.append("revert")
        return "r" * 40


class FakeFlux:
    """Flux on a fake cluster: it handles requests, and has applied whatever commit is waited for.

    *reconcile* is what a reconciliation of an object does to the cluster.
    """

    def __init__(self, cluster: FakeCluster, done: list[str]) -> None:
        self.cluster, self.done = cluster, done
        self.reconcile: Callable[[], object] = lambda: None
        for kind in (HELM_RELEASE, KUSTOMIZATION, GIT_REPOSITORY):
            cluster.on("PATCH", kind, partial(self._handle, kind))
        self.add(GIT_REPOSITORY, "flux-system", "flux-system")
        self.add(KUSTOMIZATION, "flux-system", "flux-system")
        self.driver = Flux(cluster, Timeouts(), "flux-system", "flux-system")

    def add(self, kind: Kind, name: str, namespace: str, **spec: object) -> None:
        revision = f"main@sha1:{'r' * 40}"
        item = {"metadata": {"name": name, "namespace": namespace, "generation": 1}, "spec": spec}
        self.cluster.put(kind, ready({**item, "status": {"lastAppliedRevision": revision, "observedGeneration": 1}}))

    def _handle(self, kind: Kind, item: Json) -> None:
        metadata = item["metadata"]
        token = metadata.get("annotations", {}).get(REQUESTED_AT)
        if token is None or item.get("status", {}).get("lastHandledReconcileAt") == token:
            return
        self.done.append(f"reconcile {name_of(item)}")
        change = {"status": {"lastHandledReconcileAt": token}}
        self.cluster.change(kind, name_of(item), metadata["namespace"], change)
        if not item["spec"].get("suspend"):
            self.reconcile()


def watch_volumes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Let each watch of volumes take two samples when its body has ended; return kind and timeout of every watch."""
    watches: list[tuple[str, str]] = []

    class Watch:
        def __init__(
            self,
            kind: Kind,
            operation: str,
            timeout: str,
            **calls: Callable[..., Any],
        ) -> None:
            watches.append((kind.kind, timeout))
            self.samples: list[Sample] = []
            self._volume, self._calls = f"{operation}-volume", calls

        def __enter__(self) -> Watch:
            return self

        def __exit__(self, *_: object) -> None:
            for phase, seconds in (("InProgress", 1.0), ("Completed", 3.0)):
                count = self._calls.get("count", lambda: 0)()
                self.samples.append(Sample(seconds, self._volume, phase, 5, 10, count))
                if "tell" in self._calls:
                    self._calls["tell"](self.samples[-1])

    monkeypatch.setattr(TargetClients, "watch_volumes", staticmethod(Watch))
    return watches
