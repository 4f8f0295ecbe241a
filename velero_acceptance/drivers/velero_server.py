"""The Velero server, its node-agents and its BackupStorageLocation."""

from __future__ import annotations

import re
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING

from velero_acceptance.core.errors import AcceptanceError
from velero_acceptance.core.naming import FAULT
from velero_acceptance.core.waiting import poll
from velero_acceptance.drivers.kinds import (
    DAEMON_SET,
    DELETE_BACKUP_REQUEST,
    DEPLOYMENT,
    POD,
    STORAGE_LOCATION,
    Json,
    is_ready,
    labels_of,
    name_of,
    phase_of,
    time_of,
)

if TYPE_CHECKING:
    from velero_acceptance.core.timeouts import Timeouts
    from velero_acceptance.drivers.kubernetes import Kubernetes

# Names that Velero itself relies on: it takes its own image from the Deployment of this name.
SERVER, AGENT = "velero", "node-agent"
# Which label of the server's pods says so: the first with the chart, the second with `velero install`.
SERVER_LABELS = ("name", "deploy")
LOG_TIME = re.compile(r'\btime="?\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-]\d\d:\d\d)')


class VeleroServer:
    """The server of one namespace, and one location of it."""

    def __init__(self, kubernetes: Kubernetes, namespace: str, location: str, timeouts: Timeouts) -> None:
        self._kubernetes, self.namespace, self.location_name, self._timeouts = kubernetes, namespace, location, timeouts

    @cached_property
    def server_selector(self) -> str:
        """The label selector of the server's pods."""
        labels = labels_of(self.deployment()["spec"]["template"])
        chosen = [key for key in SERVER_LABELS if labels.get(key) == SERVER][:1] or sorted(labels)
        return ",".join(f"{key}={labels[key]}" for key in chosen)

    def deployment(self) -> Json:
        """The Deployment of the server; raises AcceptanceError when there is none."""
        return self._kubernetes.require(DEPLOYMENT, SERVER, self.namespace)

    def argument(self, flag: str, default: str) -> str:
        """What the server was started with for *flag* (``--…``); *default* when it was not given."""
        (container, *_) = self.deployment()["spec"]["template"]["spec"]["containers"]
        words: list[str] = [*container.get("command", []), *container.get("args", [])]
        for word, following in zip(words, [*words[1:], ""], strict=True):
            name, given, value = word.partition("=")
            if name == flag:
                return value if given else following
        return default

    def location(self) -> Json:
        return self._kubernetes.require(STORAGE_LOCATION, self.location_name, self.namespace)

    def wait_location(
        self, phase: str, *, validated_after: datetime | None = None, timeout: float | None = None
    ) -> Json:
        """Wait until the location is in *phase* by a validation later than *validated_after*."""

        def there(item: Json | None) -> bool:
            if item is None or phase_of(item) != phase:
                return False
            validated = item["status"].get("lastValidationTime")
            return validated_after is None or (validated is not None and time_of(validated) > validated_after)

        found = self._kubernetes.wait(
            STORAGE_LOCATION,
            self.location_name,
            self.namespace,
            until=there,
            event=f"the location {self.location_name} is {phase}" + (" by a new validation" if validated_after else ""),
            timeout=timeout or self._timeouts["location_phase"],
        )
        assert found is not None
        return found

    def wait_healthy(self) -> None:
        """Wait until the location is Available and every pod of Velero is ready, node-agent's number included."""
        self.wait_location("Available")
        self._kubernetes.wait_all(
            POD,
            self.namespace,
            labels=self.server_selector,
            until=lambda pods: any(map(is_ready, pods)),
            event="the Velero server is ready",
            timeout=self._timeouts["velero_restarted"],
        )
        self._kubernetes.wait(
            DAEMON_SET,
            AGENT,
            self.namespace,
            until=lambda item: (
                item is not None and item["status"]["numberReady"] == item["status"]["desiredNumberScheduled"]
            ),
            event="node-agent is ready on every node that wants it",
            timeout=self._timeouts["velero_restarted"],
        )

    def set_access(self, mode: str | None) -> None:
        """Make the location ``ReadOnly`` or ``ReadWrite``; None: what it is when nobody says."""
        self._kubernetes.patch(STORAGE_LOCATION, self.location_name, self.namespace, {"spec": {"accessMode": mode}})

    def server_pods(self) -> list[Json]:
        """Pods of the Velero server."""
        return self._kubernetes.list_all(POD, self.namespace, labels=self.server_selector)

    def agent_pods(self) -> list[Json]:
        """Pods of node-agent."""
        return self._kubernetes.list_all(POD, self.namespace, labels=f"name={AGENT}")

    def restart(self) -> Json:
        """Delete the server's pod and wait for a new one; return that, running and ready."""
        self._wait_deletions()
        old = {item["metadata"]["uid"] for item in self.server_pods()}
        for item in self.server_pods():
            self._kubernetes.delete(POD, name_of(item), self.namespace, grace=1)

        def fresh(items: list[Json]) -> list[Json]:
            return [item for item in items if item["metadata"]["uid"] not in old and is_ready(item)]

        found = self._kubernetes.wait_all(
            POD,
            self.namespace,
            labels=self.server_selector,
            until=lambda items: bool(fresh(items)),
            event="a new pod of the Velero server is ready",
            timeout=self._timeouts["velero_restarted"],
        )
        return fresh(found)[0]

    def stop(self, owner: str) -> None:
        """Scale the server to nothing, wait until its pod is gone, and mark it as stopped by *owner*."""
        self._wait_deletions()
        change = {"metadata": {"labels": {FAULT: owner}}, "spec": {"replicas": 0}}
        self._kubernetes.patch(DEPLOYMENT, "velero", self.namespace, change)
        self._kubernetes.wait_all(
            POD,
            self.namespace,
            labels="name=velero",
            until=lambda pods: not pods,
            event="the Velero server is gone",
            timeout=self._timeouts["velero_restarted"],
        )

    def start(self) -> bool:
        """Start a server that :meth:`stop` has stopped, and wait until it is healthy; say whether there was one."""
        found = self._kubernetes.get(DEPLOYMENT, "velero", self.namespace)
        if found is None or FAULT not in labels_of(found):
            return False
        change = {"metadata": {"labels": {FAULT: None}}, "spec": {"replicas": 1}}
        self._kubernetes.patch(DEPLOYMENT, "velero", self.namespace, change)
        self.wait_healthy()
        return True

    def _wait_deletions(self) -> None:
        """Wait for deletions of backups that are at work: a request that is cut short is never taken up again."""
        self._kubernetes.wait_all(
            DELETE_BACKUP_REQUEST,
            self.namespace,
            until=lambda requests: not any(phase_of(request) in ("", "New", "InProgress") for request in requests),
            event="no deletion of a backup is at work",
            timeout=self._timeouts["backup_deleted"],
        )

    def time_zone(self) -> str:
        """The server's time zone as its log shows it: ``UTC``, or an offset such as ``+01:00``.

        Velero stamps its log, and runs cron, in the container's local time.
        """
        stamps = LOG_TIME.findall("\n".join(self.log_lines()))
        if not stamps:
            raise AcceptanceError("the log of the Velero server has no time stamp")
        return "UTC" if stamps[-1] == "Z" else str(stamps[-1])

    def credentials_secret(self) -> str:
        """The name of the secret with the S3 credentials, as the server mounts it."""
        volumes = self.deployment()["spec"]["template"]["spec"].get("volumes") or []
        names = [v["secret"]["secretName"] for v in volumes if v["name"] == "cloud-credentials"]
        if not names:
            raise AcceptanceError("the Velero server mounts no volume cloud-credentials: the secret is not known")
        return str(names[0])

    def image(self) -> str:
        """The image of the server, which names Velero's version."""
        return str(self.deployment()["spec"]["template"]["spec"]["containers"][0]["image"])

    def log_lines(self, *words: str) -> list[str]:
        """Lines of the server's log that hold all of *words*."""
        lines = [
            line
            for pod in self.server_pods()
            for line in self._kubernetes.logs(name_of(pod), self.namespace, SERVER).splitlines()
        ]
        return [line for line in lines if all(word in line for word in words)]

    def wait_log_line(self, *words: str) -> str:
        """Wait for a line of the server's log that holds all of *words*; return the first."""
        found = poll(
            lambda: self.log_lines(*words),
            until=bool,
            event=f"the server logs {' … '.join(words)}",
            timeout=self._timeouts["garbage_collected"],
            interval=1.0,
        )
        return found[0]

    def wait_argument(self, argument: str) -> None:
        """Wait until the server runs with *argument*, and only so."""

        def there(pods: list[Json]) -> bool:
            arguments = [pod["spec"]["containers"][0].get("args", []) for pod in pods]
            return bool(pods) and all(argument in found for found in arguments) and all(map(is_ready, pods))

        self._kubernetes.wait_all(
            POD,
            self.namespace,
            labels=self.server_selector,
            until=there,
            event=f"the server runs with {argument}",
            timeout=self._timeouts["flux_reconciled"],
        )

    def wait_frequency(self, frequency: str, *, timeout: float) -> None:
        """Wait until the location is to be validated every *frequency*."""
        self._kubernetes.wait(
            STORAGE_LOCATION,
            self.location_name,
            self.namespace,
            until=lambda item: item is not None and item["spec"].get("validationFrequency") == frequency,
            event=f"the location is validated every {frequency}",
            timeout=timeout,
        )
