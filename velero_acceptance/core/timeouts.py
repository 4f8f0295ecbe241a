"""The named timeouts of the suite, in seconds: one table, overridable, scaled by one factor.

``ACCEPTANCE_TIMEOUTS='{"backup_finished": 900}'`` replaces single values,
``ACCEPTANCE_TIMEOUT_FACTOR=3`` stretches all of them for a slow cluster. They only say how long the
suite waits; the design's limits are in ``criteria/``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping

from velero_acceptance.core.errors import Refusal

DEFAULTS: dict[str, float] = {
    # Kubernetes
    "api_call": 30,
    "namespace_gone": 120,
    "object_gone": 60,
    "quota_counted": 30,
    "pod_ready": 120,
    "workload_ready": 120,
    "exec": 120,
    # A node renews its Lease every ten seconds
    "clocks_compared": 25,
    # Velero
    "backup_started": 90,
    "backup_finished": 300,
    # Velero 1.18 processes its queue when a backup ends, and once a minute
    "queue_looked_through": 75,
    "restore_started": 60,
    "restore_finished": 300,
    "backup_deleted": 180,
    "backup_synced": 150,
    "velero_restarted": 120,
    "location_phase": 90,
    "schedule_fires": 75,
    "garbage_collected": 120,
    "repository_ready": 120,
    # From a cut connection to S3 to the end of the backup: restic retries for about six minutes
    "uploader_gives_up": 900,
    "repository_maintained": 120,
    # Added to a wait for each gigabyte (10^9 bytes) of data of a chosen size
    "gigabyte": 180,
    "cli_call": 60,
    # S3
    "s3_call": 20,
    # Prometheus
    "prometheus_call": 15,
    "metric_scraped": 45,
    # Velero updates its metric of the last success once a minute
    "alert_changes": 150,
    # MinIO measures a bucket once a minute, and reports it a minute later
    "usage_counted": 180,
    # Flux
    "flux_reconciled": 120,
    "deployed": 300,
    "secret_rotated": 240,
    # From a log line to its copy in the suite
    "log_followed": 5,
    # How long to watch before concluding that something does not happen
    "quiet": 12,
    # The lab
    "lab_process_started": 10,
    "lab_processes_gone": 10,
    "lab_api_ready": 60,
    "lab_containerd_ready": 30,
    "lab_nodes_ready": 90,
    "lab_s3_ready": 30,
    "lab_registry_ready": 30,
    "lab_velero_deployed": 300,
    "lab_kubectl_call": 60,
    "kind_engine_ready": 30,
    "kind_call": 300,
    # Scenarios that must have the cluster to themselves, and workers that clean up
    "exclusive_use": 900,
    "workers_cleaned_up": 300,
}


def seconds(name: str) -> float:
    """The timeout *name* from the environment; for code that has no table."""
    return Timeouts.from_environment()[name]


class Timeouts(Mapping[str, float]):
    """Seconds by name; an unknown name is a KeyError."""

    def __init__(self, overrides: Mapping[str, float] | None = None, factor: float = 1.0) -> None:
        self._values = {name: value * factor for name, value in {**DEFAULTS, **(overrides or {})}.items()}

    @staticmethod
    def from_environment(environment: Mapping[str, str] = os.environ) -> Timeouts:
        """The table with the environment's overrides; raises Refusal for an invalid one."""
        try:
            factor = float(environment.get("ACCEPTANCE_TIMEOUT_FACTOR", "1"))
            overrides = json.loads(environment.get("ACCEPTANCE_TIMEOUTS", "{}"))
            numbers = {name: float(value) for name, value in overrides.items()}
        except (ValueError, AttributeError, TypeError):
            raise Refusal(
                "ACCEPTANCE_TIMEOUT_FACTOR must be a number and ACCEPTANCE_TIMEOUTS a JSON object of seconds by name"
            ) from None
        unknown = sorted(set(numbers) - set(DEFAULTS))
        if unknown:
            raise Refusal(f"ACCEPTANCE_TIMEOUTS names {unknown[0]}, which is none of {', '.join(sorted(DEFAULTS))}")
        if not 0 < factor <= 100 or any(value <= 0 for value in numbers.values()):
            raise Refusal("timeouts must be above 0 seconds and the factor between 0 and 100")
        return Timeouts(numbers, factor)

    def __getitem__(self, name: str) -> float:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)
