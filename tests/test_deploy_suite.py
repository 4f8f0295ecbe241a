"""deploy/suite as kustomize renders it: what its pods may do, whose accounts they have, and that it holds no keys."""

from __future__ import annotations

import copy
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab import suite_image
from tests.commands import ROOT
from velero_acceptance.core.settings import Settings
from velero_acceptance.drivers.kinds import Json, name_of
from velero_acceptance.drivers.kustomize import build
from velero_acceptance.preconditions.diagnosis import roles

NAMESPACE = "velero-acceptance"
WRITABLE = {"/tmp", "/reports"}
PROFILES = {"observe": False, "exercise": True}  # by whether it begins suspended


def rendered(folder: Path = ROOT / "deploy/suite") -> list[Json]:
    built = build(folder)
    assert built.error == ""
    return built.items


@pytest.fixture(scope="module")
def _items() -> list[Json]:
    return rendered()


@pytest.fixture
def items(_items: list[Json]) -> list[Json]:
    return copy.deepcopy(_items)


def of(items: list[Json], kind: str) -> dict[str, Json]:
    return {name_of(item): item for item in items if item["kind"] == kind}


def problems(items: list[Json]) -> list[str]:
    """What makes the suite's Jobs less restricted, less bounded or more trusting than they are meant to be."""
    jobs = of(items, "CronJob")
    found = [] if set(jobs) == {f"velero-acceptance-{name}" for name in PROFILES} else ["other CronJobs"]
    for name, item in jobs.items():
        found += [f"{name}: {problem}" for problem in (*_job(item["spec"]), *_pod(_template(item)))]
    labels = of(items, "Namespace").get(NAMESPACE, {"metadata": {}})["metadata"].get("labels", {})
    if labels.get("pod-security.kubernetes.io/enforce") != "restricted":
        found.append("the namespace takes pods that are not restricted")
    if "Secret" in {item["kind"] for item in items}:
        found.append("there is a Secret")
    return found


