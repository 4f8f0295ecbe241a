"""Policies, Pod Security and quotas: the cause within seconds, BLOCKED with their words, and no missing right."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from fixtures.applications.workload import Workload
from fixtures.environment.cluster import TargetClients
from tests.fake_velero import FakeVelero
from velero_acceptance.core.errors import Blocked
from velero_acceptance.core.programs import ExecResult
from velero_acceptance.core.waiting import WaitTimedOut
from velero_acceptance.drivers import kubernetes as module
from velero_acceptance.drivers.admission import refusal
from velero_acceptance.drivers.kubernetes import ApiError, Kubernetes
from velero_acceptance.evidence.records import Outcome
from velero_acceptance.suite.records import _outcome, _words

POLICY = (
    "pods \"corpus-7f-x\" is forbidden: ValidatingAdmissionPolicy 'non-root' with binding 'non-root' denied request: "
    "pods must run as non-root"
)
POLICIES = [
    POLICY,
    'admission webhook "validate.kyverno.svc-fail" denied the request: \n\npolicy Pod/acc-x/corpus',
    'pods "p" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false',
    'pods "p" is forbidden: exceeded quota: compute, requested: pods=1, used: pods=10, limited: pods=10',
    'pods "p" is forbidden: failed quota: compute: must specify limits.cpu for: corpus',
    'pods "p" is forbidden: maximum memory usage per Container is 64Mi, but limit is 512Mi',
]
RIGHTS = [
    'pods is forbidden: User "x" cannot create resource "pods" in API group "" in the namespace "acc-x"',
    'namespaces "acc-x" not found',
]


@pytest.mark.parametrize("message", POLICIES)
def test_a_policy_is_told_from_a_missing_right(message: str) -> None:
    assert refusal(f"POST /api/v1/namespaces/acc-x/pods: {message}") in message
    for status in (400, 403, 422):
        error = ApiError(status, f"POST /api/v1/pods: {message}")
        assert _outcome(error) is Outcome.BLOCKED
        assert _words(error).startswith("the cluster's admission refuses it, which is no missing right: ")


@pytest.mark.parametrize("message", RIGHTS)
def test_another_refusal_is_none_of_a_policy(message: str) -> None:
    error = ApiError(403, message)
    assert refusal(message) == "" and _words(error) == message and _outcome(error) is Outcome.BLOCKED
    assert _outcome(ApiError(400, message)) is Outcome.FAILED


@pytest.mark.parametrize("message", POLICIES)
def test_a_workload_whose_pods_are_refused_is_blocked_at_once(
    target: TargetClients, velero: FakeVelero, message: str
) -> None:
    velero.refusal = message
    with pytest.raises(Blocked, match="the cluster admits no pod of the suite in source") as raised:
        Workload("source", target).deploy()
    assert message in str(raised.value)


def test_a_workload_that_is_admitted_is_not(target: TargetClients) -> None:
    assert Workload("source", target).deploy().refusal() == ""


def test_a_restored_workload_whose_pods_are_refused_is_red_with_the_cause(
    target: TargetClients, velero: FakeVelero
) -> None:
    """A restore that policies make impossible is a failure of what was restored."""
    velero.refusal = POLICY
    copy = Workload("copy", target)
    copy.create()
    with pytest.raises(WaitTimedOut, match=r"the cluster admits no pod: .*pods must run as non-root"):
        copy.wait_ready()


@pytest.mark.parametrize(
    ("stderr", "refused"),
    [(f"Error from server (Forbidden): {POLICIES[0]}", True), ("touch: /data: Read-only file system", False)],
)
def test_a_policy_on_exec_is_not_a_failure_of_the_program(
    monkeypatch: pytest.MonkeyPatch, stderr: str, refused: bool
) -> None:
    monkeypatch.setattr(module, "program", lambda _: Path(sys.executable))
    monkeypatch.setattr(module, "execute", lambda *_, **__: ExecResult(b"", stderr, 1))
    cluster = Kubernetes.__new__(Kubernetes)
    cluster.kubeconfig, cluster.context = Path("/nowhere"), None
    if refused:
        with pytest.raises(ApiError, match=r"exec in source/p: .*pods must run as non-root") as raised:
            cluster.execute("p", "source", "c", "touch", timeout=1)
        assert _outcome(raised.value) is Outcome.BLOCKED
    else:
        assert cluster.execute("p", "source", "c", "touch", timeout=1).code == 1
