"""Read reports of older schemas: before 2.0 some measurements had other names (CHANGELOG.md lists them)."""

from __future__ import annotations

from typing import Any

OLDER_VERSIONS = ("1.0", "1.1", "1.2", "2.0")
# Names of measurements by their names before schema 2.0.
RENAMED = {
    "agents_blind": "agents_without_pod_mounts",
    "agents_unseen": "agents_not_scraped",
    "alerts_unfounded": "false_positive_alerts",
    "backups_not_found_again": "backups_not_synced",
    "buckets_velero_may_make": "bucket_creations_allowed",
    "copies_not_completed": "metadata_not_completed",
    "corruptions_passed": "corruptions_not_detected",
    "drifts_left": "drifts_not_reverted",
    "due_times_as_designed": "next_runs_matching",
    "files_from_after_the_backup": "files_written_after_backup",
    "forbidden_calls_allowed": "unauthorized_calls_allowed",
    "foreign_mounts": "mounts_by_other_pods",
    "foreign_namespaces": "unexpected_namespaces",
    "foreign_reads_allowed": "unauthorized_reads_allowed",
    "kills_not_told": "oom_kills_not_reported",
    "metrics_untrue": "metrics_incorrect",
    "neighbours_damaged": "other_backups_damaged",
    "plaintext_leaves": "plaintext_values",
    "readable_bytes": "plaintext_bytes",
    "response": "response_time",
    "runs_by_others": "runs_not_by_velero",
    "runs_piled_up": "overlapping_runs",
    "samples_disagreeing": "samples_not_matching",
    "schedules_live": "schedules_in_cluster",
}


def upgrade(report: dict[str, Any], version: str) -> dict[str, Any]:
    """The content of a traceability.json of an older schema as it would be written today."""
    return {**_renamed(report), "schema_version": version}


def _renamed(node: Any) -> Any:
    if isinstance(node, list):
        return [_renamed(item) for item in node]
    if not isinstance(node, dict):
        return node
    found = {key: _renamed(value) for key, value in node.items()}
    if isinstance(name := found.get("name"), str) and "value" in found:  # a measurement or a threshold
        found["name"] = RENAMED.get(name, name)
    return found
