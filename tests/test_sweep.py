"""Fences of what the suite makes, and the sweep of what a killed run left: by label and run id, and nobody else's."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from tests.api_server import ApiServer, client, serving
from velero_acceptance.core.naming import EXPIRY, EXPIRY_LABEL, LONG_AGO, RUN_LABEL, expiry_of, labels, unique
from velero_acceptance.core.settings import Environment, S3Access, Target
from velero_acceptance.core.timeouts import Timeouts
from velero_acceptance.core.waiting import WaitTimedOut
from velero_acceptance.drivers.kinds import LEASE, NAMESPACE, NETWORK_POLICY, RESOURCE_QUOTA, Json, stamp
from velero_acceptance.drivers.s3 import Bucket
from velero_acceptance.target import sweep as module
from velero_acceptance.target.lock import NAME as LOCK
from velero_acceptance.target.namespace_isolation import NAME, STORAGE, isolate, storage_for
from velero_acceptance.target.sweep import sweep


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with serving() as found:
        yield found


# -- fences --------------------------------------------------------------------------------------


def counted(server: ApiServer, counts: bool = True) -> None:
    """A quota controller that fills in the status at once, or never."""

    def count(method: str, path: str, body: Json) -> None:
        if method == "POST" and path.endswith("/resourcequotas") and counts:
            body["status"] = {"hard": body["spec"]["hard"]}

    server.before = count


def test_a_namespace_is_fenced_in(server: ApiServer, tmp_path: Path) -> None:
    counted(server)
    isolate(client(server, tmp_path), "ours", STORAGE, timeout=5)
    policy = server.objects[NETWORK_POLICY.path("ours", NAME)]["spec"]
    assert policy == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    hard = server.objects[RESOURCE_QUOTA.path("ours", NAME)]["spec"]["hard"]
    assert hard["requests.storage"] == str(STORAGE) and hard.keys() == {
        "pods",
        "persistentvolumeclaims",
        "requests.storage",
    }


def test_a_quota_that_is_never_counted_is_a_timeout(server: ApiServer, tmp_path: Path) -> None:
    """Until then Kubernetes refuses every pod."""
    counted(server, counts=False)
    with pytest.raises(WaitTimedOut, match="the quota of ours is in effect"):
        isolate(client(server, tmp_path), "ours", STORAGE, timeout=0.3)


def test_the_quota_has_room_for_the_data() -> None:
    assert storage_for(256 << 20) == STORAGE
    assert storage_for(10**10) == 2 * 10**10


# -- sweep ---------------------------------------------------------------------------------------


def left(server: ApiServer, run: str, *, hours: float) -> str:
    """A namespace that *run* left, which anybody may remove in *hours*."""
    name = unique(run)
    expires = (datetime.now(UTC) + timedelta(hours=hours)).strftime(EXPIRY)
    server.put(NAMESPACE, {"metadata": {"name": name, "labels": {RUN_LABEL: run, EXPIRY_LABEL: expires}}})
    return name


def swept(
    server: ApiServer, folder: Path, monkeypatch: pytest.MonkeyPatch, **options: Any
) -> tuple[set[str], list[str]]:
    """The runs that are left after a sweep, and what it said."""
    monkeypatch.setattr(Bucket, "__init__", lambda self, *_, **__: setattr(self, "name", "b"))
    monkeypatch.setattr(Bucket, "listing", lambda *_: {})
    monkeypatch.setattr(Bucket, "incomplete_uploads", lambda _: [])
    monkeypatch.setattr(module, "revert_faults", lambda *_: iter(["the taint of node n"]))
    access = S3Access(endpoint="e", access_key=SecretStr("a"), secret_key=SecretStr("b"))
    kubeconfig = client(server, folder).kubeconfig
    kept = folder / "kept"
    environment = Environment(
        target=Target.CURRENT, kubeconfig=kubeconfig, s3=access, corpus_image="x", ledger=kept, soak=kept
    )
    said = list(sweep(environment, Timeouts({"backup_deleted": 1, "object_gone": 1}), **options))
    runs = {item["metadata"]["labels"][RUN_LABEL] for item in server.objects.values() if "labels" in item["metadata"]}
    return runs, said


@pytest.mark.parametrize(
    ("options", "runs"),
    [
        ({}, set()),
        ({"run": "old"}, {"new"}),
        ({"expired": True}, {"new"}),
        ({"run": "new", "expired": True}, {"old", "new"}),
    ],
)
def test_what_is_swept(
    server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], runs: set[str]
) -> None:
    left(server, "old", hours=-1)
    left(server, "new", hours=1)
    server.put(NAMESPACE, {"metadata": {"name": "shop"}})
    found, said = swept(server, tmp_path, monkeypatch, **options)
    assert found == runs
    assert NAMESPACE.path(None, "shop") in server.objects
    assert "undone: the taint of node n" in said


def held(server: ApiServer, run: str) -> None:
    now = stamp(datetime.now(UTC), "microseconds")
    spec = {"holderIdentity": f"{run} of ann@desk", "leaseDurationSeconds": 60, "renewTime": now}
    server.put(LEASE, {"metadata": {"name": LOCK}, "spec": spec}, "velero")


@pytest.mark.parametrize("options", [{}, {"run": "busy"}, {"expired": True}])
def test_a_run_at_work_is_left_alone_and_nothing_is_mended_beside_it(
    server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    left(server, "busy", hours=-1)
    held(server, "busy")
    found, said = swept(server, tmp_path, monkeypatch, **options)
    assert found == {"busy"} and said == ["busy: left alone, it is at work"]


def test_the_run_that_sweeps_first_keeps_its_own(
    server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left(server, "old", hours=1)
    left(server, "mine", hours=1)
    held(server, "mine")
    found, said = swept(server, tmp_path, monkeypatch, keep="mine")
    assert found == {"mine"} and "undone: the taint of node n" in said


def test_of_several_things_the_last_expiry_counts(
    server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left(server, "run", hours=-1)
    left(server, "run", hours=1)
    assert swept(server, tmp_path, monkeypatch, expired=True)[0] == {"run"}


def test_an_expiry_can_be_read_back() -> None:
    assert expiry_of(labels("run", "scenario")) > datetime.now(UTC) + timedelta(hours=5)
    assert expiry_of({}) == expiry_of({EXPIRY_LABEL: "soon"}) == LONG_AGO
