"""What a scheduled run holds, and who made it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from velero_acceptance.checks.schedule import missing, namespaces_archived, namespaces_in, unexpected
from velero_acceptance.core.errors import AcceptanceError
from velero_acceptance.drivers.audit_log import AuditLog, Request
from velero_acceptance.drivers.kinds import BACKUP

LIST = {
    "v1/ConfigMap": ["database/a", "network/b"],
    "v1/Namespace": ["database", "monitoring"],
    "v1/PersistentVolume": ["pvc-1"],
}


def test_namespaces_are_those_of_objects_and_those_that_are_objects() -> None:
    assert namespaces_in(LIST) == {"database", "monitoring", "network"}
    assert namespaces_in({}) == set()


def test_what_is_missing_and_what_is_too_much() -> None:
    held = {"database", "kube-system"}
    assert missing(["database", "monitoring"], held) == ["monitoring"]
    assert unexpected(["database", "monitoring"], held) == ["kube-system"]


def entry(**changes: Any) -> dict[str, Any]:
    about = {"apiGroup": "velero.io", "resource": "backups", "namespace": "velero", "name": "b1"}
    return {
        "verb": "create",
        "user": {"username": "system:serviceaccount:velero:velero-server"},
        "userAgent": "velero-server/v1",
        "objectRef": {**about, **changes.pop("about", {})},
        "responseStatus": {"code": 201},
        **changes,
    }


def log(folder: Path, *entries: dict[str, Any]) -> AuditLog:
    path = folder / "audit.log"
    path.write_text("".join(json.dumps(e) + "\n" for e in entries))
    return AuditLog(path)


def test_every_creation_is_found(tmp_path: Path) -> None:
    found = log(tmp_path, entry(), entry(user={"username": "admin"})).creations(BACKUP, "velero", "b1")
    assert found == [
        Request("system:serviceaccount:velero:velero-server", "velero-server/v1"),
        Request("admin", "velero-server/v1"),
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"verb": "patch"},
        {"about": {"name": "b1-2"}},
        {"about": {"namespace": "other"}},
        {"about": {"resource": "restores"}},
        {"about": {"subresource": "status"}},
        {"responseStatus": {"code": 409}},
        {"objectRef": None, "about": {}},
    ],
)
def test_other_requests_are_not_creations_of_it(tmp_path: Path, changes: dict[str, Any]) -> None:
    assert log(tmp_path, entry(**changes)).creations(BACKUP, "velero", "b1") == []


def test_a_missing_log_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(AcceptanceError, match=r"audit.log cannot be read: No such file"):
        AuditLog(tmp_path / "audit.log").creations(BACKUP, "velero", "b1")


def test_the_archive_is_read_by_its_names() -> None:
    members = [
        "metadata/version",
        "resources",
        "resources/namespaces/cluster/database.json",
        "resources/namespaces/v1-preferredversion/cluster/database.json",
        "resources/pods/namespaces/monitoring/p.json",
        "./resources/pods/v1-preferredversion/namespaces/network/p.json",
        "resources/persistentvolumes/cluster/pvc-1.json",
    ]
    assert namespaces_archived(members) == {"database", "monitoring", "network"}
    assert namespaces_archived([]) == set()
