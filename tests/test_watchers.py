"""What looks on beside every scenario goes red: restarts, error lines, leaks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from fixtures.environment.run_scope import Scope
from fixtures.environment.velero_health import VeleroHealth, VeleroUnhealthy
from velero_acceptance.core.errors import AcceptanceError
from velero_acceptance.core.naming import RUN_LABEL, belongs_to_run, labels, unique
from velero_acceptance.core.timeouts import Timeouts
from velero_acceptance.corpus.uploaders import RESTIC
from velero_acceptance.drivers.kinds import (
    BACKUP,
    CLAIM,
    DEPLOYMENT,
    JOB,
    NAMESPACE,
    POD_VOLUME_BACKUP,
    SCHEDULE,
    VOLUME,
    Json,
    Kind,
)
from velero_acceptance.drivers.kubernetes import Kubernetes
from velero_acceptance.drivers.s3 import Bucket
from velero_acceptance.drivers.velero import Velero
from velero_acceptance.evidence.failure_bundle import LEVEL_ERROR, LogLine, LogStreams
from velero_acceptance.target.created_resources import CreatedResources, ResourceCleaner

RUN = "20261123-1200-abcd"
OWN, FOREIGN = f"acc-{RUN}-00000001", f"acc-{RUN}-00000002"


class Pods:
    """A Velero whose pods can be restarted by a test."""

    def __init__(self) -> None:
        self.restarts, self.name = 0, "velero-1"

    def server_pods(self) -> list[Json]:
        status = {"containerStatuses": [{"name": "velero", "restartCount": self.restarts}]}
        return [{"metadata": {"name": self.name}, "status": status}]

    def agent_pods(self) -> list[Json]:
        return []


class Lines:
    """Log streams that say what a test put in."""

    def __init__(self) -> None:
        self.lines: list[LogLine] = []

    def add(self, text: str, seconds: float = 1.0) -> None:
        self.lines.append(LogLine("velero-1", datetime.now(UTC) + timedelta(seconds=seconds), text))

    def errors_since(self, moment: datetime) -> list[LogLine]:
        return [line for line in self.lines if line.at > moment]


@pytest.fixture
def pods() -> Pods:
    return Pods()


@pytest.fixture
def lines() -> Lines:
    return Lines()


@pytest.fixture
def velero_health(pods: Pods, lines: Lines) -> VeleroHealth:
    scope = Scope(RUN, "scenario", cast(Kubernetes, None), CreatedResources(backups={OWN}))
    return VeleroHealth(cast(Velero, pods), cast(LogStreams, lines), scope, RESTIC)


def test_a_quiet_velero_is_fine(velero_health: VeleroHealth) -> None:
    velero_health.verify()


@pytest.mark.parametrize("change", [{"restarts": 1}, {"name": "velero-2"}])
def test_a_restart_is_red_unless_announced(velero_health: VeleroHealth, pods: Pods, change: dict[str, Any]) -> None:
    for name, value in change.items():
        setattr(pods, name, value)
    with pytest.raises(VeleroUnhealthy, match="restarted or replaced"):
        velero_health.verify()
    velero_health.expect_restart()
    velero_health.verify()


def test_an_error_line_is_red_unless_allowed(velero_health: VeleroHealth, lines: Lines) -> None:
    lines.add('level=error msg="disk on fire"')
    with pytest.raises(VeleroUnhealthy, match=r"1 unexpected errors:\nvelero-1: .*disk on fire"):
        velero_health.verify()
    velero_health.allow_errors("on fire")
    velero_health.verify()


def test_calls_cut_short_by_an_announced_restart_are_fine(velero_health: VeleroHealth, lines: Lines) -> None:
    lines.add('level=error msg="Error updating the phase" error="client rate limiter: context canceled"')
    with pytest.raises(VeleroUnhealthy, match="context canceled"):
        velero_health.verify()
    velero_health.expect_restart()
    velero_health.verify()
    lines.add('level=error msg="disk on fire"')
    with pytest.raises(VeleroUnhealthy, match="disk on fire"):
        velero_health.verify()


def test_what_a_pod_said_is_told_from_what_others_did(velero_health: VeleroHealth, lines: Lines) -> None:
    lines.add("level=error Access Denied")
    assert velero_health.error_lines_of(["velero-1"]) == ["level=error Access Denied"]
    assert velero_health.error_lines_of(["another"]) == []


def test_only_own_and_unnamed_errors_count(velero_health: VeleroHealth, lines: Lines) -> None:
    lines.add(f'level=error msg="cannot delete {FOREIGN}"')
    lines.add('level=error msg="cannot delete acc-20260101-0000-abcd-0123abcd"')
    lines.add('level=error msg="from before"', seconds=-60)
    velero_health.verify()
    lines.add(f'level=error msg="cannot back up {OWN}"')
    with pytest.raises(VeleroUnhealthy, match="cannot back up"):
        velero_health.verify()


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ('time="x" level=error msg="y"', True),
        ('{"level":"error","msg":"y"}', True),
        ('time="x" level=fatal msg="y"', True),
        ('time="x" level=warning msg="an error"', False),
        ('time="x" level=info msg="level=errors"', False),
    ],
)
def test_error_lines_are_told_from_lines_about_errors(line: str, error: bool) -> None:
    assert bool(LEVEL_ERROR.search(line)) is error


# -- leaks ----------------------------------------------------------------------------------


class Objects:
    """A cluster and a bucket that hold what a test put in."""

    def __init__(self) -> None:
        self.items: dict[Kind, list[Json]] = {}
        self.stored: list[str] = []
        self.uploads: list[str] = []
        self.deleted: list[tuple[str, str, str]] = []
        self.scheduled: list[Json] = []

    def delete(self, *what: Any) -> None:
        if what:
            self.deleted.append((what[0].kind, *what[1:]))

    def delete_below(self, prefix: str) -> None:
        self.deleted.append(("below", prefix, ""))

    def scheduled_backups(self, _schedule: str) -> list[Json]:
        return self.scheduled

    def delete_backup(self, name: str) -> None:
        self.deleted.append(("requested", name, ""))

    def repositories(self, _namespace: str) -> list[Json]:
        return []

    def list_all(self, kind: Kind, _namespace: str | None = None, *, labels: str = "", **_: str) -> list[Json]:
        name, _sign, value = labels.partition("=")
        found = self.items.get(kind, [])
        return [
            i
            for i in found
            if not name
            or i["metadata"].get("labels", {}).get(name, "-") in (value or i["metadata"]["labels"].get(name, ""),)
        ]

    def keys(self, prefix: str = "") -> dict[str, int]:
        return {key: 1 for key in self.stored if key.startswith(prefix)}

    def incomplete_uploads(self) -> list[str]:
        return self.uploads

    @property
    def namespace(self) -> str:
        return "velero"

    @property
    def name(self) -> str:
        return "bucket"


@pytest.fixture
def objects() -> Objects:
    return Objects()


@pytest.fixture
def keeper(objects: Objects) -> ResourceCleaner:
    timeouts = Timeouts({"object_gone": 0.1})
    handles = (cast(Kubernetes, objects), cast(Velero, objects), cast(Bucket, objects))
    return ResourceCleaner(*handles, "velero", timeouts)


def labelled(name: str, run: str = RUN, **more: str) -> Json:
    return {"metadata": {"name": name, "labels": {RUN_LABEL: run, **more}}}


def test_a_clean_cluster_has_no_leftovers(keeper: ResourceCleaner, objects: Objects) -> None:
    objects.items[NAMESPACE] = [labelled("other", "another-run"), {"metadata": {"name": "default"}}]
    objects.stored = ["velero/backups/mine/mine.tar.gz", "velero/backups/acc-another-run-00000001/x"]
    assert keeper.leftovers(RUN) == []


@pytest.mark.parametrize(
    ("kind", "item", "says"),
    [
        (NAMESPACE, labelled(OWN), f"Namespace {OWN}"),
        (BACKUP, labelled("daily-1"), "Backup daily-1"),
        (SCHEDULE, labelled("s"), "Schedule s"),
        (
            VOLUME,
            {"metadata": {"name": "pvc-1"}, "spec": {"claimRef": {"namespace": OWN}}},
            f"PersistentVolume pvc-1 of {OWN}",
        ),
        (
            VOLUME,
            {"metadata": {"name": "pvc-1"}, "spec": {"claimRef": {"namespace": "monitoring", "name": OWN}}},
            f"PersistentVolume pvc-1 of {OWN}",
        ),
        (
            JOB,
            {"metadata": {"name": "j", "labels": {"velero.io/repo-name": f"{OWN}-default-restic-x1"}}},
            f"Job j of {OWN}-default-restic-x1",
        ),
        (DEPLOYMENT, labelled(OWN), f"Deployment {OWN}"),
        (CLAIM, labelled(OWN), f"PersistentVolumeClaim {OWN}"),
        (
            POD_VOLUME_BACKUP,
            {"metadata": {"name": "v", "labels": {"velero.io/backup-name": OWN}}},
            f"PodVolumeBackup v of {OWN}",
        ),
    ],
)
def test_every_object_left_is_a_leak(
    keeper: ResourceCleaner, objects: Objects, kind: Kind, item: Json, says: str
) -> None:
    objects.items[kind] = [item]
    (found,) = keeper.leftovers(RUN)
    assert found.startswith(says)


def test_every_key_and_upload_left_is_a_leak(keeper: ResourceCleaner, objects: Objects) -> None:
    objects.stored = [f"velero/restic/{OWN}/config"]
    objects.uploads = [f"velero/restic/{OWN}/data/x"]
    assert keeper.leftovers(RUN) == [
        f"s3://bucket/velero/restic/{OWN}/config",
        f"incomplete upload of s3://bucket/velero/restic/{OWN}/data/x",
    ]


def test_runs_are_found_by_their_label(keeper: ResourceCleaner, objects: Objects) -> None:
    objects.items[NAMESPACE] = [labelled(OWN), labelled("x", "another")]
    objects.items[BACKUP] = [labelled("b")]
    found = keeper.runs()
    assert set(found) == {RUN, "another"}
    assert (found[RUN].namespaces, found[RUN].backups) == ({OWN}, {"b"})


def test_guests_in_namespaces_of_others_are_found_and_removed(keeper: ResourceCleaner, objects: Objects) -> None:
    guest = labelled(OWN)
    guest["metadata"]["namespace"] = "monitoring"
    objects.items[DEPLOYMENT] = [guest]
    made = keeper.runs()[RUN]
    assert made.workloads == {f"monitoring/{OWN}"}
    keeper.start(made)
    assert objects.deleted == [("Deployment", OWN, "monitoring"), ("PersistentVolumeClaim", OWN, "monitoring")]


def test_runs_of_a_schedule_go_with_it(keeper: ResourceCleaner, objects: Objects) -> None:
    objects.scheduled = [{"metadata": {"name": f"{OWN}-20261123020000"}}]
    made = CreatedResources(schedules={OWN})
    keeper.start(made)
    assert made.backups == {f"{OWN}-20261123020000"}
    assert ("Schedule", OWN, "velero") in objects.deleted
    assert ("requested", f"{OWN}-20261123020000", "") in objects.deleted


def test_a_repository_of_others_goes_only_when_it_was_made_for_us_and_holds_nothing(
    keeper: ResourceCleaner, objects: Objects
) -> None:
    backup = {"metadata": {"name": "v"}, "spec": {"pod": {"namespace": "database"}}}
    objects.items[POD_VOLUME_BACKUP] = [backup]
    keeper.finish(CreatedResources(borrowed={"monitoring", "database"}))
    assert objects.deleted == [("below", "velero/restic/monitoring/", ""), ("below", "velero/kopia/monitoring/", "")]


def test_names_are_unique_and_belong_to_their_run() -> None:
    first, second = unique(RUN), unique(RUN)
    assert first != second and belongs_to_run(first, RUN) and not belongs_to_run(first, "20261123-1200")
    assert len(first) <= 63


@pytest.mark.parametrize("scenario", ["a" * 100, "ends_in_a_sign_" + "_" * 60, "x" * 62 + "-y", "Ünïcode and spaces"])
def test_labels_are_valid_for_any_scenario(scenario: str) -> None:
    import re

    for value in labels(RUN, re.sub(r"[^A-Za-z0-9._-]+", "-", scenario)).values():
        assert re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?", value), value


def test_what_cannot_be_removed_keeps_nothing_else(
    keeper: ResourceCleaner, objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    delete = objects.delete

    def refusing(*what: Any) -> None:
        if what[:1] == (SCHEDULE,):
            raise AcceptanceError("the API server did not answer")
        delete(*what)

    monkeypatch.setattr(objects, "delete", refusing)
    with pytest.raises(AcceptanceError, match="did not answer"):
        keeper.start(CreatedResources(schedules={"one"}, namespaces={OWN}))
    assert OWN in [name for _, name, *_ in objects.deleted]
