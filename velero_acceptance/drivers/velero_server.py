"""The Velero server, its node-agents and its BackupStorageLocation."""

import re
from collections.abc import Callable
from datetime import datetime
from functools import cached_property

from velero_acceptance.core.errors import AcceptanceError
from velero_acceptance.core.naming import FAULT
from velero_acceptance.core.timeouts import Timeouts
from velero_acceptance.core.waiting import poll
from velero_acceptance.drivers import kinds
from velero_acceptance.drivers.kinds import Json, Kind, is_ready, is_rolled_out, labels_of, name_of, phase_of, time_of
from velero_acceptance.drivers.kubernetes import Kubernetes

# Names that Velero itself relies on: it takes its own image from the Deployment of this name.
SERVER, AGENT = "velero", "node-agent"
# The label of the server's pods: the first with the chart, the second with `velero install`.
SERVER_LABELS = ("name", "deploy")
LOG_TIME = re.compile(r'\btime="?\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-]\d\d:\d\d)')


class VeleroServer:
    """The server of one namespace, and one of its locations."""

    def __init__(self, kubernetes: Kubernetes, namespace: str, location: str, timeouts: Timeouts) -> None:
        self._kubernetes, self.namespace, self.location_name, self._timeouts = kubernetes, namespace, location, timeouts

    @cached_property
    def server_selector(self) -> str:
        labels = labels_of(self.deployment()["spec"]["template"])
        chosen = [key for key in SERVER_LABELS if labels.get(key) == SERVER][:1] or sorted(labels)
        return ",".join(f"{key}={labels[key]}" for key in chosen)

    def deployment(self) -> Json:
        """The Deployment of the server; raises AcceptanceError when there is none."""
        return self._kubernetes.require(kinds.DEPLOYMENT, SERVER, self.namespace)

    def argument(self, flag: str, default: str) -> str:
        """The value of the server's argument *flag* (``--…``); *default* when it is not given."""
        (container, *_) = self.deployment()["spec"]["template"]["spec"]["containers"]
        words: list[str] = [*container.get("command", []), *container.get("args", [])]
        for word, following in zip(words, [*words[1:], ""], strict=True):
            name, given, value = word.partition("=")
            if name == flag:
                return value if given else following
        return default

    def location(self) -> Json:
        return self._kubernetes.require(kinds.STORAGE_LOCATION, self.location_name, self.namespace)

    def wait_location(self, phase: str, *, validated_after: datetime | None = None) -> Json:
        """Wait until the location is in *phase* by a validation later than *validated_after*; return it."""

        def there(item: Json | None) -> bool:
            if item is None or phase_of(item) != phase:
                return False
            validated = item["status"].get("lastValidationTime")
            return validated_after is None or (validated is not None and time_of(validated) > validated_after)

        event = f"the location {self.location_name} is {phase}" + (" by a new validation" if validated_after else "")
        return self._wait(kinds.STORAGE_LOCATION, self.location_name, there, event, self._timeouts["location_phase"])

    def wait_healthy(self) -> None:
        """Wait until the location is Available, and server and node-agents are ready."""
        self.wait_location("Available")
        self._wait_server(lambda pods: any(map(is_ready, pods)), "the Velero server is ready")
        self.wait_agents(lambda _: True, "node-agent is ready on every node that wants it", "velero_restarted")

    def wait_agents(self, until: Callable[[Json], bool], event: str, timeout: str) -> None:
        """Wait until node-agent is rolled out to every node that wants it, by a DaemonSet that satisfies *until*."""
        self._wait(
            kinds.DAEMON_SET,
            AGENT,
            lambda item: item is not None and is_rolled_out(item) and until(item),
            event,
            self._timeouts[timeout],
        )

    def set_access(self, mode: str | None) -> None:
        """Make the location ``ReadOnly`` or ``ReadWrite``; None for Velero's default."""
        self._kubernetes.patch(
            kinds.STORAGE_LOCATION, self.location_name, self.namespace, {"spec": {"accessMode": mode}}
        )

    def server_pods(self) -> list[Json]:
        return self._kubernetes.list_all(kinds.POD, self.namespace, labels=self.server_selector)

    def agent_pods(self) -> list[Json]:
        return self._kubernetes.list_all(kinds.POD, self.namespace, labels=f"name={AGENT}")

    def restart(self) -> Json:
        """Delete the server's pod, wait until a new one is ready, and return that."""
        self.wait_deletions()
        old = {item["metadata"]["uid"] for item in self.server_pods()}
        for item in self.server_pods():
            self._kubernetes.delete(kinds.POD, name_of(item), self.namespace, grace=1)

        def fresh(items: list[Json]) -> list[Json]:
            return [item for item in items if item["metadata"]["uid"] not in old and is_ready(item)]

        return fresh(self._wait_server(lambda pods: bool(fresh(pods)), "a new pod of the Velero server is ready"))[0]

    def stop(self, owner: str) -> None:
        """Scale the server to zero, marked as stopped by *owner*, and wait until its pod is gone."""
        self.wait_deletions()
        self._scale(0, owner)
        self._wait_server(lambda pods: not pods, "the Velero server is gone")

    def start(self) -> bool:
        """Start a server that :meth:`stop` stopped, and wait until it is healthy; return whether there was one."""
        found = self._kubernetes.get(kinds.DEPLOYMENT, SERVER, self.namespace)
        if found is None or FAULT not in labels_of(found):
            return False
        self._scale(1, None)
        self.wait_healthy()
        return True

    def wait_deletions(self) -> None:
        """Wait until Velero deletes no backup: a deletion that a restart interrupts is never resumed."""
        self._kubernetes.wait_all(
            kinds.DELETE_BACKUP_REQUEST,
            self.namespace,
            until=lambda requests: not any(phase_of(request) in ("", "New", "InProgress") for request in requests),
            event="Velero deletes no backup",
            timeout=self._timeouts["backup_deleted"],
        )

    def time_zone(self) -> str:
        """The server's time zone, in which it runs cron, by its log: ``UTC``, or an offset such as ``+01:00``."""
        stamps = LOG_TIME.findall("\n".join(self.log_lines()))
        if not stamps:
            raise AcceptanceError("the log of the Velero server has no time stamp")
        return "UTC" if stamps[-1] == "Z" else str(stamps[-1])

    def credentials_secret(self) -> str:
        """The name of the Secret with the S3 credentials that the server mounts."""
        volumes = self.deployment()["spec"]["template"]["spec"].get("volumes") or []
        names = [v["secret"]["secretName"] for v in volumes if v["name"] == "cloud-credentials"]
        if not names:
            raise AcceptanceError("the Velero server mounts no volume cloud-credentials: its Secret is not known")
        return str(names[0])

    def image(self) -> str:
        """The image of the server, which names Velero's version."""
        return str(self.deployment()["spec"]["template"]["spec"]["containers"][0]["image"])

    def log_lines(self, *words: str) -> list[str]:
        """Lines of the server's log that contain all of *words*."""
        lines = [
            line
            for pod in self.server_pods()
            for line in self._kubernetes.logs(name_of(pod), self.namespace, SERVER).splitlines()
        ]
        return [line for line in lines if all(word in line for word in words)]

    def wait_log_line(self, *words: str) -> str:
        """Wait for a line of the server's log that contains all of *words*; return the first."""
        found = poll(
            lambda: self.log_lines(*words),
            until=bool,
            event=f"the server logs {' … '.join(words)}",
            timeout=self._timeouts["garbage_collected"],
            interval=1.0,
        )
        return found[0]

    def wait_argument(self, argument: str) -> None:
        """Wait until every pod of the server is ready and runs with *argument*."""

        def there(pods: list[Json]) -> bool:
            arguments = [pod["spec"]["containers"][0].get("args", []) for pod in pods]
            return bool(pods) and all(argument in found for found in arguments) and all(map(is_ready, pods))

        self._wait_server(there, f"the server runs with {argument}", "flux_reconciled")

    def wait_frequency(self, frequency: str, *, timeout: float) -> None:
        """Wait until the location is to be validated every *frequency*."""
        self._wait(
            kinds.STORAGE_LOCATION,
            self.location_name,
            lambda item: item is not None and item["spec"].get("validationFrequency") == frequency,
            f"the location is validated every {frequency}",
            timeout,
        )

    def _scale(self, replicas: int, owner: str | None) -> None:
        change = {"metadata": {"labels": {FAULT: owner}}, "spec": {"replicas": replicas}}
        self._kubernetes.patch(kinds.DEPLOYMENT, SERVER, self.namespace, change)

    def _wait(
        self,
        kind: Kind,
        name: str,
        until: Callable[[Json | None], bool],
        event: str,
        timeout: float,
        terminal: Callable[[Json | None], str | None] = lambda _: None,
    ) -> Json:
        """Wait for an object of Velero's namespace that satisfies *until*, which None does not; return it."""
        wait = self._kubernetes.wait
        found = wait(kind, name, self.namespace, until=until, event=event, timeout=timeout, terminal=terminal)
        assert found is not None
        return found

    def _wait_server(
        self, until: Callable[[list[Json]], bool], event: str, timeout: str = "velero_restarted"
    ) -> list[Json]:
        return self._kubernetes.wait_all(
            kinds.POD,
            self.namespace,
            labels=self.server_selector,
            until=until,
            event=event,
            timeout=self._timeouts[timeout],
        )
