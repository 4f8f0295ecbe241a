"""Velero's own timeouts are in the prediction: one that the register's data size would not meet goes red."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fixtures.backups.timed import Timing
from fixtures.backups.volume_timeouts import VolumeTimeouts
from fixtures.environment.cluster import TargetClients
from steps.performance import _in_time
from tests.fake_cluster import FakeCluster
from tests.fake_velero import NAMESPACE, named
from velero_acceptance.core.errors import CriterionNotMet, Inconclusive
from velero_acceptance.drivers import kinds
from velero_acceptance.drivers.velero import VOLUME_TIMEOUT, Operation
from velero_acceptance.evidence.recorder import Evidence

MakeEvidence = Callable[..., Evidence]


def timings(*noise: float) -> list[Timing]:
    """Four sizes at 50 MB a second: 10 GB would need about 205 s."""
    sizes = (0.25, 0.5, 1, 2)
    done = {
        "phase": "Completed",
        "startTimestamp": "2026-11-23T12:00:00Z",
        "completionTimestamp": "2026-11-23T12:00:45Z",
    }
    operation = Operation({"metadata": {"name": "b"}, "status": done})
    more = [*noise, 0, 0, 0, 0][:4]
    return [
        Timing(int(size * 1e9), operation, 20 * size + extra, 5, None) for size, extra in zip(sizes, more, strict=True)
    ]


def of_server(cluster: FakeCluster, target: TargetClients, *arguments: str, annotation: str = "") -> VolumeTimeouts:
    spec = {"template": {"spec": {"containers": [{"args": ["server", *arguments]}]}}}
    cluster.change(kinds.DEPLOYMENT, "velero", NAMESPACE, {"spec": spec})
    annotations = {VOLUME_TIMEOUT: annotation} if annotation else {}
    cluster.put(kinds.SCHEDULE, {"metadata": {**named("daily-backup"), "annotations": annotations}, "spec": {}})
    return VolumeTimeouts(target)


@pytest.mark.parametrize(
    ("arguments", "annotation", "red"),
    [
        (("--fs-backup-timeout=40s",), "", True),
        (("--fs-backup-timeout", "3m"), "", True),
        ((), "40s", True),
        # Harmless: long enough, the default, and timeouts of something else.
        (("--fs-backup-timeout=15m",), "", False),
        ((), "", False),
        ((), "10m0s", False),
        (("--item-operation-timeout=1s", "--resource-timeout=1s"), "", False),
    ],
)
def test_a_backup_that_velero_would_give_up_is_red(
    cluster: FakeCluster,
    target: TargetClients,
    make_evidence: MakeEvidence,
    arguments: tuple[str, ...],
    annotation: str,
    red: bool,
) -> None:
    timeouts = of_server(cluster, target, *arguments, annotation=annotation).of_backups()
    evidence = make_evidence("AC-003-04")
    if red:
        with pytest.raises(CriterionNotMet, match=r"needs 205 s: Velero would give up before"):
            _in_time("backup_duration", timings(), timeouts, evidence)
    else:
        _in_time("backup_duration", timings(), timeouts, evidence)
    (found,) = (m for m in evidence.record.measurements if m.name == "timeouts_too_short")
    assert found.holds is not red


def test_the_schedule_s_annotation_is_not_that_of_restores(cluster: FakeCluster, target: TargetClients) -> None:
    assert of_server(cluster, target, annotation="40s").of_restores() == {"--fs-backup-timeout": 14400.0}


def test_a_timeout_within_the_interval_leaves_it_open(make_evidence: MakeEvidence) -> None:
    evidence = make_evidence("AC-004-04")
    with pytest.raises(Inconclusive, match="cannot be excluded: --fs-backup-timeout is 250 s"):
        _in_time("restore_duration", timings(3, -3, 3), {"--fs-backup-timeout": 250.0}, evidence)


def test_as_much_data_as_the_register_asks_for_is_measured(make_evidence: MakeEvidence) -> None:
    (timing,) = timings()[-1:]
    whole = Timing(10_000_000_000, timing.operation, 40, 5, None)
    _in_time("backup_duration", [whole], {"--fs-backup-timeout": 46.0}, make_evidence("AC-003-04"))
    with pytest.raises(CriterionNotMet, match="needs 45 s"):
        _in_time("backup_duration", [whole], {"--fs-backup-timeout": 44.0}, make_evidence("AC-003-04"))
