"""What a scenario can need of its target beyond Velero and a bucket: each need has one question and one sentence.

The fixture of a need's name asks here, and raises BLOCKED with the sentence; `acceptance doctor` asks the same
question before a run. Which scenario has which needs follows from the fixtures that its steps ask for
(:mod:`velero_acceptance.preconditions.needs`), so none of it is written down twice.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from velero_acceptance.checks.schedule import seconds_of
from velero_acceptance.core.errors import AcceptanceError, Blocked
from velero_acceptance.core.settings import Environment
from velero_acceptance.core.timeouts import Timeouts
from velero_acceptance.drivers.git import Checkout
from velero_acceptance.drivers.kinds import KUSTOMIZATION, SCHEDULE, STORAGE_CLASS, VOLUME, Json, phase_of
from velero_acceptance.drivers.kubernetes import ApiError, Kubernetes
from velero_acceptance.drivers.minio_admin import Users
from velero_acceptance.drivers.minio_trace import S3Trace
from velero_acceptance.drivers.prometheus import Prometheus
from velero_acceptance.drivers.s3 import Bucket
from velero_acceptance.drivers.velero import Velero
from velero_acceptance.target.clocks import Clocks
from velero_acceptance.target.fault_reverts import flux_of

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
    """A target, to be asked what it has. Nothing here writes."""

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
        """The Prometheus that the suite is told of; there is one."""
        assert self.environment.prometheus is not None
        return Prometheus(self.environment.prometheus, call_seconds=self.timeouts["prometheus_call"])


def require(need: str, look: TargetProbe) -> None:
    """Raise Blocked with the reason when the target lacks *need*."""
    if reason := missing(need, look):
        raise Blocked(reason)


def missing(need: str, look: TargetProbe) -> str:
    """Why the target does not have *need*, in one sentence; empty when it does."""
    return NEEDS[need](look)


def not_local(storage_class: str, volume: Json) -> str:
    """What is wrong with a volume that is not local; empty when it is."""
    if "local" in volume["spec"]:
        return ""
    kind = next((kind for kind in KINDS_OF_VOLUMES if kind in volume["spec"]), "another kind")
    return (
        f"the StorageClass {storage_class} makes volumes of {kind}: Velero would skip or treat them otherwise; "
        "choose a class of local volumes"
    )


# -- Flux and Git ----------------------------------------------------------------------------


def _flux(probe: TargetProbe) -> str:
    place = probe.environment
    flux = flux_of(probe.kubernetes, place, probe.timeouts)
    if not flux.installed():
        where = f"{place.flux_namespace}/{place.flux_name}"
        return f"there is no Flux with a GitRepository {where}: set current.flux_namespace and current.flux_name"
    problem = flux.source_problem()
    return f"Flux cannot fetch the repository: {problem}" if problem else ""


def _kustomizations(probe: TargetProbe) -> str:
    try:
        probe.kubernetes.list_all(KUSTOMIZATION)
    except ApiError as error:
        if error.status == 404:
            return "the cluster has no Flux: it does not know Kustomizations"
        raise
    return ""


def _checkout(probe: TargetProbe) -> str:
    if probe.environment.gitops is None:
        return "the repository that Flux deploys is not known: set current.gitops to a checkout of it"
    try:
        Checkout(probe.environment.gitops).head()
    except (AcceptanceError, OSError) as error:
        return f"current.gitops is no checkout: {error}"
    return ""


def _changes(probe: TargetProbe) -> str:
    if probe.environment.gitops is None:
        return _checkout(probe)
    try:
        Checkout(probe.environment.gitops).require_remote()
    except (AcceptanceError, OSError) as error:
        return f"the repository cannot be pushed to: {error}"
    return ""


def _age_key(probe: TargetProbe) -> str:
    if probe.environment.age_key is None or not probe.environment.age_key.exists():
        return "there is no age key: set current.age_key to the file that decrypts the repository's secrets"
    return ""


# -- S3 --------------------------------------------------------------------------------------


def _toxiproxy(probe: TargetProbe) -> str:
    return (
        "" if probe.environment.toxiproxy else "faults on the way to S3 need toxiproxy before it: only the lab has one"
    )


def _s3_trace(probe: TargetProbe) -> str:
    if S3Trace(probe.environment.s3).readable():
        return ""
    return "what S3 was asked is only in the trace of a MinIO: the suite's keys are not those of its administrator"


def _s3_administrator(probe: TargetProbe) -> str:
    if Users(probe.environment.s3).permitted():
        return ""
    return "users, policies and buckets are made by an administrator of MinIO: the suite's keys are not those of one"


def _bucket_state(probe: TargetProbe) -> str:
    try:
        probe.bucket.state()
    except AcceptanceError as error:
        return str(error)
    return ""


def _foreign_bucket(probe: TargetProbe) -> str:
    if probe.environment.foreign_bucket is None:
        return "no bucket is named that Velero must not reach: set current.foreign_bucket"
    return ""


def _capture_command(probe: TargetProbe) -> str:
    command = probe.environment.capture
    if not command:
        return "packets cannot be kept at the S3 host: set current.capture to the command that runs tcpdump there"
    return (
        "" if shutil.which(command[0]) else f"{command[0]}, which is to keep packets at the S3 host, is missing in PATH"
    )


# -- Velero ----------------------------------------------------------------------------------


def _deployed_schedule(probe: TargetProbe) -> str:
    name, namespace = probe.environment.schedule, probe.velero.namespace
    found = probe.kubernetes.get(SCHEDULE, name, namespace)
    if found is None:
        return f"there is no Schedule {namespace}/{name}: set current.schedule to the one that runs daily"
    if phase_of(found) != "Enabled" or found["spec"].get("paused"):
        return f"the Schedule {namespace}/{name} is {'paused' if found['spec'].get('paused') else 'not enabled'}"
    return ""


def _collector(probe: TargetProbe) -> str:
    every, patience = probe.velero.argument(COLLECTION, DEFAULT_COLLECTION), probe.timeouts["garbage_collected"]
    if seconds_of(every) <= patience:
        return ""
    return (
        f"the server collects garbage every {every} and the suite waits {patience:g} s for it: start it with a shorter "
        f"{COLLECTION}, or be patient with ACCEPTANCE_TIMEOUTS='{{\"garbage_collected\": 7200}}'"
    )


def _audit(probe: TargetProbe) -> str:
    if probe.environment.audit_log is None or not probe.environment.audit_log.exists():
        return "who made a backup is only in the API server's audit log: set current.audit_log to its path"
    return ""


# -- monitoring ------------------------------------------------------------------------------


def _prometheus(probe: TargetProbe) -> str:
    if probe.environment.prometheus is None:
        return "metrics are looked at in Prometheus: set current.prometheus to its address"
    try:
        probe.prometheus.targets()
    except AcceptanceError as error:
        return f"{error}: is current.prometheus its address?"
    return ""


def _alert_drill(probe: TargetProbe) -> str:
    if not probe.environment.alert_durations or probe.environment.toxiproxy is None:
        return "alerts about the last day need a Prometheus with shortened durations: only the lab has one"
    if lacking := sorted(set(ALERTS) - probe.prometheus.alerts()):
        return f"Prometheus has no alert {lacking[0]}: load the rules of {MONITORING}/app/alerts.yaml"
    return ""


def _promtool(probe: TargetProbe) -> str:
    return MISSING_PROGRAM.format("promtool") if probe.environment.promtool is None else ""


def _monitoring(probe: TargetProbe) -> str:
    if probe.environment.gitops is None or not (probe.environment.gitops / MONITORING).is_dir():
        return f"{MONITORING} is looked for in the deployed repository: set current.gitops to a checkout that has it"
    return ""


def _pod_groups(probe: TargetProbe) -> str:
    if probe.environment.cgroups:
        return ""
    return "the use of pods is read from their control groups: only those of the lab are on this machine"


# -- this machine, and what runs on the cluster ------------------------------------------------


def _velero_command(probe: TargetProbe) -> str:
    if probe.environment.velero_cli is None:
        return "the command velero is missing in PATH: install the version that the server has"
    return ""


def _oracle_program(probe: TargetProbe) -> str:
    place = probe.environment
    return MISSING_PROGRAM.format(place.uploader) if place.oracle is None else ""


def _corpus_program(probe: TargetProbe) -> str:
    return MISSING_PROGRAM.format("corpus") if probe.environment.corpus is None else ""


def _workloads(probe: TargetProbe) -> str:
    wanted = probe.environment.storage_class
    if probe.kubernetes.get(STORAGE_CLASS, wanted) is None:
        return f"there is no StorageClass {wanted}: set current.storage_class to one of local volumes"
    volumes = [v for v in probe.kubernetes.list_all(VOLUME) if v["spec"].get("storageClassName") == wanted]
    return next(filter(None, (not_local(wanted, volume) for volume in volumes)), "")


def _clocks_agree(probe: TargetProbe) -> str:
    return probe.clocks.problem()


NEEDS: dict[str, Callable[[TargetProbe], str]] = {
    "age_key": _age_key,
    "alert_drill": _alert_drill,
    "audit": _audit,
    "bucket_state": _bucket_state,
    "capture_command": _capture_command,
    "changes": _changes,
    "checkout": _checkout,
    "clocks_agree": _clocks_agree,
    "collector": _collector,
    "corpus_program": _corpus_program,
    "deployed_schedule": _deployed_schedule,
    "flux": _flux,
    "foreign_bucket": _foreign_bucket,
    "kustomizations": _kustomizations,
    "monitoring": _monitoring,
    "oracle_program": _oracle_program,
    "pod_groups": _pod_groups,
    "prometheus": _prometheus,
    "promtool": _promtool,
    "s3_administrator": _s3_administrator,
    "s3_trace": _s3_trace,
    "toxiproxy": _toxiproxy,
    "velero_command": _velero_command,
    "workloads": _workloads,
}
