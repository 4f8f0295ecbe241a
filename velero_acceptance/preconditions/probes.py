"""What a scenario can need of its target beyond Velero and a bucket: each need has one probe and one sentence.

The fixture of a need's name calls :func:`require`, which raises BLOCKED with the sentence; `acceptance doctor` runs the
same probe before a run. The needs of a scenario follow from the fixtures of its steps
(:mod:`velero_acceptance.preconditions.runnable`), so none of it is written down twice.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from velero_acceptance.checks.schedule import not_running, seconds_of
from velero_acceptance.core.errors import AcceptanceError, Blocked
from velero_acceptance.core.installation import missing_package
from velero_acceptance.core.settings import Environment
from velero_acceptance.core.timeouts import Timeouts
from velero_acceptance.drivers.git import Checkout
from velero_acceptance.drivers.kinds import KUSTOMIZATION, SCHEDULE, STORAGE_CLASS, VOLUME, Json
from velero_acceptance.drivers.kubernetes import Kubernetes, list_known
from velero_acceptance.drivers.minio_admin import Users
from velero_acceptance.drivers.minio_trace import S3Trace
from velero_acceptance.drivers.prometheus import Prometheus
from velero_acceptance.drivers.s3 import Bucket
from velero_acceptance.drivers.velero import Velero
from velero_acceptance.target.clocks import Clocks
from velero_acceptance.target.fault_reverts import flux_of

T = TypeVar("T")
COLLECTION = "--garbage-collection-frequency"
DEFAULT_COLLECTION = "1h"
MISSING_PROGRAM = "{} is missing in PATH: `acceptance lab up` builds or unpacks it, or install it"
MONITORING = "kubernetes/apps/velero-monitoring"
ALERTS = (
    "VeleroBackupFailed",
    "VeleroBackupMissed",
    "VeleroBackupPartiallyFailed",
    "VeleroLocationStale",
    "VeleroLocationUnavailable",
    "VeleroS3AlmostFull",
)
KINDS_OF_VOLUMES = ("local", "hostPath", "csi", "nfs")


@dataclass
class TargetProbe:
    """A target, to be probed. Nothing here writes."""

    environment: Environment
    kubernetes: Kubernetes
    velero: Velero
    timeouts: Timeouts
    clocks: Clocks

    @cached_property
    def bucket(self) -> Bucket:
        """The bucket; raises Refusal when it cannot be reached."""
        return Bucket(self.environment.s3, self.environment.bucket, call_seconds=self.timeouts["s3_call"])

    @property
    def prometheus(self) -> Prometheus:
        """The Prometheus in the settings, which must name one."""
        assert self.environment.prometheus is not None
        return Prometheus(self.environment.prometheus, call_seconds=self.timeouts["prometheus_call"])


Probe = Callable[[TargetProbe], str]


def require(need: str, probe: TargetProbe) -> None:
    """Raise Blocked with the reason when the target lacks *need*."""
    if reason := missing(need, probe):
        raise Blocked(reason)


def required(need: str, probe: TargetProbe, value: T | None) -> T:
    """*value*, which a target that meets *need* has; raises Blocked with the reason when it does not meet it."""
    require(need, probe)
    assert value is not None
    return value


def missing(need: str, probe: TargetProbe) -> str:
    """Why the target does not meet *need*, in one sentence; empty when it does."""
    return NEEDS[need](probe)


def not_local(storage_class: str, volume: Json) -> str:
    """What is wrong with a volume that is not local; empty when it is."""
    if "local" in volume["spec"]:
        return ""
    kind = next((kind for kind in KINDS_OF_VOLUMES if kind in volume["spec"]), "another kind")
    return (
        f"the StorageClass {storage_class} makes volumes of {kind}: Velero would skip them or treat them otherwise; "
        "choose a class of local volumes"
    )


def _setting(value: Callable[[Environment], object], sentence: str) -> Probe:
    """The probe of a need that is met by a value of the settings."""
    return lambda probe: "" if value(probe.environment) else sentence


def _answer(question: Callable[[TargetProbe], object], sentence: str = "{}") -> Probe:
    """The probe of a need that is met when *question* raises no error; its message goes into *sentence*."""

    def ask(probe: TargetProbe) -> str:
        try:
            question(probe)
        except (AcceptanceError, OSError) as error:
            return sentence.format(error)
        return ""

    return ask


_repository = _setting(
    lambda place: place.gitops, "the repository that Flux deploys is not known: set current.gitops to a checkout of it"
)
_head = _answer(lambda probe: _checkout_of(probe).head(), "current.gitops is no checkout: {}")
_remote = _answer(lambda probe: _checkout_of(probe).require_remote(), "the repository cannot be pushed to: {}")


def _checkout_of(probe: TargetProbe) -> Checkout:
    assert probe.environment.gitops is not None
    return Checkout(probe.environment.gitops)


def _flux(probe: TargetProbe) -> str:
    place = probe.environment
    flux = flux_of(probe.kubernetes, place, probe.timeouts)
    if not flux.installed():
        where = f"{place.flux_namespace}/{place.flux_name}"
        return f"there is no Flux with a GitRepository {where}: set current.flux_namespace and current.flux_name"
    problem = flux.source_problem()
    return f"Flux cannot fetch the repository: {problem}" if problem else ""


def _kustomizations(probe: TargetProbe) -> str:
    known = list_known(probe.kubernetes, KUSTOMIZATION) is not None
    return "" if known else "the cluster has no Flux: it does not know Kustomizations"


def _monitoring(probe: TargetProbe) -> str:
    if probe.environment.gitops is None or not (probe.environment.gitops / MONITORING).is_dir():
        return f"{MONITORING} is expected in the deployed repository: set current.gitops to a checkout that has it"
    return missing_package("promql_parser")


def _s3_trace(probe: TargetProbe) -> str:
    if S3Trace(probe.environment.s3, probe.environment.bucket).readable():
        return ""
    return "requests to S3 are only in the trace of a MinIO: the suite's keys are not those of its administrator"


def _s3_administrator(probe: TargetProbe) -> str:
    if Users(probe.environment.s3).permitted():
        return ""
    return missing_package("minio") or (
        "users, policies and buckets are made by an administrator of MinIO: the suite's keys are not those of one"
    )


def _capture_command(probe: TargetProbe) -> str:
    command = probe.environment.capture
    if not command:
        return "packets cannot be captured at the S3 host: set current.capture to the command that runs tcpdump there"
    if not shutil.which(command[0]):
        return f"{command[0]}, which is to capture packets at the S3 host, is missing in PATH"
    return missing_package("scapy")


def _deployed_schedule(probe: TargetProbe) -> str:
    name, namespace = probe.environment.schedule, probe.velero.namespace
    if probe.kubernetes.get(SCHEDULE, name, namespace) is None:
        return f"there is no Schedule {namespace}/{name}: set current.schedule to the one that runs daily"
    return ""


def _enabled_schedule(probe: TargetProbe) -> str:
    name, namespace = probe.environment.schedule, probe.velero.namespace
    if reason := _deployed_schedule(probe):
        return reason
    problem = not_running(probe.kubernetes.require(SCHEDULE, name, namespace))
    return f"the Schedule {namespace}/{name} {problem}" if problem else ""


def _collector(probe: TargetProbe) -> str:
    every, patience = probe.velero.argument(COLLECTION, DEFAULT_COLLECTION), probe.timeouts["garbage_collected"]
    if seconds_of(every) <= patience:
        return ""
    return (
        f"the server collects garbage every {every} and the suite waits {patience:g} s for it: start it with a shorter "
        f"{COLLECTION}, or wait longer with ACCEPTANCE_TIMEOUTS='{{\"garbage_collected\": 7200}}'"
    )


def _workloads(probe: TargetProbe) -> str:
    name = probe.environment.storage_class
    if probe.kubernetes.get(STORAGE_CLASS, name) is None:
        return f"there is no StorageClass {name}: set current.storage_class to one of local volumes"
    volumes = [v for v in probe.kubernetes.list_all(VOLUME) if v["spec"].get("storageClassName") == name]
    return next(filter(None, (not_local(name, volume) for volume in volumes)), "")


def _prometheus(probe: TargetProbe) -> str:
    if probe.environment.prometheus is None:
        return "metrics are read from Prometheus: set current.prometheus to its address"
    return _answer(lambda probe: probe.prometheus.targets(), "{}: is current.prometheus its address?")(probe)


def _alert_drill(probe: TargetProbe) -> str:
    if not probe.environment.alert_durations or probe.environment.toxiproxy is None:
        return "alerts about the last day need a Prometheus with shortened durations: only the lab has one"
    if absent := sorted(set(ALERTS) - probe.prometheus.alerts()):
        return f"Prometheus has no alert {absent[0]}: load the rules of {MONITORING}/app/alerts.yaml"
    return ""


NEEDS: dict[str, Probe] = {
    "age_key": _setting(
        lambda place: place.age_key and place.age_key.exists(),
        "there is no age key: set current.age_key to the file that decrypts the repository's secrets",
    ),
    "alert_drill": _alert_drill,
    "audit": _setting(
        lambda place: place.audit_log and place.audit_log.exists(),
        "who made a backup is only in the API server's audit log: set current.audit_log to its path",
    ),
    "bucket_state": _answer(lambda probe: probe.bucket.state()),
    "capture_command": _capture_command,
    "changes": lambda probe: _repository(probe) or _remote(probe),
    "checkout": lambda probe: _repository(probe) or _head(probe),
    "clocks_agree": lambda probe: probe.clocks.problem(),
    "collector": _collector,
    "corpus_program": _setting(lambda place: place.corpus, MISSING_PROGRAM.format("corpus")),
    "deployed_schedule": _deployed_schedule,
    "enabled_schedule": _enabled_schedule,
    "flux": _flux,
    "foreign_bucket": _setting(
        lambda place: place.foreign_bucket, "no bucket is named that Velero must not reach: set current.foreign_bucket"
    ),
    "kustomizations": _kustomizations,
    "monitoring": _monitoring,
    "oracle_program": lambda probe: (
        "" if probe.environment.oracle else MISSING_PROGRAM.format(probe.environment.uploader)
    ),
    "pod_groups": _setting(
        lambda place: place.cgroups,
        "the resources of pods are read from their control groups: only those of the lab are on this machine",
    ),
    "prometheus": _prometheus,
    "promtool": _setting(lambda place: place.promtool, MISSING_PROGRAM.format("promtool")),
    "s3_administrator": _s3_administrator,
    "s3_trace": _s3_trace,
    "toxiproxy": _setting(
        lambda place: place.toxiproxy, "faults on the route to S3 need toxiproxy in front of it: only the lab has one"
    ),
    "velero_command": _setting(
        lambda place: place.velero_cli, "the command velero is missing in PATH: install the version that the server has"
    ),
    "workloads": _workloads,
}
