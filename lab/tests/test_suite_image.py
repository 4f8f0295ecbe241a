"""The suite run by the cluster itself: from its image, by the manifests of deploy/suite, with its results in S3."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import SecretStr

from lab import nodes
from lab.facts import load
from lab.lifecycle import Lab
from lab.settings import LabSettings
from lab.storage import DIRECT_PORT
from lab.tests.home import ROOT, SETTINGS, VELERO, Home, command
from tests.commands import commands
from velero_acceptance.core.settings import S3Access
from velero_acceptance.core.waiting import poll
from velero_acceptance.drivers.kinds import Json, name_of
from velero_acceptance.drivers.minio_admin import Users
from velero_acceptance.drivers.s3 import Bucket

NAMESPACE, BUCKET, PREFIX = "velero-acceptance", "home-backups", "velero"
# In Velero's own bucket, beside its location: what is there must trouble neither Velero nor the next run.
RESULTS = "results"
ONE_NODE = {"ACCEPTANCE_LAB_NODES": "1", "ACCEPTANCE_LAB_PREFIX": PREFIX}
EXERCISED = "AC-003-01"
RUN_SECONDS = 300
WRONG = "not-the-secret-of-that-key"
RESULTS_KEY, RESULTS_SECRET = "results-of-the-suite", "written-by-its-own-key"
LOOK = """
import json, os
status = dict(line.split(":", 1) for line in open("/proc/self/status").read().splitlines())
mounts = {line.split()[1]: line.split()[3].split(",") for line in open("/proc/mounts")}
for folder in ("/tmp", "/reports"):
    open(f"{folder}/.written", "w").close()
    os.unlink(f"{folder}/.written")
print(json.dumps({"uid": os.getuid(), "root": mounts["/"][0], "capabilities": int(status["CapEff"], 16),
                  "seccomp": status["Seccomp"].strip(), "privileges": status["NoNewPrivs"].strip()}))
"""


@dataclass
class Ended:
    """A Job that is over: whether it succeeded, the exit code of its container, and what that said."""

    succeeded: bool
    code: int
    said: str


@dataclass
class Installed:
    """The cluster with deploy/suite in it, and a folder like the one that the docs are followed in."""

    home: Home
    folder: Path
    done: dict[str, Ended] = field(default_factory=dict)

    def call(self, line: str) -> str:
        """What a command of the docs prints; it has to succeed."""
        done = self.home.call(self.folder, "sh", "-c", line)
        assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"
        return done.stdout

    def job(self, name: str, cronjob: str, *arguments: str, secret: str = "velero-acceptance-s3") -> None:
        """Make a Job of a CronJob, with *arguments* behind its own, and its keys from *secret*."""
        found = json.loads(self.kubectl("get", "cronjob", cronjob, "-o", "json"))
        spec = found["spec"]["jobTemplate"]["spec"]
        (container,) = spec["template"]["spec"]["containers"]
        container["args"] += arguments
        container["envFrom"][1]["secretRef"]["name"] = secret
        item = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "namespace": NAMESPACE}}
        self.home.lab.kubectl.apply(yaml.safe_dump({**item, "spec": spec}))

    def kubectl(self, verb: str, *arguments: str) -> str:
        return self.home.kubectl(verb, f"--namespace={NAMESPACE}", *arguments)

    def pod(self, job: str) -> Json:
        """The pod of a Job, which is tried once; empty until it is there."""
        found = self.home.items("pods", "-n", NAMESPACE, f"--selector=job-name={job}")
        assert len(found) <= 1, [name_of(pod) for pod in found]
        return found[0] if found else {}

    def running(self, job: str) -> str:
        """The name of a Job's pod, once it runs."""
        pod = poll(
            lambda: self.pod(job),
            until=lambda pod: pod.get("status", {}).get("phase") == "Running",
            terminal=lambda pod: "it ended" if pod.get("status", {}).get("phase") in ("Failed", "Succeeded") else None,
            event=f"the pod of {job} runs",
            timeout=RUN_SECONDS,
        )
        return name_of(pod)

    def end(self, job: str) -> Ended:
        """Wait for a Job's end."""
        if job not in self.done:
            status = poll(
                lambda: json.loads(self.kubectl("get", "job", job, "-o", "json")).get("status", {}),
                until=lambda status: any(c["type"] in ("Complete", "Failed") for c in status.get("conditions", [])),
                event=f"the job {job} is over",
                timeout=RUN_SECONDS,
                interval=1,
            )
            (container,) = self.pod(job)["status"]["containerStatuses"]
            code = int(container["state"]["terminated"]["exitCode"])
            self.done[job] = Ended(status.get("succeeded") == 1, code, self.kubectl("logs", f"job/{job}"))
        return self.done[job]

    def made_by_late(self) -> list[str]:
        """What the run called late has made, and not removed yet."""
        return [name for name in self.home.own_objects() if name.startswith("acc-late-")]

    def bucket(self) -> Bucket:
        return Bucket(administrator(self.home), BUCKET, call_seconds=20)

    def report(self, job: str) -> Any:
        """The report that a Job's run has left in S3, at the place that it named."""
        place = next(line for line in self.end(job).said.splitlines() if line.startswith("results: s3://"))
        folder = place.split()[1].removeprefix(f"s3://{BUCKET}/")
        names = {key.removeprefix(folder) for key in self.bucket().keys(folder)}
        assert {
            "traceability.html",
            "traceability.md",
            "junit.xml",
            "acceptance.prom",
            "evidence.intoto.jsonl",
        } < names
        return self.bucket().json(f"{folder}traceability.json")


