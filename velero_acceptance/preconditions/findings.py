"""What is found on a target, topic by topic. An error in one topic hides no other."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from velero_acceptance.checks import node_agents
from velero_acceptance.checks.schedule import seconds_of
from velero_acceptance.core.errors import AcceptanceError
from velero_acceptance.core.naming import DISRUPT_LABEL, DISRUPT_VALUE
from velero_acceptance.core.programs import execute
from velero_acceptance.core.settings import Target
from velero_acceptance.core.timeouts import seconds
from velero_acceptance.drivers import kinds
from velero_acceptance.drivers.kinds import condition, is_ready, labels_of, name_of, phase_of, time_of
from velero_acceptance.drivers.kubernetes import list_known
from velero_acceptance.drivers.minio_admin import Users
from velero_acceptance.drivers.velero_server import AGENT
from velero_acceptance.preconditions.probes import KINDS_OF_VOLUMES, TargetProbe
from velero_acceptance.target.lock import live_holder

DEFAULT_FREQUENCY = "1m"
# A validation is stale after so many periods.
GRACE = 3
PROMETHEUS_PORT = 9090


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


States = Iterator[tuple[State, str]]


def findings(probe: TargetProbe, s3: str) -> Iterator[Finding]:
    """Every finding about the target. *s3*: why S3 cannot be reached; empty when it can."""
    for topic, examine in TOPICS.items():
        try:
            for state, text in examine(probe):
                yield Finding(topic, text, state)
        except (AcceptanceError, KeyError) as error:
            yield Finding(topic, str(error), State.BROKEN)
    yield from (Finding("S3", text, state) for state, text in ([(State.BROKEN, s3)] if s3 else _s3(probe)))


def _or_broken(fine: object) -> State:
    return State.FINE if fine else State.BROKEN


def _or_note(fine: object) -> State:
    return State.FINE if fine else State.NOTE


def _cluster(probe: TargetProbe) -> States:
    context = f" (context {probe.environment.context})" if probe.environment.context else ""
    yield State.FINE, f"Kubernetes {probe.kubernetes.version()} at {probe.kubernetes.server}{context}"
    problem = probe.clocks.problem()
    yield _or_broken(not problem), problem or f"clocks: off by {probe.clocks.note()}"


def _velero(probe: TargetProbe) -> States:
    pods = probe.velero.server_pods()
    ready = sum(map(is_ready, pods))
    uploader = probe.velero.argument("--uploader-type", "as this version has by default")
    where = f"{probe.velero.image()} in {probe.velero.namespace}"
    yield _or_broken(ready), f"{where}, {ready} of {len(pods)} pods ready, uploader {uploader}"
    spec = probe.velero.deployment()["spec"]["template"]["spec"]
    yield State.FINE, "plugins: " + (", ".join(c["image"] for c in spec.get("initContainers", [])) or "none")


def _location(probe: TargetProbe) -> States:
    location, now = probe.velero.location(), probe.kubernetes.server_time()
    status, storage = location.get("status") or {}, location["spec"]["objectStorage"]
    message = f": {status['message']}" if status.get("message") else ""
    text = f"{name_of(location)} is {phase_of(location) or 'not validated yet'}{message}"
    yield _or_broken(phase_of(location) == "Available"), text
    if validated := status.get("lastValidationTime"):
        every = seconds_of(location["spec"].get("validationFrequency") or DEFAULT_FREQUENCY)
        age = (now - time_of(validated)).total_seconds()
        yield _or_broken(age <= GRACE * every + 10), f"last validated {max(age, 0):.0f} s ago, every {every:.0f} s"
    for name in ("bucket", "prefix"):
        deployed, configured = storage.get(name, "").strip("/"), getattr(probe.environment, name).strip("/")
        if deployed != configured:
            text = f"its {name} is {deployed!r} and the settings say {configured!r}: set current.{name}"
            yield State.BROKEN, text
    if (mode := location["spec"].get("accessMode")) == "ReadOnly":
        yield State.BROKEN, f"its access mode is {mode}: nothing can be backed up"


def _agents(probe: TargetProbe) -> States:
    status = (probe.kubernetes.get(kinds.DAEMON_SET, AGENT, probe.velero.namespace) or {}).get("status")
    if status is None:
        yield State.BROKEN, "there is no node-agent: volumes are not backed up"
        return
    ready, wanted = status["numberReady"], status["desiredNumberScheduled"]
    yield _or_broken(ready == wanted), f"ready on {ready} of the {wanted} nodes that want it"
    volumes = [v for v in probe.kubernetes.list_all(kinds.VOLUME) if "local" in v["spec"]]
    nodes, pods = (probe.kubernetes.list_all(kind) for kind in (kinds.NODE, kinds.POD))
    if lacking := node_agents.without_agent(volumes, nodes, probe.velero.agent_pods(), pods):
        yield State.BROKEN, f"nodes with local volumes and without node-agent: {', '.join(sorted(lacking))}"


def _storage(probe: TargetProbe) -> States:
    volumes = probe.kubernetes.list_all(kinds.VOLUME)
    for item in probe.kubernetes.list_all(kinds.STORAGE_CLASS):
        name = name_of(item)
        own = [v for v in volumes if v["spec"].get("storageClassName") == name]
        types = "".join(f", {kind}" for kind in sorted(KINDS_OF_VOLUMES) if any(kind in v["spec"] for v in own))
        used = name == probe.environment.storage_class
        text = f"{name} ({item['provisioner']}): {len(own)} volumes{types}"
        yield _or_note(used), text + (", the one to be used" if used else "")


def _backups(probe: TargetProbe) -> States:
    backups = probe.kubernetes.list_all(kinds.BACKUP, probe.velero.namespace)
    newest = max(backups, key=lambda item: str(item["metadata"]["creationTimestamp"]), default=None)
    last = f", the newest {name_of(newest)} {phase_of(newest)}" if newest else ""
    yield State.FINE, f"{len(backups)} backups{last}"
    for item in probe.kubernetes.list_all(kinds.SCHEDULE, probe.velero.namespace):
        last_run = (item.get("status") or {}).get("lastBackup") or "never"
        yield State.FINE, f"schedule {name_of(item)}: {item['spec']['schedule']}, last run {last_run}"
    if holder := live_holder(probe.kubernetes, probe.velero.namespace):
        yield State.NOTE, f"the run lock is held by {holder}"


def _flux(probe: TargetProbe) -> States:
    every = (kinds.GIT_REPOSITORY, kinds.KUSTOMIZATION, kinds.HELM_RELEASE)
    found = [(kind.kind, item) for kind in every for item in list_known(probe.kubernetes, kind) or []]
    if not found:
        yield State.NOTE, "none"
    for kind, item in found:
        state = "ready" if is_ready(item) else condition(item, "Ready").get("message", "not ready")
        yield _or_note(is_ready(item)), f"{kind} {item['metadata']['namespace']}/{name_of(item)}: {state}"


def _prometheus(probe: TargetProbe) -> States:
    services = probe.kubernetes.list_all(kinds.SERVICE)
    found = [s for s in services if any(port.get("port") == PROMETHEUS_PORT for port in s["spec"].get("ports") or [])]
    names = ", ".join(f"{s['metadata']['namespace']}/{name_of(s)}" for s in found)
    yield _or_note(names), f"services on port {PROMETHEUS_PORT}: {names or 'none'}"


def _disruption(probe: TargetProbe) -> States:
    if probe.environment.target is Target.LAB:
        yield State.FINE, "this is the suite's own lab: it may be disrupted"
        return
    namespace = probe.velero.namespace
    found = probe.kubernetes.get(kinds.NAMESPACE, namespace) or {"metadata": {}}
    agreed = labels_of(found).get(DISRUPT_LABEL) == DISRUPT_VALUE
    yield State.NOTE, f"the namespace {namespace} is {'' if agreed else 'not '}labelled {DISRUPT_LABEL}={DISRUPT_VALUE}"


def _programs(probe: TargetProbe) -> States:
    place = probe.environment
    for name, path in ((place.uploader, place.oracle), ("corpus", place.corpus), ("velero", place.velero_cli)):
        yield _or_note(path), f"{name}: {path or 'not in PATH'}"
    if place.velero_cli:
        done = execute(place.velero_cli, "version", "--client-only", timeout=seconds("version_call"))
        version = next((line.partition(":")[2].strip() for line in done.text.splitlines() if "Version:" in line), "?")
        same = probe.velero.image().endswith(f":{version}")
        yield _or_note(same), f"velero is {version}" + ("" if same else ", the server is not")
    there = place.capture and shutil.which(place.capture[0])
    yield _or_note(there), f"capture of packets: {' '.join(place.capture) or 'no command'}"


def _s3(probe: TargetProbe) -> States:
    place, root = probe.environment, probe.environment.key("")
    keys = f"{len(probe.bucket.keys(root))} keys below {root or 'its root'!r}"
    yield State.FINE, f"{place.s3.endpoint}, bucket {place.bucket}: {keys}"
    try:
        yield State.FINE, f"versioning {probe.bucket.state().versioning or 'off'}"
    except AcceptanceError as error:
        yield State.NOTE, str(error)
    if probe.bucket.incomplete_uploads() is None:
        yield State.NOTE, "the suite's keys may not list incomplete uploads: those are not checked"
    administrator = "" if Users(place.s3).permitted() else "not "
    yield State.FINE, f"the suite's keys are {administrator}those of an administrator of MinIO"


TOPICS: dict[str, Callable[[TargetProbe], States]] = {
    "cluster": _cluster,
    "Velero": _velero,
    "location": _location,
    "node-agent": _agents,
    "storage": _storage,
    "backups": _backups,
    "Flux": _flux,
    "Prometheus": _prometheus,
    "disruption": _disruption,
    "programs": _programs,
}
