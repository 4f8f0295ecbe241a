"""The evidence of a failure, redacted and of limited size: logs streamed from the start, objects, events, S3 keys."""

import json
import re
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

import urllib3
import yaml

from velero_acceptance.core.errors import AcceptanceError
from velero_acceptance.core.redaction import Redactor
from velero_acceptance.core.waiting import Deadline
from velero_acceptance.drivers import kinds
from velero_acceptance.drivers.kinds import Kind, name_of, time_of
from velero_acceptance.drivers.kubernetes import Kubernetes
from velero_acceptance.drivers.s3 import Bucket
from velero_acceptance.evidence.recorder import Evidence

STREAM_SECONDS = 6 * 3600.0
LEVEL_ERROR = re.compile(r'(?:^|\s)level="?(error|fatal|panic)"?(?:\s|$)|"level":"(error|fatal|panic)"')


@dataclass(frozen=True)
class LogLine:
    """A line of a container's log, with its pod and the node's time."""

    pod: str
    at: datetime
    text: str


class LogStreams:
    """Streams the log of every container in a namespace from its start, also of pods that come later or vanish."""

    def __init__(self, kubernetes: Kubernetes, namespace: str, folder: Path, redactor: Redactor) -> None:
        self._kubernetes, self._namespace, self._folder, self._redactor = kubernetes, namespace, folder, redactor
        self._followed: set[tuple[str, str]] = set()
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._errors: list[LogLine] = []

    def start(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        threading.Thread(target=self._watch, daemon=True, name="pod watch").start()

    def stop(self) -> None:
        """Follow no new container; threads that wait for a line end with the process."""
        self._stopped.set()

    def errors_since(self, moment: datetime) -> list[LogLine]:
        """Lines of level error or worse that were written after *moment*."""
        with self._lock:
            return [line for line in self._errors if line.at > moment]

    def _watch(self) -> None:
        try:
            for pods in self._kubernetes.watch(kinds.POD, self._namespace, deadline=Deadline(STREAM_SECONDS)):
                if self._stopped.is_set():
                    return
                for pod in pods.values():
                    for status in (pod.get("status") or {}).get("containerStatuses", []):
                        if "running" in status.get("state", {}) or status.get("restartCount"):
                            self._follow(name_of(pod), status["name"], str(status.get("containerID")))
        except AcceptanceError as error:
            self._note(f"the watch of pods ended: {error}\n")

    def _follow(self, pod: str, container: str, identity: str) -> None:
        with self._lock:
            if (pod, identity) in self._followed:
                return
            self._followed.add((pod, identity))
        threading.Thread(target=self._copy, args=(pod, container), daemon=True, name=f"log of {pod}").start()

    def _copy(self, pod: str, container: str) -> None:
        rest = b""
        try:
            with (self._folder / f"{pod}.{container}.log").open("a") as out:
                for chunk in self._kubernetes.follow_logs(pod, self._namespace, container):
                    *lines, rest = (rest + chunk).split(b"\n")
                    for line in lines:
                        self._keep(pod, line.decode(errors="replace"), out.write)
                    out.flush()
        except (AcceptanceError, urllib3.exceptions.HTTPError, OSError) as error:
            self._note(f"the log of {pod}/{container} ended: {error}\n")

    def _keep(self, pod: str, line: str, write: Callable[[str], object]) -> None:
        text = self._redactor.text(line)
        write(text + "\n")
        if LEVEL_ERROR.search(text):
            stamp, _, message = text.partition(" ")
            with self._lock:
                self._errors.append(LogLine(pod, time_of(stamp), message))

    def _note(self, text: str) -> None:
        with suppress(OSError), (self._folder / "streams.txt").open("a") as out:  # a full disk ends the run anyway
            out.write(text)


def collect(
    evidence: Evidence, kubernetes: Kubernetes, bucket: Bucket, velero: str, prefix: str, namespaces: Iterable[str]
) -> None:
    """Attach the objects and events of a scenario's namespaces, Velero's objects, and the keys in S3."""
    for namespace in namespaces:
        for kind in (kinds.POD, kinds.CLAIM, kinds.EVENT):
            _part(evidence, f"{namespace}-{kind.plural}.yaml", partial(_dump, kubernetes, kind, namespace))
    volumes = (kinds.POD_VOLUME_BACKUP, kinds.POD_VOLUME_RESTORE)
    for kind in (kinds.BACKUP, kinds.RESTORE, *volumes, kinds.STORAGE_LOCATION, kinds.POD):
        _part(evidence, f"velero-{kind.plural}.yaml", partial(_dump, kubernetes, kind, velero))
    _part(evidence, "s3-keys.json", lambda: json.dumps(bucket.keys(prefix), indent=1))


def _part(evidence: Evidence, name: str, collect_one: Callable[[], str]) -> None:
    try:
        evidence.attach(f"failure-{name}", collect_one())
    except Exception as error:  # it must never hide the failure that it explains
        evidence.observe(f"not collected: {name}", str(error)[:200])


def _dump(kubernetes: Kubernetes, kind: Kind, namespace: str) -> str:
    items = kubernetes.list_all(kind, namespace)
    for item in items:
        item["metadata"].pop("managedFields", None)
    return yaml.safe_dump_all(items, sort_keys=False)
