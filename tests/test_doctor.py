"""The doctor: which rows can run where and why not, whose rights are asked how, and what its exit code follows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import SecretStr
from rich.console import Console

from tests.api_server import ApiServer, client, serving
from velero_acceptance.core.errors import Refusal
from velero_acceptance.core.settings import CurrentTarget, Profile, Settings, Target
from velero_acceptance.core.timeouts import Timeouts
from velero_acceptance.criteria.load import load
from velero_acceptance.drivers.kinds import (
    BACKUP,
    DAEMON_SET,
    DEPLOYMENT,
    NAMESPACE,
    NODE,
    POD,
    SELF_REVIEW,
    STORAGE_CLASS,
    STORAGE_LOCATION,
    VOLUME,
    Json,
    Kind,
)
from velero_acceptance.drivers.minio_admin import Users
from velero_acceptance.drivers.minio_trace import S3Trace
from velero_acceptance.drivers.s3 import Bucket, BucketState
from velero_acceptance.gherkin.documents import FeatureText, ScenarioText, StepText, read_all
from velero_acceptance.gherkin.lint import Definition
from velero_acceptance.preconditions import diagnosis, runnable
from velero_acceptance.preconditions import diagnosis as module
from velero_acceptance.preconditions.diagnosis import (
    Diagnosis,
    Permission,
    diagnose,
    missing_permissions,
    required_permissions,
    roles,
)
from velero_acceptance.preconditions.findings import Finding, State
from velero_acceptance.preconditions.probes import NEEDS
from velero_acceptance.preconditions.runnable import Needs
from velero_acceptance.preconditions.text import show

VELERO = "backup"


# -- rows ----------------------------------------------------------------------------------------


def feature(*scenarios: tuple[str, set[str]]) -> FeatureText:
    """A feature of AC-003-01, whose own profile is exercise; a scenario's step is its name."""
    made = tuple(ScenarioText(name, frozenset(tags), (StepText("when", name),)) for name, tags in scenarios)
    return FeatureText(Path("x"), "x", frozenset(), ("AC-003-01",), (), (), (), made, made)


STEPS = [
    Definition("when", "plain", "plain".__eq__, "x", ()),
    Definition("when", "faulty", "faulty".__eq__, "x", ("toxiproxy", "flux")),
    Definition("when", "seen", "seen".__eq__, "x", ()),
]
LACKING = {"toxiproxy": "no toxiproxy", "flux": "no Flux", "oracle_program": "no restic"}


def cells(*scenarios: tuple[str, set[str]], refusals: dict[Profile, str] | None = None) -> tuple[list[str], list[str]]:
    found = runnable.runnability(load(), [feature(*scenarios)], Needs(STEPS, {}), LACKING, refusals or {})
    (row,) = [row for row in found if row.criterion == "AC-003-01"]
    return [str(row.profiles[profile]) for profile in Profile], row.reasons


@pytest.mark.parametrize(
    ("scenarios", "shown", "reasons"),
    [
        ([("plain", set())], ["–", "all", "all", "all"], []),
        ([("plain", {"observe"})], ["all", "all", "all", "all"], []),
        ([("plain", set()), ("seen", {"passive"})], ["read-only", "all", "all", "all"], []),
        ([("plain", set()), ("plain", {"disrupt"})], ["–", "1 of 2", "all", "all"], []),
        ([("plain", set()), ("faulty", {"disrupt"})], ["–", "1 of 2", "1 of 2", "1 of 2"], ["no Flux", "no toxiproxy"]),
        ([("faulty", set())], ["–", "no", "no", "no"], ["no Flux", "no toxiproxy"]),
        ([("plain", set()), ("plain", {"soak"})], ["–", "all", "all", "all"], []),
    ],
)
def test_what_a_profile_can_run(scenarios: list[tuple[str, set[str]]], shown: list[str], reasons: list[str]) -> None:
    assert cells(*scenarios) == (shown, reasons)


def test_a_profile_that_is_refused_runs_nothing() -> None:
    shown, reasons = cells(("plain", set()), ("seen", {"passive"}), refusals={Profile.OBSERVE: "no S3"})
    assert (shown[0], shown[1], reasons) == ("no", "all", ["no S3"])


