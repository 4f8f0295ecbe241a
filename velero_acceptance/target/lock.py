"""One run at a time on a cluster: a Lease in Velero's namespace, which its holder renews while it runs.

It names the holder, whom others can ask; it expires, in case the holder is killed. Times are the API server's, whatever
this machine's clock says.
"""

import getpass
import os
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from velero_acceptance.core.errors import AcceptanceError, Refusal
from velero_acceptance.core.settings import Target
from velero_acceptance.core.waiting import ticks
from velero_acceptance.drivers.kinds import LEASE, Json, stamp, time_of
from velero_acceptance.drivers.kubernetes import ApiError, Kubernetes

NAME = "velero-acceptance"
# A holder without a renewal for this long is dead.
DURATION = timedelta(seconds=60)
RENEWAL_SECONDS = 15.0
CONFLICT = 409


@dataclass(frozen=True)
class Holder:
    """The holder of the lock: run and owner, since when, and until when without a renewal."""

    run: str
    owner: str
    since: datetime
    until: datetime

    @staticmethod
    def of(lease: Json | None) -> "Holder | None":
        """The holder that a Lease names; None when it names none."""
        spec = lease["spec"] if lease else {}
        run, _, owner = str(spec.get("holderIdentity") or "").partition(" of ")
        if not run:
            return None
        renewed = time_of(spec["renewTime"])
        since = time_of(spec.get("acquireTime") or spec["renewTime"])
        return Holder(run, owner, since, renewed + timedelta(seconds=spec["leaseDurationSeconds"]))

    def __str__(self) -> str:
        return (
            f"the run {self.run} of {self.owner} since {self.since:%Y-%m-%d %H:%M:%S} UTC, until {self.until:%H:%M:%S}"
        )


class RunLock:
    def __init__(self, kubernetes: Kubernetes, namespace: str, run: str, target: Target = Target.LAB) -> None:
        self._kubernetes, self._namespace, self._run, self._target = kubernetes, namespace, run, target
        self._identity = f"{run} of {_user()}@{socket.gethostname()}"
        self._ahead = timedelta()
        self._stopped = threading.Event()
        self._renewed = datetime.now(UTC)

    def acquire(self) -> None:
        """Take the lock, also from a holder that has expired; raises Refusal when another run holds it."""
        self._ahead = self._kubernetes.server_time() - datetime.now(UTC)
        lease, now = self._lease(), self._now()
        holder = Holder.of(lease)
        if holder is not None and holder.until > now:
            raise Refusal(
                f"another run is at work on this cluster: {holder}. Wait for its end, or, if it is dead, "
                f"run `{self._target.command('unlock', f'--run {holder.run}')}`"
            )
        spec = {**self._spec(now), "acquireTime": stamp(now, "microseconds")}
        try:
            if lease is None:
                self._kubernetes.create(LEASE, {"metadata": {"name": NAME}, "spec": spec}, self._namespace)
            else:
                self._patch(lease, spec)
        except ApiError as error:
            if error.status == CONFLICT:
                raise Refusal("another run has just taken the run lock: try again when it has ended") from None
            if error.status == 404:
                raise Refusal(
                    f"Velero's namespace {self._namespace} does not exist: set current.velero_namespace"
                ) from None
            raise
        self._renewed = self._now()

    def keep(self, lost: Callable[[str], None]) -> None:
        """Renew the lock in a thread until :meth:`release`; call *lost* once, with the reason, when that fails."""
        threading.Thread(target=self._renew, args=(lost,), daemon=True, name="run lock").start()

    def release(self) -> None:
        """Release the lock if this run still holds it."""
        self._stopped.set()
        with suppress(AcceptanceError):  # it will expire
            if self._is_ours(self._lease()):
                self._kubernetes.delete(LEASE, NAME, self._namespace)

    def _renew(self, lost: Callable[[str], None]) -> None:
        for _ in ticks(RENEWAL_SECONDS, self._stopped):
            if (reason := self._renewal()) and not self._stopped.is_set():
                lost(reason)
                return

    def _renewal(self) -> str:
        """Renew once; return why the lock is lost, empty while it is not."""
        try:
            lease = self._lease()
            if lease is None or not self._is_ours(lease):
                return f"the run lock was taken: {Holder.of(lease) or 'somebody removed it'}"
            now = self._now()
            self._patch(lease, self._spec(now))
            self._renewed = now
        except AcceptanceError as error:
            if self._now() - self._renewed > DURATION:
                return f"the run lock could not be renewed in time: {error}"
        return ""

    def _lease(self) -> Json | None:
        return self._kubernetes.get(LEASE, NAME, self._namespace)

    def _is_ours(self, lease: Json | None) -> bool:
        return lease is not None and lease["spec"].get("holderIdentity") == self._identity

    def _patch(self, lease: Json, spec: Json) -> None:
        """Change the Lease that was read: a change in between is a conflict."""
        metadata = {"resourceVersion": lease["metadata"]["resourceVersion"]}
        self._kubernetes.patch(LEASE, NAME, self._namespace, {"metadata": metadata, "spec": spec})

    def _spec(self, now: datetime) -> Json:
        return {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": int(DURATION.total_seconds()),
            "renewTime": stamp(now, "microseconds"),
        }

    def _now(self) -> datetime:
        """The API server's time, by its difference when the lock was acquired."""
        return datetime.now(UTC) + self._ahead


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return str(os.getuid())


def live_holder(kubernetes: Kubernetes, namespace: str) -> Holder | None:
    """The present holder of the lock; None when it is free or has expired."""
    holder = Holder.of(kubernetes.get(LEASE, NAME, namespace))
    return holder if holder is not None and holder.until > kubernetes.server_time() else None


def unlock(kubernetes: Kubernetes, namespace: str, run: str | None, target: Target = Target.LAB) -> str:
    """Remove the lock; return what was done. Raises Refusal for a live one unless its *run* is named."""
    holder = live_holder(kubernetes, namespace)
    if holder is not None and holder.run != run:
        command = target.command("unlock", f"--run {holder.run}")
        raise Refusal(f"the lock is held by {holder}: if that run is dead, name it with `{command}`")
    if kubernetes.get(LEASE, NAME, namespace) is None:
        return "There is no run lock."
    kubernetes.delete(LEASE, NAME, namespace)
    return f"The run lock is removed; it was held by {holder}." if holder else "An expired run lock is removed."
