"""What is declared of each uploader is told apart, and what is not declared is not let pass."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import cast

import pytest

from fixtures.applications.repository_oracle import COMMANDS
from fixtures.backups.timed import DataMoverWatch
from fixtures.gitops.flux import Upgrade
from lab.programs import RELEASES
from tests.fake_cluster import NOWHERE, FakeCluster, environment, make_target, merged
from velero_acceptance.checks import bucket
from velero_acceptance.core.errors import AcceptanceError, Blocked, Refusal
from velero_acceptance.core.settings import Settings, Target
from velero_acceptance.core.waiting import WaitTimedOut
from velero_acceptance.corpus import uploaders
from velero_acceptance.corpus.uploaders import KOPIA, RESTIC, UPLOADERS, Uploader
from velero_acceptance.drivers.cgroups import Throttling
from velero_acceptance.drivers.git import Checkout
from velero_acceptance.drivers.kinds import DAEMON_SET, DEPLOYMENT, POD, Json, is_rolled_out
from velero_acceptance.drivers.uploader_repository import KopiaRepository, ResticRepository, UploaderRepository
from velero_acceptance.drivers.volumes import Sample
from velero_acceptance.target.selection import with_uploader

VELERO = {"metadata": {"name": "velero", "namespace": "velero"}}
HASH = "0123456789abcdef" * 2


def server(image: str, *arguments: str) -> Json:
    return {"spec": {"template": {"spec": {"containers": [{"image": image, "args": ["server", *arguments]}]}}}}


def deployed(image: str, *arguments: str) -> FakeCluster:
    """A cluster whose Velero has that image and those arguments."""
    return FakeCluster({DEPLOYMENT: [merged(server(image, *arguments), VELERO)]})


# -- which one it is ------------------------------------------------------------------------


def test_every_uploader_has_a_release_and_an_oracle() -> None:
    assert set(UPLOADERS) == set(RELEASES) == set(COMMANDS)
    assert all(uploader.name == name for name, uploader in UPLOADERS.items())


@pytest.mark.parametrize(
    ("image", "arguments", "expected"),
    [
        ("velero/velero:v1.16.2", [], RESTIC),
        ("velero/velero:v1.17.0", [], KOPIA),
        ("registry.example:5000/velero:1.18.3", [], KOPIA),
        ("velero/velero:v1.16.2", ["--uploader-type=kopia"], KOPIA),
        ("velero/velero@sha256:00", ["--uploader-type=restic"], RESTIC),
    ],
)
def test_the_uploader_is_read_from_the_deployment(image: str, arguments: list[str], expected: Uploader) -> None:
    assert uploaders.of_server(arguments, image) is expected
    assert with_uploader(environment(), deployed(image, *arguments), None).uploader == expected.name


def test_a_server_that_does_not_tell_is_refused() -> None:
    with pytest.raises(AcceptanceError, match="names no version"):
        uploaders.of_server([], "velero/velero@sha256:00")
    with pytest.raises(AcceptanceError, match="names no version"):
        uploaders.of_server(["--uploader-type=rsync"], "velero/velero@sha256:00")
    with pytest.raises(Refusal, match="names no version"):
        with_uploader(environment(), deployed("velero/velero:main"), None)


def test_another_uploader_than_the_deployed_one_is_refused() -> None:
    cluster = deployed("velero/velero:v1.18.3")
    with pytest.raises(Refusal, match="the deployed Velero backs up with kopia, not restic"):
        with_uploader(environment(), cluster, "restic")
    assert with_uploader(environment(), cluster, "kopia").uploader == "kopia"


def test_an_upgrade_that_a_killed_run_left_behind_is_refused() -> None:
    cluster = deployed("velero/velero:v1.18.3")
    with pytest.raises(Refusal, match=r"brought up with restic and backs up with kopia.*acceptance sweep"):
        with_uploader(environment(target=Target.LAB, oracle=NOWHERE), cluster, None)


def test_without_velero_nothing_is_said_of_its_uploader() -> None:
    assert with_uploader(environment(), FakeCluster(), "kopia") == environment()


def test_an_unknown_uploader_is_refused() -> None:
    with pytest.raises(Refusal, match="uploader: Input should be 'restic' or 'kopia'"):
        Settings.read(uploader="rsync")


# -- the keys of kopia ----------------------------------------------------------------------

REPOSITORY = "velero/kopia/n/"
WHOLE = {
    *bucket.backup_keys("velero/", "b", KOPIA),
    *bucket.restore_keys("velero/", "r"),
    *(f"{REPOSITORY}{name}" for name in ("kopia.repository", "kopia.blobcfg", "udmrepo.Repository")),
    f"{REPOSITORY}p{HASH}-sc359d17b02eb4b94147",
    f"{REPOSITORY}q{HASH}-s15ee87d6def5d263147",
    f"{REPOSITORY}xn0_{HASH}-s15ee87d6def5d263147-c1",
}


def inspect(keys: set[str], uploader: Uploader = KOPIA) -> bucket.LayoutFindings:
    return bucket.inspect(keys, "velero/", backup="b", restore="r", uploader=uploader, namespace="n", snapshots=1)


def test_the_whole_layout_of_kopia_has_no_finding() -> None:
    others = {f"{REPOSITORY}_log_20261124095409_9a3e_1795514049_1_{HASH}", f"{REPOSITORY}kopia.maintenance"}
    assert inspect(WHOLE | others) == bucket.LayoutFindings((), ())


@pytest.mark.parametrize("key", sorted(WHOLE))
def test_every_key_of_kopia_is_missed(key: str) -> None:
    assert inspect(WHOLE - {key}).missing


@pytest.mark.parametrize("key", [f"{REPOSITORY}config", f"{REPOSITORY}data/01/{HASH}{HASH}", f"{REPOSITORY}p{HASH}"])
def test_what_kopia_does_not_write_is_seen(key: str) -> None:
    assert inspect(WHOLE | {key}).unexpected == (key,)


def test_one_layout_does_not_pass_for_the_other() -> None:
    found = inspect(WHOLE, RESTIC)
    assert "velero/restic/n/config" in found.missing and len(found.missing) > len(RESTIC.parts)


# -- the oracle -----------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "name"), [(KopiaRepository, "kopia"), (ResticRepository, "restic")])
def test_a_repository_that_cannot_be_opened_is_told_in_the_commands_words(
    kind: type[UploaderRepository], name: str, tmp_path: Path
) -> None:
    program = tmp_path / name
    program.write_text('#!/bin/sh\necho "$0 says no: $*" >&2\nexit 1\n')
    program.chmod(0o755)
    repository = kind(program, environment().s3, "bucket", f"velero/{name}/n/", "hidden")
    with pytest.raises(AcceptanceError, match=f"{name}.* says no") as error:
        repository.snapshots()
    assert "hidden" not in str(error.value)


# -- the pods that move volumes -------------------------------------------------------------


def sample(phase: str, volume: str = "volume") -> Sample:
    return Sample(0.0, volume, phase, 0, 0)


def pod(uid: str) -> Json:
    metadata = {"uid": uid, "name": uid, "namespace": "velero", "labels": {"name": "node-agent"}}
    return {"metadata": metadata, "spec": {}}


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[int]]:
    """Periods throttled by pod, in the order they are read."""
    found: dict[str, list[int]] = {}

    def read(_: Path | None, uids: list[str]) -> Throttling | None:
        seen = found.get(uids[0])
        return Throttling(10 * seen[0], seen.pop(0), 0.0) if seen else None

    monkeypatch.setattr("velero_acceptance.drivers.cgroups.of_pods", read)
    return found


def test_of_node_agent_the_difference_counts(readings: dict[str, list[int]]) -> None:
    readings |= {"a": [5, 9], "b": [0, 1]}
    watch = DataMoverWatch(make_target(FakeCluster({POD: [pod("a"), pod("b")]})))
    watch.note(sample("InProgress"))
    assert watch.throttling() == Throttling(50, 5, 0.0) and set(watch.pods) == {"a", "b"}


def test_of_a_volumes_own_pod_the_last_reading_counts(readings: dict[str, list[int]]) -> None:
    readings |= {"volume": [2, 7]}
    cluster = FakeCluster({POD: [pod("volume")]})
    watch = DataMoverWatch(make_target(cluster, uploader="kopia"))
    for phase in ("Accepted", "InProgress", "InProgress"):
        watch.note(sample(phase))
    cluster.drop(POD, "volume", "velero")
    for phase in ("InProgress", "Completed"):
        watch.note(sample(phase))
    assert watch.throttling() == Throttling(70, 7, 0.0) and set(watch.pods) == {"volume"}


@pytest.mark.usefixtures("readings")
def test_where_nothing_can_be_read_it_is_not_known() -> None:
    assert DataMoverWatch(make_target(FakeCluster({POD: [pod("a")]}))).throttling() is None


# -- the upgrade ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("releases", "says"),
    [
        ({}, "available only in the lab"),
        ({"restic": "./a"}, "available only in the lab"),
        ({"kopia": "./b"}, "the deployed Velero makes no backups with restic"),
    ],
)
def test_without_both_releases_there_is_no_upgrade(releases: dict[str, str], says: str) -> None:
    upgrade = Upgrade(make_target(releases=releases), cast(Checkout, None))
    with pytest.raises(Blocked, match=says):
        upgrade.require()


@pytest.mark.parametrize(
    ("status", "done"),
    [
        ({"updatedNumberScheduled": 3, "numberReady": 3, "observedGeneration": 2}, True),
        ({"updatedNumberScheduled": 2, "numberReady": 3, "observedGeneration": 2}, False),
        ({"updatedNumberScheduled": 3, "numberReady": 2, "observedGeneration": 2}, False),
        ({"updatedNumberScheduled": 3, "numberReady": 3, "observedGeneration": 1}, False),
    ],
)
def test_a_daemon_set_is_rolled_out_only_when_every_node_has_its_new_pod(status: Json, done: bool) -> None:
    item = {"metadata": {"generation": 2}, "spec": {}, "status": {"desiredNumberScheduled": 3, **status}}
    assert is_rolled_out(item) is done


@pytest.mark.parametrize(
    ("status", "done"),
    [
        ({"updatedReplicas": 1, "readyReplicas": 1, "observedGeneration": 2}, True),
        ({"updatedReplicas": 1, "observedGeneration": 2}, False),
        ({"updatedReplicas": 1, "readyReplicas": 1, "observedGeneration": 1}, False),
        ({}, False),
    ],
)
def test_a_deployment_is_rolled_out_only_when_its_new_pods_are_ready(status: Json, done: bool) -> None:
    assert is_rolled_out({"metadata": {"generation": 2}, "spec": {"replicas": 1}, "status": status}) is done


@pytest.mark.parametrize(("image", "done"), [("new", True), ("old", False)])
def test_agents_are_waited_for_until_what_was_asked_holds(image: str, done: bool) -> None:
    item = {
        "metadata": {"name": "node-agent", "namespace": "velero", "generation": 1},
        "spec": server(image)["spec"],
        "status": {
            "desiredNumberScheduled": 3,
            "updatedNumberScheduled": 3,
            "numberReady": 3,
            "observedGeneration": 1,
        },
    }
    target = make_target(FakeCluster({DAEMON_SET: [item]}))
    with nullcontext() if done else pytest.raises(WaitTimedOut):
        target.velero.wait_agents(
            lambda item: item["spec"]["template"]["spec"]["containers"][0]["image"] == "new", "updated", "pod_ready"
        )