def test_every_row_of_the_register_is_there() -> None:
    found = runnable.runnability(load(), read_all(), runnable.suite_needs(), {}, {})
    assert [row.criterion for row in found] == list(load().criteria)
    assert {row.criterion for row in found if row.planned} == {c.id for c in load().criteria.values() if c.planned}
    assert not any(row.reasons for row in found)
    assert {str(row.profiles[Profile.SOAK]) for row in found if not row.planned} == {"all"}


# -- rights --------------------------------------------------------------------------------------


def test_rights_are_those_of_the_files_that_people_apply() -> None:
    observe, exercise = required_permissions(Profile.OBSERVE, VELERO), required_permissions(Profile.EXERCISE, VELERO)
    assert {right.verb for right in observe} == {"get", "list", "watch"}
    assert set(observe) < set(exercise)
    assert Permission("get", "", "secrets", VELERO) in observe and Permission("get", "", "secrets") not in exercise
    assert Permission("create", "", "namespaces") in exercise
    assert required_permissions(Profile.DISRUPT, VELERO) == [Permission("*", "*", "*")]


@pytest.mark.parametrize("name", ["observe", "exercise"])
def test_the_files_bind_what_they_define_to_one_account(name: str) -> None:
    documents = list(yaml.safe_load_all((diagnosis.FOLDER / f"{name}.yaml").read_text()))
    known = {(d["kind"], d["metadata"]["name"]) for d in documents} | {("ClusterRole", "view")}
    known |= {(role["kind"], role["metadata"]["name"]) for role in roles("observe")}
    bindings = [document for document in documents if document["kind"].endswith("Binding")]
    assert {(b["roleRef"]["kind"], b["roleRef"]["name"]) for b in bindings} <= known
    account = {"kind": "ServiceAccount", "name": f"velero-acceptance-{name}", "namespace": "velero"}
    assert all(binding["subjects"] == [account] for binding in bindings)
    assert {d["metadata"].get("namespace", "velero") for d in documents} == {"velero"}


def test_a_right_reads_like_a_sentence() -> None:
    assert str(Permission("get", "apps", "deployments")) == "get deployments.apps"
    assert str(Permission("create", "", "pods/exec", "x")) == "create pods/exec in x"


# -- a whole diagnosis ---------------------------------------------------------------------------


def ready(labels: dict[str, str], name: str, node: str = "n1") -> Json:
    status = {"conditions": [{"type": "Ready", "status": "True"}]}
    return {"metadata": {"name": name, "labels": labels}, "spec": {"nodeName": node}, "status": status}


def fill(server: ApiServer) -> None:
    """A healthy Velero, as `velero install` makes it."""
    labels = {"deploy": "velero"}
    container = {"image": "velero:v1.16.2", "args": ["server", "--uploader-type=restic"]}
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [container], "initContainers": [{"image": "p:1"}]},
    }
    server.put(NAMESPACE, {"metadata": {"name": VELERO, "labels": {}}})
    server.put(DEPLOYMENT, {"metadata": {"name": "velero"}, "spec": {"template": template}}, VELERO)
    server.put(POD, ready(labels, "velero-1"), VELERO)
    server.put(POD, ready({"name": "node-agent"}, "agent-1"), VELERO)
    status = {"numberReady": 1, "desiredNumberScheduled": 1}
    server.put(DAEMON_SET, {"metadata": {"name": "node-agent"}, "status": status}, VELERO)
    server.put(NODE, {"metadata": {"name": "n1", "labels": {"kubernetes.io/hostname": "n1"}}})
    server.put(STORAGE_CLASS, {"metadata": {"name": "fast"}, "provisioner": "openebs.io/local"})
    validated = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    location = {"objectStorage": {"bucket": "b"}, "validationFrequency": "1m"}
    server.put(
        STORAGE_LOCATION,
        {
            "metadata": {"name": "s3"},
            "spec": location,
            "status": {"phase": "Available", "lastValidationTime": validated},
        },
        VELERO,
    )


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ApiServer]:
    """An API server that allows everything, and a bucket that has nothing."""
    with serving() as found:
        fill(found)

        def allow(_: str, path: str, body: Json) -> None:
            if path == SELF_REVIEW.path(None):
                body["metadata"]["name"] = str(len(found.asked))
                what = body["spec"]["resourceAttributes"]
                body["status"] = {"allowed": what["resource"] not in DENIED}

        found.before = allow
        DENIED.clear()
        monkeypatch.setattr(Bucket, "__init__", lambda *_, **__: None)
        monkeypatch.setattr(Bucket, "listing", lambda *_: {})
        monkeypatch.setattr(Bucket, "incomplete_uploads", lambda _: [])
        monkeypatch.setattr(Bucket, "state", lambda _: BucketState(None, "", 0))
        monkeypatch.setattr(Users, "permitted", lambda _: False)
        monkeypatch.setattr(S3Trace, "readable", lambda _: False)
        monkeypatch.setattr(module, "Clocks", Agreed)
        yield found