def _template(item: Json) -> Json:
    pod: Json = item["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return pod


def _job(spec: Json) -> Iterator[str]:
    job = spec["jobTemplate"]["spec"]
    if spec.get("concurrencyPolicy") != "Forbid":
        yield "two runs at once"
    if job.get("backoffLimit") != 0 or _restart(job) != "Never":
        yield "it is tried again"
    deadline = job.get("activeDeadlineSeconds")
    if not deadline:
        yield "it may take for ever"
    elif any(token["expirationSeconds"] <= deadline for token in _tokens(job["template"]["spec"])):
        yield "the token ends before the run"


def _restart(job: Json) -> Any:
    return job["template"]["spec"].get("restartPolicy")


def _tokens(pod: Json) -> list[Json]:
    sources = [source for volume in pod["volumes"] for source in volume.get("projected", {}).get("sources", [])]
    return [source["serviceAccountToken"] for source in sources if "serviceAccountToken" in source]


def _pod(pod: Json) -> Iterator[str]:
    security = pod.get("securityContext", {})
    if not security.get("runAsNonRoot") or f"{security.get('runAsUser')}:{security.get('runAsGroup')}" != "65532:65532":
        yield "it runs as root"
    if security.get("seccompProfile") != {"type": "RuntimeDefault"}:
        yield "every system call is allowed"
    if pod.get("automountServiceAccountToken") is not False:
        yield "it gets a second token"
    if any(pod.get(name) for name in ("hostNetwork", "hostPID", "hostIPC")):
        yield "it is in a namespace of the host"
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    if any("hostPath" in volume for volume in volumes.values()):
        yield "it sees the host's files"
    for container in pod["containers"]:
        yield from _container(container, volumes)


def _container(container: Json, volumes: dict[str, Json]) -> Iterator[str]:
    security = container.get("securityContext", {})
    if security.get("readOnlyRootFilesystem") is not True:
        yield "its root can be written to"
    if security.get("capabilities") != {"drop": ["ALL"]}:
        yield "it has capabilities"
    if security.get("allowPrivilegeEscalation") is not False or security.get("privileged"):
        yield "it may gain privileges"
    resources = container.get("resources", {})
    if not {"cpu", "memory"} <= set(resources.get("requests", {})) & set(resources.get("limits", {})):
        yield "it may use all of a node"
    writable = {mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")}
    if writable != WRITABLE:
        yield "it writes elsewhere"
    if any("sizeLimit" not in volume["emptyDir"] for volume in volumes.values() if "emptyDir" in volume):
        yield "it may fill a disk"
    if any("value" in variable for variable in container.get("env", [])):
        yield "a value is in the open"


def test_its_jobs_are_restricted_and_bounded(items: list[Json]) -> None:
    assert problems(items) == []


def _in_pod(change: Callable[[Json], object]) -> Callable[[list[Json]], object]:
    return lambda items: [change(_template(item)) for item in of(items, "CronJob").values()]


def _in_container(change: Callable[[Json], object]) -> Callable[[list[Json]], object]:
    return _in_pod(lambda pod: [change(container) for container in pod["containers"]])


def _in_spec(change: Callable[[Json], object]) -> Callable[[list[Json]], object]:
    return lambda items: [change(item["spec"]) for item in of(items, "CronJob").values()]


def _in_job(change: Callable[[Json], object]) -> Callable[[list[Json]], object]:
    return _in_spec(lambda spec: change(spec["jobTemplate"]["spec"]))


@pytest.mark.parametrize(
    ("break_it", "says"),
    [
        (_in_spec(lambda spec: spec.update(concurrencyPolicy="Allow")), "two runs at once"),
        (_in_job(lambda job: job.pop("backoffLimit")), "it is tried again"),
        (_in_pod(lambda pod: pod.update(restartPolicy="OnFailure")), "it is tried again"),
        (_in_job(lambda job: job.pop("activeDeadlineSeconds")), "it may take for ever"),
        (_in_job(lambda job: job.update(activeDeadlineSeconds=21600)), "the token ends before the run"),
        (_in_pod(lambda pod: pod["securityContext"].pop("runAsNonRoot")), "it runs as root"),
        (_in_pod(lambda pod: pod["securityContext"].update(runAsUser=0)), "it runs as root"),
        (_in_pod(lambda pod: pod["securityContext"].pop("seccompProfile")), "every system call is allowed"),
        (_in_pod(lambda pod: pod.pop("automountServiceAccountToken")), "it gets a second token"),
        (_in_pod(lambda pod: pod.update(hostNetwork=True)), "it is in a namespace of the host"),
        (_in_pod(lambda pod: pod["volumes"].append({"name": "h", "hostPath": {"path": "/"}})), "it sees the host's"),
        (_in_pod(lambda pod: pod["volumes"].append({"name": "h", "emptyDir": {}})), "it may fill a disk"),
        (_in_container(lambda c: c["securityContext"].pop("readOnlyRootFilesystem")), "its root can be written to"),
        (_in_container(lambda c: c["securityContext"].update(capabilities={"drop": ["NET_RAW"]})), "capabilities"),
        (_in_container(lambda c: c["securityContext"].pop("allowPrivilegeEscalation")), "it may gain privileges"),
        (_in_container(lambda c: c["resources"].pop("limits")), "it may use all of a node"),
        (
            _in_container(lambda c: c["volumeMounts"].append({"name": "tmp", "mountPath": "/app"})),
            "it writes elsewhere",
        ),
        (_in_container(lambda c: c.update(env=[{"name": "KEY", "value": "x"}])), "a value is in the open"),
        (lambda items: of(items, "Namespace")[NAMESPACE]["metadata"].pop("labels"), "pods that are not restricted"),
        (lambda items: items.append({"kind": "Secret", "metadata": {"name": "s"}}), "there is a Secret"),
        (lambda items: items.remove(of(items, "CronJob")["velero-acceptance-observe"]), "other CronJobs"),
    ],
)
def test_every_one_of_these_is_seen_when_it_is_gone(
    items: list[Json], break_it: Callable[[list[Json]], object], says: str
) -> None:
    break_it(items)
    assert problems(items) != [] and all(says in problem for problem in problems(items)), problems(items)


def test_only_what_looks_on_runs_by_itself(items: list[Json]) -> None:
    jobs = of(items, "CronJob")
    for profile, suspended in PROFILES.items():
        item = jobs[f"velero-acceptance-{profile}"]
        pod = _template(item)
        assert item["spec"].get("suspend", False) is suspended
        assert pod["serviceAccountName"] == f"velero-acceptance-{profile}"
        assert pod["containers"][0]["args"] == ["features", "--profile", profile]


def test_the_image_is_the_one_that_is_written(items: list[Json]) -> None:
    for item in of(items, "CronJob").values():
        (container,) = _template(item)["containers"]
        assert container["image"] == suite_image.REFERENCE and container["imagePullPolicy"] == "IfNotPresent"


def _accounts(items: list[Json]) -> set[tuple[str, str]]:
    return {(name_of(item), item["metadata"]["namespace"]) for item in items if item["kind"] == "ServiceAccount"}


def test_the_accounts_have_the_least_rights_and_no_other(items: list[Json]) -> None:
    subjects = [s for kind in ("RoleBinding", "ClusterRoleBinding") for i in of(items, kind).values()
                for s in i["subjects"]]  # fmt: skip
    names = {f"velero-acceptance-{profile}" for profile in PROFILES}
    assert _accounts(items) == {(name, NAMESPACE) for name in names}
    assert {(s["name"], s["namespace"]) for s in subjects} == _accounts(items)
    for profile in PROFILES:
        for role in roles(profile):
            assert of(items, role["kind"])[name_of(role)]["rules"] == role["rules"]


def test_the_namespace_of_velero_is_named_once(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "deploy", tmp_path / "deploy")
    path = tmp_path / "deploy/suite/settings.env"
    path.write_text(path.read_text().replace("VELERO_NAMESPACE=velero", "VELERO_NAMESPACE=backup-system"))
    items = rendered(path.parent)
    for kind in ("Role", "RoleBinding"):
        assert {item["metadata"]["namespace"] for item in of(items, kind).values()} == {"backup-system"}
    assert {namespace for _, namespace in _accounts(items)} == {NAMESPACE}


def test_its_settings_are_settings_of_a_run(items: list[Json], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (found,) = (i["data"] for n, i in of(items, "ConfigMap").items() if n.startswith("velero-acceptance-settings"))
    commented = dict(re.findall(r"^#(ACCEPTANCE_\w+)=(.*)$", (ROOT / "deploy/suite/settings.env").read_text(), re.M))
    for name, value in {**found, **commented}.items():
        monkeypatch.setenv(name, value)
        first, _, second = name.removeprefix("ACCEPTANCE_").lower().partition("__")
        fields = type(Settings().current).model_fields if second else Settings.model_fields
        assert (second or first) in fields and "KEY" not in name, name
    read = Settings.read()
    assert (read.target, read.current.allowed_contexts, str(read.reports)) == ("current", ["in-cluster"], "/reports")


def test_the_kubeconfig_reaches_this_cluster_with_the_token_of_the_pod(items: list[Json]) -> None:
    (found,) = (i["data"] for n, i in of(items, "ConfigMap").items() if n.startswith("velero-acceptance-kubeconfig"))
    content = yaml.safe_load(found["kubeconfig"])
    cluster, user = content["clusters"][0]["cluster"], content["users"][0]["user"]
    for item in of(items, "CronJob").values():
        pod = _template(item)
        (mount,) = (m for m in pod["containers"][0]["volumeMounts"] if m["name"] == "account")
        (volume,) = (v for v in pod["volumes"] if v["name"] == "account")
        given = {f"{mount['mountPath']}/{path}" for path in re.findall(r'"path": "([\w.]+)"', json.dumps(volume))}
        assert {user["tokenFile"], cluster["certificate-authority"]} == given
    assert content["current-context"] == "in-cluster" and set(user) == {"tokenFile"}
