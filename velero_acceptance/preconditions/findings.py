"""What is found on a target, topic by topic. Each look stands alone: what one cannot see hides no other."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from velero_acceptance.checks import node_agents
from velero_acceptance.checks.schedule import seconds_of
from velero_acceptance.core.errors import AcceptanceError
from velero_acceptance.core.naming import DISRUPT_LABEL, DISRUPT_VALUE
from velero_acceptance.core.settings import Target
from velero_acceptance.drivers.kinds import (
    BACKUP,
    DAEMON_SET,
    GIT_REPOSITORY,
    HELM_RELEASE,
    KUSTOMIZATION,
    NAMESPACE,
    NODE,
    SCHEDULE,
    SERVICE,
    STORAGE_CLASS,
    VOLUME,
    Json,
    Kind,
    condition,
    is_ready,
    labels_of,
    name_of,
    phase_of,
    time_of,
)
from velero_acceptance.drivers.kubernetes import ApiError
from velero_acceptance.drivers.minio_admin import Users
from velero_acceptance.drivers.velero_server import AGENT
from velero_acceptance.preconditions.probes import KINDS_OF_VOLUMES, TargetProbe
from velero_acceptance.target.lock import live_holder

DEFAULT_FREQUENCY = "1m"
# How late a validation may be before it is called stale.
GRACE = 3
PROMETHEUS_PORT = 9090
CALL_SECONDS = 10.0


class State(StrEnum):
    """What a finding means for a run."""

    FINE = "ok"
    NOTE = "note"
    BROKEN = "broken"


@dataclass(frozen=True)
class Finding:
    """One thing that was found."""

    topic: str
    text: str
    state: State = State.FINE


def findings(look: TargetProbe, s3: str) -> Iterator[Finding]:
    """Everything there is to say of the target. *s3*: why S3 cannot be asked; empty when it can."""
    for topic, examine in TOPICS.items():
        try:
            for state, text in examine(look):
                yield Finding(topic, text, state)
        except (AcceptanceError, KeyError) as error:
            yield Finding(topic, str(error), State.BROKEN)
    yield from (Finding("S3", text, state) for state, text in ([(State.BROKEN, s3)] if s3 else _s3(look)))


Said = Iterator[tuple[State, str]]


def _cluster(probe: TargetProbe) -> Said:
    place = probe.environment
    name = f" (context {place.context})" if place.context else ""
    yield State.FINE, f"Kubernetes {probe.kubernetes.version()} at {probe.kubernetes.server}{name}"
    problem = probe.clocks.problem()
    yield State.BROKEN if problem else State.FINE, problem or f"clocks: off by {probe.clocks.note()}"


def _velero(probe: TargetProbe) -> Said:
    pods = probe.velero.server_pods()
    ready = sum(map(is_ready, pods))
    image = probe.velero.image()
    text = f"{image} in {probe.velero.namespace}, {ready} of {len(pods)} pods ready, "
    text += f"uploader {probe.velero.argument('--uploader-type', 'as this version has by default')}"
    yield State.FINE if ready else State.BROKEN, text
    spec = probe.velero.deployment()["spec"]["template"]["spec"]
    yield State.FINE, "plugins: " + (", ".join(c["image"] for c in spec.get("initContainers", [])) or "none")


def _location(probe: TargetProbe) -> Said:
    location, now = probe.velero.location(), probe.kubernetes.server_time()
    status, storage = location.get("status") or {}, location["spec"]["objectStorage"]
    available = phase_of(location) == "Available"
    text = f"{name_of(location)} is {phase_of(location) or 'not validated yet'}"
    if message := status.get("message"):
        text += f": {message}"
    yield State.FINE if available else State.BROKEN, text
    if validated := status.get("lastValidationTime"):
        every = seconds_of(location["spec"].get("validationFrequency") or DEFAULT_FREQUENCY)
        age = (now - time_of(validated)).total_seconds()
        stale = State.BROKEN if age > GRACE * every + 10 else State.FINE
        yield stale, f"last validated {max(age, 0):.0f} s ago, every {every:.0f} s"
    place = probe.environment
    for name, kept, said in (
        ("bucket", storage.get("bucket", ""), place.bucket),
        ("prefix", storage.get("prefix", "").strip("/"), place.prefix.strip("/")),
    ):
        if kept != said:
            yield State.BROKEN, f"its {name} is {kept!r} and the settings say {said!r}: set current.{name}"
    if (mode := location["spec"].get("accessMode")) == "ReadOnly":
        yield State.BROKEN, f"its access mode is {mode}: nothing can be backed up"


def _agents(probe: TargetProbe) -> Said:
    status = (probe.kubernetes.get(DAEMON_SET, AGENT, probe.velero.namespace) or {}).get("status")
    if status is None:
        yield State.BROKEN, "there is no node-agent: volumes are not backed up"
        return
    ready, wanted = status["numberReady"], status["desiredNumberScheduled"]
    yield State.FINE if ready == wanted else State.BROKEN, f"ready on {ready} of the {wanted} nodes that want it"
    volumes = [v for v in probe.kubernetes.list_all(VOLUME) if "local" in v["spec"]]
    lacking = node_agents.without_agent(volumes, probe.kubernetes.list_all(NODE), probe.velero.agent_pods())
    if lacking:
        yield State.BROKEN, f"nodes with local volumes and without node-agent: {', '.join(sorted(lacking))}"


def _storage(probe: TargetProbe) -> Said:
    volumes = probe.kubernetes.list_all(VOLUME)
    for item in probe.kubernetes.list_all(STORAGE_CLASS):
        name = name_of(item)
        own = [v for v in volumes if v["spec"].get("storageClassName") == name]
        kinds = sorted({kind for v in own for kind in KINDS_OF_VOLUMES if kind in v["spec"]})
        text = f"{name} ({item['provisioner']}): {len(own)} volumes" + (f", {', '.join(kinds)}" if kinds else "")
        used = name == probe.environment.storage_class
        yield State.FINE if used else State.NOTE, text + (", the one to be used" if used else "")


def _work(probe: TargetProbe) -> Said:
    backups = probe.kubernetes.list_all(BACKUP, probe.velero.namespace)
    newest = max(backups, key=lambda item: str(item["metadata"]["creationTimestamp"]), default=None)
    last = f", the newest {name_of(newest)} {phase_of(newest)}" if newest else ""
    yield State.FINE, f"{len(backups)} backups{last}"
    for item in probe.kubernetes.list_all(SCHEDULE, probe.velero.namespace):
        last_run = (item.get("status") or {}).get("lastBackup") or "never"
        yield State.FINE, f"schedule {name_of(item)}: {item['spec']['schedule']}, last run {last_run}"
    holder = live_holder(probe.kubernetes, probe.velero.namespace)
    if holder is not None:
        yield State.NOTE, f"the run lock is held by {holder}"


def _flux(probe: TargetProbe) -> Said:
    found = [(kind, item) for kind in (GIT_REPOSITORY, KUSTOMIZATION, HELM_RELEASE) for item in _listed(probe, kind)]
    if not found:
        yield State.NOTE, "none"
    for kind, item in found:
        ready = is_ready(item)
        says = "ready" if ready else condition(item, "Ready").get("message", "not ready")
        yield (
            State.FINE if ready else State.NOTE,
            f"{kind.kind} {item['metadata']['namespace']}/{name_of(item)}: {says}",
        )


def _listed(probe: TargetProbe, kind: Kind) -> list[Json]:
    """All objects of a kind; none of one that the cluster does not know."""
    try:
        return probe.kubernetes.list_all(kind)
    except ApiError as error:
        if error.status == 404:
            return []
        raise


def _prometheus(probe: TargetProbe) -> Said:
    services = probe.kubernetes.list_all(SERVICE)
    found = [s for s in services if any(port.get("port") == PROMETHEUS_PORT for port in s["spec"].get("ports") or [])]
    names = ", ".join(f"{s['metadata']['namespace']}/{name_of(s)}" for s in found)
    yield State.FINE if names else State.NOTE, f"services on port {PROMETHEUS_PORT}: {names or 'none'}"


def _consent(probe: TargetProbe) -> Said:
    if probe.environment.target is Target.LAB:
        yield State.FINE, "this is our own lab: it may be disrupted"
        return
    namespace = probe.velero.namespace
    found = probe.kubernetes.get(NAMESPACE, namespace) or {"metadata": {}}
    agreed = labels_of(found).get(DISRUPT_LABEL) == DISRUPT_VALUE
    yield State.NOTE, f"the namespace {namespace} is {'' if agreed else 'not '}labelled {DISRUPT_LABEL}={DISRUPT_VALUE}"


def _programs(probe: TargetProbe) -> Said:
    place = probe.environment
    for name, path in ((place.uploader, place.oracle), ("corpus", place.corpus), ("velero", place.velero_cli)):
        yield State.FINE if path else State.NOTE, f"{name}: {path or 'not in PATH'}"
    if place.velero_cli:
        done = subprocess.run(
            [place.velero_cli, "version", "--client-only"], capture_output=True, text=True, timeout=CALL_SECONDS
        )
        version = next((line.partition(":")[2].strip() for line in done.stdout.splitlines() if "Version:" in line), "?")
        same = probe.velero.image().endswith(f":{version}")
        yield State.FINE if same else State.NOTE, f"velero is {version}" + ("" if same else ", the server is not")
    capture = place.capture[:1]
    there = bool(capture and shutil.which(capture[0]))
    yield State.FINE if there else State.NOTE, f"capture of packets: {' '.join(place.capture) or 'no command'}"


def _s3(probe: TargetProbe) -> Said:
    place = probe.environment
    keys = probe.bucket.keys(place.key(""))
    yield (
        State.FINE,
        f"{place.s3.endpoint}, bucket {place.bucket}: {len(keys)} keys below {place.key('') or 'its root'!r}",
    )
    try:
        yield State.FINE, f"versioning {probe.bucket.state().versioning or 'off'}"
    except AcceptanceError as error:
        yield State.NOTE, str(error)
    if probe.bucket.incomplete_uploads() is None:
        yield State.NOTE, "the suite's keys may not list incomplete uploads: those are not looked for"
    administrator = "" if Users(place.s3).permitted() else "not "
    yield State.FINE, f"the suite's keys are {administrator}those of an administrator of MinIO"


TOPICS: dict[str, Callable[[TargetProbe], Said]] = {
    "cluster": _cluster,
    "Velero": _velero,
    "location": _location,
    "node-agent": _agents,
    "storage": _storage,
    "backups": _work,
    "Flux": _flux,
    "Prometheus": _prometheus,
    "disruption": _consent,
    "programs": _programs,
}