DENIED: set[str] = set()


class Agreed:
    """Clocks that agree; measuring them takes ten seconds."""

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def start(self) -> Agreed:
        return self

    def problem(self) -> str:
        return ""

    def note(self) -> str:
        return "0.0 s"


def settings(server: ApiServer, folder: Path, **change: Any) -> Settings:
    current: dict[str, Any] = {
        "kubeconfig": client(server, folder).kubeconfig,
        "allowed_contexts": ["x"],
        "velero_namespace": VELERO,
        "location": "s3",
        "bucket": "b",
        "storage_class": "fast",
        "s3_endpoint": "https://s3",
        "s3_access_key": SecretStr("key"),
        "s3_secret_key": SecretStr("secret"),
    }
    return Settings(target=Target.CURRENT, current=CurrentTarget(**{**current, **change}))


def broken(found: Diagnosis) -> list[str]:
    return [f"{finding.topic}: {finding.text}" for finding in found.findings if finding.state is State.BROKEN]


def test_a_healthy_cluster(server: ApiServer, tmp_path: Path) -> None:
    found = diagnose(settings(server, tmp_path), Timeouts())
    assert (broken(found), found.exit_code) == ([], 0)
    texts = [finding.text for finding in found.findings]
    assert any("velero:v1.16.2 in backup, 1 of 1 pods ready, uploader restic" in text for text in texts)
    assert found.needs.keys() == NEEDS.keys()
    assert "there is no Flux" in found.needs["flux"] and found.needs["workloads"] == ""
    by_id = {row.criterion: row for row in found.runnable}
    assert str(by_id["AC-003-01"].profiles[Profile.EXERCISE]) == "all"
    assert any("there is no Flux" in reason for reason in by_id["AC-007-01"].reasons)
    assert by_id["AC-003-01"].profiles[Profile.DISRUPT].reasons == (
        "Velero's namespace is not labelled velero-acceptance.io/disrupt=allowed",
    )


def test_it_writes_nothing(server: ApiServer, tmp_path: Path) -> None:
    """A review is a question: nothing of it is kept."""
    diagnose(settings(server, tmp_path), Timeouts())
    assert {asked for asked in server.asked if asked[0] != "GET"} == {("POST", SELF_REVIEW.path(None))}


def change(server: ApiServer, kind: Kind, name: str, part: Json, namespace: str | None = VELERO) -> None:
    server.objects[kind.path(namespace, name)].update(part)


@pytest.mark.parametrize(
    ("kind", "name", "part", "says"),
    [
        (STORAGE_LOCATION, "s3", {"status": {"phase": "Unavailable", "message": "no"}}, "s3 is Unavailable: no"),
        (STORAGE_LOCATION, "s3", {"status": {}}, "s3 is not validated yet"),
        (
            STORAGE_LOCATION,
            "s3",
            {
                "status": {
                    "phase": "Available",
                    "lastValidationTime": "2026-01-01T00:00:00Z",
                }
            },
            "last validated ",
        ),
        (
            STORAGE_LOCATION,
            "s3",
            {"spec": {"objectStorage": {"bucket": "other", "prefix": "p"}}},
            "its bucket is 'other' and the settings say 'b': set current.bucket",
        ),
        (
            STORAGE_LOCATION,
            "s3",
            {"spec": {"objectStorage": {"bucket": "b"}, "accessMode": "ReadOnly"}},
            "nothing can be backed up",
        ),
        (DAEMON_SET, "node-agent", {"status": {"numberReady": 0, "desiredNumberScheduled": 1}}, "ready on 0 of the 1"),
        (POD, "velero-1", {"status": {}}, "0 of 1 pods ready"),
    ],
)
def test_what_is_broken_is_told_and_fails(
    server: ApiServer, tmp_path: Path, kind: Kind, name: str, part: Json, says: str
) -> None:
    change(server, kind, name, part)
    found = diagnose(settings(server, tmp_path), Timeouts())
    assert found.exit_code == 1
    assert any(says in text for text in broken(found)), broken(found)