def administrator(home: Home) -> S3Access:
    keys = home.facts.credentials()
    return S3Access(
        endpoint=home.facts.s3_direct_endpoint,
        access_key=SecretStr(keys.admin_access_key),
        secret_key=SecretStr(keys.admin_secret_key),
        authority=home.facts.authority,
    )


def prepare(home: Home, folder: Path) -> None:
    """Put into *folder* what a user of this cluster would have there, and make the user of the results in S3."""
    shutil.copytree(ROOT / "deploy", folder / "deploy")
    shutil.copy(home.facts.authority, folder / "ca.crt")
    path = folder / "deploy/suite/settings.env"
    path.write_text(settings(path.read_text()))
    keys = home.facts.credentials()
    right = {
        "ACCEPTANCE_CURRENT__S3_ACCESS_KEY": keys.suite_access_key,
        "ACCEPTANCE_CURRENT__S3_SECRET_KEY": keys.suite_secret_key,
        "ACCEPTANCE_RESULTS_ACCESS_KEY": RESULTS_KEY,
        "ACCEPTANCE_RESULTS_SECRET_KEY": RESULTS_SECRET,
    }
    for name, wrong in (("s3", None), ("wrong-keys", "CURRENT__S3"), ("wrong-results", "RESULTS")):
        values = {**right, f"ACCEPTANCE_{wrong}_SECRET_KEY": WRONG} if wrong else right
        (folder / f"{name}.env").write_text("".join(f"{key}={value}\n" for key, value in values.items()))
    admin = Users(administrator(home))._admin
    policy = (ROOT / "deploy/s3/results-policy.json").read_text()
    admin.user_add(RESULTS_KEY, RESULTS_SECRET)
    admin.policy_add("results", policy=json.loads(policy.replace("velero-acceptance/results", f"{BUCKET}/{RESULTS}")))
    admin.attach_policy(["results"], user=RESULTS_KEY)