def test_no_velero_at_all_is_one_sentence_a_topic(server: ApiServer, tmp_path: Path) -> None:
    for path in [path for path in server.objects if VELERO in path]:
        del server.objects[path]
    found = diagnose(settings(server, tmp_path), Timeouts())
    assert found.exit_code == 1
    assert "Velero: Deployment backup/velero does not exist" in broken(found)
    assert "node-agent: there is no node-agent: volumes are not backed up" in broken(found)


def test_a_volume_out_of_reach_is_told(server: ApiServer, tmp_path: Path) -> None:
    terms = [{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["n2"]}]}]
    affinity = {"required": {"nodeSelectorTerms": terms}}
    spec = {"storageClassName": "fast", "local": {"path": "/x"}, "nodeAffinity": affinity}
    server.put(VOLUME, {"metadata": {"name": "v"}, "spec": spec})
    server.put(NODE, {"metadata": {"name": "n2", "labels": {"kubernetes.io/hostname": "n2"}}})
    assert any("without node-agent: n2" in text for text in broken(diagnose(settings(server, tmp_path), Timeouts())))


@pytest.mark.parametrize("lacking", ["s3_endpoint", "s3_access_key", "s3_secret_key"])
def test_without_s3_the_rest_is_still_told(server: ApiServer, tmp_path: Path, lacking: str) -> None:
    found = diagnose(settings(server, tmp_path, **{lacking: None}), Timeouts())
    assert found.exit_code == 1
    assert any("S3 is not configured: set current.s3_endpoint" in text for text in broken(found))
    assert {str(row.profiles[Profile.EXERCISE]) for row in found.runnable} == {"no", "–"}


def test_a_missing_right_takes_its_profile_away(server: ApiServer, tmp_path: Path) -> None:
    DENIED.add("resourcequotas")
    found = diagnose(settings(server, tmp_path), Timeouts())
    assert found.permissions[Profile.OBSERVE] == []
    assert Permission("create", "", "resourcequotas") in found.permissions[Profile.EXERCISE]
    row = next(row for row in found.runnable if row.criterion == "AC-003-01")
    assert "the account lacks rights for exercise: get resourcequotas" in row.reasons[0]
    assert missing_permissions(client(server, tmp_path), [Permission("list", "", "pods/log")]) == []
    assert found.exit_code == 0


def test_the_json_says_the_same(server: ApiServer, tmp_path: Path) -> None:
    server.put(BACKUP, {"metadata": {"name": "b", "creationTimestamp": "2026-01-01T00:00:00Z"}, "status": {}}, VELERO)
    found = diagnose(settings(server, tmp_path), Timeouts())
    content = json.loads(json.dumps(found.as_json()))
    assert content["exit_code"] == 0 and content["target"] == "current"
    assert {row["criterion"] for row in content["rows"]} == set(load().criteria)
    first = next(row for row in content["rows"] if row["criterion"] == "AC-003-01")["profiles"]["exercise"]
    assert first == {"can_run": "all", "scenarios": 3, "of": 3, "passive": 0, "reasons": []}
    assert {"topic": "backups", "state": "ok", "text": "1 backups, the newest b "} in content["findings"]


def test_it_can_be_read(server: ApiServer, tmp_path: Path) -> None:
    found = diagnose(settings(server, tmp_path), Timeouts())
    console = Console(width=300, record=True, file=(tmp_path / "out").open("w"))
    show(found, console)
    text = console.export_text()
    for part in ("observe", "all that it needs", "AC-007-01", "there is no Flux", "criteria can be verified in full"):
        assert part in text
    show(Diagnosis(Target.LAB, [Finding("S3", "away", State.BROKEN)], {}, {}, []), console)
    assert "1 thing is broken" in console.export_text()


def test_a_context_that_is_not_allowed_is_not_even_looked_at(server: ApiServer, tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="not on the allow-list"):
        diagnose(settings(server, tmp_path, allowed_contexts=["y"]), Timeouts())
    assert server.asked == []