def settings(text: str) -> str:
    """The settings of deploy/suite for this cluster; a line that is a comment there is none any more."""
    own = {
        "CURRENT__VELERO_NAMESPACE": VELERO,
        "CURRENT__LOCATION": "home-s3",
        "CURRENT__SCHEDULE": "nightly",
        "CURRENT__BUCKET": BUCKET,
        "CURRENT__PREFIX": PREFIX,
        "CURRENT__STORAGE_CLASS": "fast-local",
        "CURRENT__S3_ENDPOINT": f"https://s3.lab:{DIRECT_PORT}",
        "CURRENT__S3_AUTHORITY": "/etc/velero-acceptance/authority/ca.crt",
        "RESULTS": f"s3://{BUCKET}/{RESULTS}",
    }
    for name, value in own.items():
        text, count = re.subn(rf"^#?ACCEPTANCE_{name}=.*$", f"ACCEPTANCE_{name}={value}", text, flags=re.M)
        assert count == 1, name
    return text


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """The cluster with the suite in it, as the docs say; it is down before and after."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**SETTINGS, **ONE_NODE}.items():
            patch.setenv(name, value)
        command("lab", "down")
        command("lab", "up")
        lab, folder = Lab(LabSettings()), tmp_path_factory.mktemp("suite")
        facts = load(lab.settings)
        assert facts is not None
        found = Installed(Home(lab, facts, folder), folder)
        prepare(found.home, folder)
        for line in commands("suite"):
            if line.startswith("kubectl create job"):
                continue  # the authority comes before it
            if line.startswith("kubectl logs"):
                break
            found.call(line)
        for node in lab.settings.node_names:
            nodes.load_image(lab.enter(node), folder / "suite.tar")
        for name in ("wrong-keys", "wrong-results"):
            found.call(f"kubectl create secret generic {name} -n {NAMESPACE} --from-env-file {name}.env")
        (first,) = (line for line in commands("suite") if line.startswith("kubectl create job"))
        # It takes longest: the tests before the one that reads its results run beside it.
        found.call(first)
        found.job("wrong-keys", "velero-acceptance-observe", secret="wrong-keys")
        yield found
        if os.environ.get("KEEP_LAB") is None:
            command("lab", "down")


def test_the_pod_is_nobody_on_a_file_system_that_it_cannot_write_to(installed: Installed) -> None:
    said = installed.kubectl("exec", installed.running("first-look"), "--", "/usr/local/bin/python3", "-c", LOOK)
    assert json.loads(said) == {"uid": 65532, "root": "ro", "capabilities": 0, "seccomp": "2", "privileges": "1"}


def test_wrong_keys_of_s3_end_red_and_are_named(installed: Installed) -> None:
    ended = installed.end("wrong-keys")
    assert (ended.succeeded, ended.code) == (False, 4), ended.said
    assert "refuses the credentials for the bucket home-backups" in ended.said
    assert "Traceback" not in ended.said and WRONG not in ended.said


def test_a_run_at_its_deadline_cleans_up_and_leaves_its_report(installed: Installed) -> None:
    installed.job("late", "velero-acceptance-exercise", "-m", EXERCISED, "--run-id", "late")
    poll(installed.made_by_late, until=bool, event="the run has made something", timeout=RUN_SECONDS)
    installed.kubectl("patch", "job", "late", "--patch", '{"spec": {"activeDeadlineSeconds": 1}}')
    place = f"{RESULTS}/late/traceability.json"
    poll(
        installed.bucket().keys,
        until=lambda keys: place in keys,
        event="the run has left its report",
        timeout=RUN_SECONDS,
        interval=1,
    )
    assert installed.bucket().json(place)["run"]["interrupted"] is True
    assert installed.made_by_late() == []


def test_exercise_verifies_beside_the_results_of_the_run_before(installed: Installed) -> None:
    before = installed.bucket().keys(f"{RESULTS}/")
    installed.job("exercised", "velero-acceptance-exercise", "-m", EXERCISED)
    ended, report = installed.end("exercised"), installed.report("exercised")
    assert (ended.succeeded, ended.code) == (True, 0), ended.said
    (row,) = (row for row in report["criteria"] if row["id"] == EXERCISED)
    assert row["verdict"] == "VERIFIED" and row["measurements"], row
    assert (report["summary"]["leaks"], report["summary"]["foreign_changes"]) == ([], [])
    assert before.items() <= installed.bucket().keys(f"{RESULTS}/").items()
    locations = installed.home.items("backupstoragelocations.velero.io", "-n", VELERO)
    assert {name_of(item): item["status"]["phase"] for item in locations} == {"home-s3": "Available"}


def test_results_that_s3_does_not_take_are_red_and_named(installed: Installed) -> None:
    installed.job("wrong-results", "velero-acceptance-observe", "-m", "AC-001-02", secret="wrong-results")
    ended = installed.end("wrong-results")
    assert (ended.succeeded, ended.code) == (False, 1), ended.said
    assert f"the results could not be uploaded to s3://{BUCKET}/{RESULTS}/" in ended.said
    assert "SignatureDoesNotMatch" in ended.said and WRONG not in ended.said


def test_what_observe_saw_is_in_s3(installed: Installed) -> None:
    ended, report = installed.end("first-look"), installed.report("first-look")
    assert (ended.succeeded, ended.code) == (False, 1), ended.said  # rows of Flux are BLOCKED
    verdicts = {row["id"]: row["verdict"] for row in report["criteria"]}
    assert verdicts["AC-007-02"] == "BLOCKED" and verdicts["AC-001-02"] == "INCONCLUSIVE", verdicts
    assert (report["run"]["profile"], report["run"]["target"]) == ("observe", "current")
    assert (report["summary"]["leaks"], report["summary"]["foreign_changes"]) == ([], [])
    assert "Traceback" not in ended.said and RESULTS_SECRET not in ended.said


def test_the_rest_of_the_docs(installed: Installed) -> None:
    lines = commands("suite")
    installed.end("first-look")
    for line in lines[lines.index(next(line for line in lines if line.startswith("kubectl logs"))) :]:
        installed.call(line)
    exercise = json.loads(installed.kubectl("get", "cronjob", "velero-acceptance-exercise", "-o", "json"))
    assert exercise["spec"]["suspend"] is False
