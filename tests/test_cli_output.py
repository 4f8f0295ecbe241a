"""Outputs of `velero` and `kubectl`: each check goes red for each way an output can be wrong."""

from __future__ import annotations

import stat
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import SecretStr

from tests.fake_cluster import FakeBucket, FakeCluster
from velero_acceptance.checks import cli_output
from velero_acceptance.core.errors import AcceptanceError
from velero_acceptance.core.naming import RUN_LABEL
from velero_acceptance.core.timeouts import Timeouts
from velero_acceptance.drivers.command_line import (
    CommandResult,
    KubectlCli,
    Program,
    VeleroCli,
    kubectl_program,
    token_kubeconfig,
    velero_program,
    write_token_kubeconfig,
)
from velero_acceptance.drivers.kinds import DOWNLOAD_REQUEST, ROLE, Json, name_of
from velero_acceptance.drivers.velero import Velero
from velero_acceptance.target.created_resources import CreatedResources, ResourceCleaner

NAME, SPACE = "acc-run-00000001", "acc-run-00000002"
TOKEN = SecretStr("a-token")


def called(stdout: str = "", stderr: str = "", code: int = 0) -> CommandResult:
    return CommandResult("velero backup x", code, stdout, stderr, datetime.now(UTC), 0.5)


BACKUP: Json = {
    "metadata": {"name": NAME},
    "spec": {"includedNamespaces": [SPACE], "ttl": "720h0m0s", "storageLocation": "default"},
    "status": {
        "phase": "Completed",
        "warnings": 1,
        "progress": {"totalItems": 23, "itemsBackedUp": 23},
        "startTimestamp": "2026-11-24T03:23:59Z",
        "completionTimestamp": "2026-11-24T03:24:10Z",
        "expiration": "2026-12-24T03:23:59Z",
    },
}
SAID = {
    "created": (f'Backup request "{NAME}" submitted successfully.\nRun `velero …`\n', "Backup", NAME),
    "deleted": (f'Request to delete backup "{NAME}" submitted successfully.\nThe backup will …\n', NAME),
    "applied": (f"schedule.velero.io/{NAME} created\n", NAME),
}


# -- what a command says ---------------------------------------------------------------------


@pytest.mark.parametrize("check", SAID)
def test_what_a_command_says_is_what_it_did(check: str) -> None:
    judge: Callable[..., list[str]] = getattr(cli_output, check)
    text, *names = SAID[check]
    assert judge(called(text), *names) == []
    assert judge(called("", "An error occurred: x", 1), *names)[0] == "exit code 1"
    assert "it does not say" in judge(called("No backups found\n"), *names)[0]
    assert "it does not say" in judge(called(text.replace(NAME, NAME + "x")), *names)[0]
    assert judge(called(text, "error watching\n"), *names) == ["it complains: error watching"]


# -- the list --------------------------------------------------------------------------------

HEADER = "NAME               STATUS      ERRORS   WARNINGS   CREATED                         EXPIRES   "
ROW = f"{NAME}   Completed   0        1          2026-11-24 03:23:59 +0000 UTC   29d       default            <none>\n"
LIST = f"{HEADER}STORAGE LOCATION   SELECTOR\n{ROW}"


def test_a_list_of_every_backup_is_fine_unless_the_command_failed() -> None:
    assert cli_output.listed(called(LIST), [BACKUP], {NAME}) == []
    new: Json = {"metadata": {"name": NAME}, "spec": {"storageLocation": "default"}}
    fresh = LIST.replace("Completed", "New      ").replace("0        1 ", "0        0 ")
    assert cli_output.listed(called(fresh), [new], set()) == []
    assert cli_output.listed(called(LIST, code=1), [BACKUP], set()) == ["exit code 1"]


@pytest.mark.parametrize(
    ("text", "stored", "says"),
    [
        ("", set(), f"{NAME} is not in the list"),
        (ROW, set(), f"{NAME} is not in the list"),
        (LIST.replace("Completed", "InProgress"), set(), f"{NAME}: STATUS is 'InProgress', not 'Completed'"),
        (LIST.replace("0        1 ", "2        1 "), set(), f"{NAME}: ERRORS is '2', not '0'"),
        (LIST.replace("0        1 ", "0        0 "), set(), f"{NAME}: WARNINGS is '0', not '1'"),
        (LIST.replace("default", "another"), set(), f"{NAME}: STORAGE LOCATION is 'another', not 'default'"),
        (LIST, {"only-in-s3"}, "only-in-s3 is in S3 and not in the list"),
    ],
)
def test_a_list_that_lacks_or_alters_a_backup_is_red(text: str, stored: set[str], says: str) -> None:
    assert cli_output.listed(called(text), [BACKUP], stored) == [says]


# -- the description -------------------------------------------------------------------------

MESSAGE = "resource: /pods name: /corpus-1 message: /Uploader 'restic' is deprecated, don't use it"
DESCRIPTION = f"""Name:         {NAME}
Namespace:    velero
Labels:       velero.io/storage-location=default

Phase:  Completed


Warnings:
  Velero:     <none>
  Namespaces:
    {SPACE}:   resource: /pods name: /corpus-1 message: /Uploader
                        'restic' is deprecated, don't use it

Namespaces:
  Included:  {SPACE}
  Excluded:  <none>

Resources:
  Included:        *

Storage Location:  default

TTL:  720h0m0s

Started:    2026-11-24 04:23:59 +0100 CET
Completed:  2026-11-24 04:24:10 +0100 CET

Expiration:  2026-12-24 04:23:59 +0100 CET

Total items to be backed up:  23
Items backed up:              23

Resource List:
  apps/v1/Deployment:
    - {SPACE}/corpus
  v1/Pod:
    - {SPACE}/corpus-1

Backup Volumes:
  Pod Volume Backups - restic:
    Completed:
      {SPACE}/corpus-1: cache, data
"""
RESULTS = {"errors": {}, "warnings": {"namespaces": {SPACE: [MESSAGE]}}}
RESOURCES = {"apps/v1/Deployment": [f"{SPACE}/corpus"], "v1/Pod": [f"{SPACE}/corpus-1"]}
VOLUMES: list[Json] = [
    {"spec": {"pod": {"namespace": SPACE, "name": "corpus-1"}, "volume": volume}} for volume in ("data", "cache")
]


def described(text: str, **change: Any) -> list[str]:
    known: dict[str, Any] = {"volumes": VOLUMES, "results": RESULTS, "resources": RESOURCES, **change}
    return cli_output.described(called(text), BACKUP, **known)


def test_a_whole_description_is_fine() -> None:
    assert described(DESCRIPTION) == []


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (f"Name:         {NAME}", "Name:  another", f"Name is 'another', not '{NAME}'"),
        ("Phase:  Completed", "Phase:  Failed", "Phase is 'Failed', not 'Completed'"),
        (f"Included:  {SPACE}", "Included:  *", f"Namespaces/Included is '*', not '{SPACE}'"),
        ("720h", "72h", "TTL is '72h0m0s', not '720h0m0s'"),
        (
            "Expiration:  2026-12-24 04:23:59",
            "Expiration:  2020-01-01 04:23:59",
            "Expiration is '2020-01-01 04:23:59 +0100 CET', not 2026-12-24T03:23:59Z",
        ),
        ("Started:    2026-11-24 04:23:59 +0100 CET", "", "Started is None, not 2026-11-24T03:23:59Z"),
        ("Storage Location:  default", "", "Storage Location is None, not 'default'"),
        ("Items backed up:              23", "Items backed up: 1", "Items backed up is '1', not '23'"),
        ("Total items to be backed up:  23", "", "Total items to be backed up is None, not '23'"),
        (f"    - {SPACE}/corpus\n", "", f"apps/v1/Deployment {SPACE}/corpus is not in the list of resources"),
        ("corpus-1: cache, data", "corpus-1: cache", f"the volume {SPACE}/corpus-1: cache, data is not shown"),
        ("deprecated", "new", f"a message is not shown: {MESSAGE}"),
        (
            "Resource List:\n",
            "Resource List:  <error getting backup resource list: forbidden>\n",
            "it says <error getting backup resource list: forbidden>",
        ),
        (
            "Resource List:\n",
            "Resource List:  <backup resource list not found>\n",
            "it says <backup resource list not found>",
        ),
        ("TTL:", "Errors:\n  Velero: x\n\nTTL:", "Errors are shown; there are 0"),
    ],
)
def test_a_description_that_lacks_or_alters_something_is_red(old: str, new: str, says: str) -> None:
    assert old in DESCRIPTION
    assert described(DESCRIPTION.replace(old, new)) == [says]


def test_warnings_and_errors_that_are_not_shown_are_red() -> None:
    quiet = DESCRIPTION.replace("Warnings:\n", "Notes:\n")
    assert described(quiet) == ["Warnings are not shown; there are 1"]
    assert described(DESCRIPTION, results={"errors": {"velero": ["disk on fire"], "cluster": ["no node"]}}) == [
        "a message is not shown: disk on fire",
        "a message is not shown: no node",
    ]


def test_a_description_that_failed_is_red() -> None:
    found = cli_output.described(
        called("", "An error occurred: x", 1), BACKUP, volumes=[], results=RESULTS, resources={}
    )
    assert found[0] == "exit code 1" and "Phase is None, not 'Completed'" in found


# -- the log ---------------------------------------------------------------------------------

LOG = f'time="x" level=info msg="a" backup=velero/{NAME}\ntime="x" level=warning msg="b"\n'


def test_the_log_is_that_of_s3_or_red() -> None:
    assert cli_output.logged(called(LOG), LOG, NAME, "velero") == []
    assert cli_output.logged(called(LOG[:-1]), LOG, NAME, "velero") == ["the 2 lines shown are not the 2 lines in S3"]
    assert "no line is of" in cli_output.logged(called(LOG), LOG, "another", "velero")[0]
    assert "no line is of" in cli_output.logged(called(""), "", NAME, "velero")[0]
    assert cli_output.logged(called("", "An error occurred: x", 1), LOG, NAME, "velero")[0] == "exit code 1"


# -- errors ----------------------------------------------------------------------------------

ERROR = 'An error occurred: backups.velero.io "nowhere" not found\n'
FORBIDDEN = (
    'Error from server (Forbidden): error when creating "x": schedules.velero.io is forbidden: User "u" cannot create\n'
)


@pytest.mark.parametrize(
    "text", [ERROR, "velero: backups not found\n", FORBIDDEN, "error: the namespace … not found\n"]
)
def test_one_error_with_its_reason_is_clear(text: str) -> None:
    assert cli_output.unclear(called("", text, 1), "not found" if "not found" in text else "is forbidden") == []


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (called("", ERROR, 0), "exit code 0"),
        (called("", "", 1), "0 errors on standard error, not one"),
        (called("", ERROR * 2, 1), "2 errors on standard error, not one"),
        (called("", "An error occurred: x", 1), "it does not say 'not found'"),
        (called("", ERROR + "goroutine 1 [running]", 1), "it shows a stack trace"),
        (called("NAME", ERROR, 1), "it prints a result in addition to its error"),
    ],
)
def test_an_unclear_error_is_red(wrong: CommandResult, says: str) -> None:
    assert says in cli_output.unclear(wrong, "not found")


def test_a_refusal_is_told_from_a_success_and_from_another_error() -> None:
    refusal = called("", FORBIDDEN, 1)
    assert cli_output.refused(refusal)
    assert not cli_output.refused(replace(refusal, code=0))
    assert not cli_output.refused(called("", ERROR, 1))


# -- the driver ------------------------------------------------------------------------------


@pytest.fixture
def admin(tmp_path: Path) -> Path:
    """A kubeconfig with an administrator's certificate, as the lab's."""
    path = tmp_path / "config"
    user = {"client-certificate-data": "Y2VydA==", "client-key-data": "a2V5"}
    content = {
        "current-context": "here",
        "contexts": [
            {"name": "here", "context": {"cluster": "c", "user": "u", "namespace": "x"}},
            {"name": "lost", "context": {"cluster": "none", "user": "u"}},
        ],
        "clusters": [{"name": "c", "cluster": {"server": "https://s", "certificate-authority": "ca.crt", "x": "y"}}],
        "users": [{"name": "u", "user": user}],
    }
    path.write_text(yaml.safe_dump(content))
    return path


def test_a_token_kubeconfig_holds_the_token_and_nothing_of_the_administrator(admin: Path, tmp_path: Path) -> None:
    path = tmp_path / "account"
    write_token_kubeconfig(path, admin, None, TOKEN)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    content = yaml.safe_load(path.read_text())
    assert [user["user"] for user in content["users"]] == [{"token": "a-token"}]
    assert content["clusters"][0]["cluster"] == {
        "server": "https://s",
        "certificate-authority": str(tmp_path / "ca.crt"),
    }
    for secret in ("Y2VydA==", "a2V5", "client-"):
        assert secret not in path.read_text()
    path.chmod(0o644)
    write_token_kubeconfig(path, admin, None, TOKEN)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600, "what was readable before"


@pytest.mark.parametrize(
    ("context", "says"), [("elsewhere", "has no context elsewhere"), ("lost", "has no cluster none")]
)
def test_a_context_without_a_cluster_is_an_error(admin: Path, context: str, says: str) -> None:
    with pytest.raises(AcceptanceError, match=says):
        token_kubeconfig(admin, context, TOKEN)


def python(code: str, timeout: float = 20) -> Program:
    return Program(Path(sys.executable), ("-c", code), Path("/nowhere"), timeout)


def test_a_call_says_all_that_came_of_it() -> None:
    code = "import os, sys; print(os.environ['HOME'], sys.argv[1:], sys.stdin.read()); sys.exit('no')"
    found = python(code).call("a", "b")
    assert (found.stdout, found.stderr, found.code) == ("/nowhere ['a', 'b'] \n", "no\n", 1)
    assert found.command.endswith(" a b") and 0 < found.seconds < 20
    assert "exit code 1 after" in str(found)


def test_a_call_that_does_not_end_or_begin_is_an_error() -> None:
    with pytest.raises(AcceptanceError, match=r"x did not end within 0 s"):
        python("import signal; signal.pause()", 0.2).call("x")
    with pytest.raises(AcceptanceError, match="/no/such/velero cannot be run: No such file"):
        Program(Path("/no/such/velero"), (), Path("/"), 1).call()


def test_commands_as_they_are_called(tmp_path: Path) -> None:
    """What is asked for by flags: the account, Velero's namespace, the location, S3's authority."""
    echo = tmp_path / "echo"
    echo.write_text('#!/bin/sh\necho "$@"\n')
    echo.chmod(0o700)
    config, authority = tmp_path / "account", Path("/ca.crt")
    program = velero_program(echo, config, "v", timeout=5)
    velero = VeleroCli(program, "default", authority)
    common = f"--kubeconfig={config} --namespace=v --colorized=false "

    def said(done: CommandResult) -> str:
        assert done.stdout.startswith(common)
        return done.stdout.removeprefix(common).strip()

    labels = {"a": "1", "b": "2"}
    backup = said(velero.create_backup("n", namespace="s", labels=labels))
    assert backup == "backup create n --include-namespaces=s --storage-location=default --labels=a=1,b=2"
    restore = said(velero.create_restore("r", backup="n", labels=labels, mapping={"s": "t"}, resources="configmaps"))
    mapped = "--include-resources=configmaps --namespace-mappings=s:t"
    assert restore == f"restore create r --from-backup=n {mapped} --labels=a=1,b=2"
    assert said(velero.list_backups()) == "backup get"
    assert said(velero.get_backup("n")) == "backup get n"
    assert said(velero.describe("n")) == "backup describe n --details --cacert=/ca.crt"
    assert said(velero.logs("n")) == "backup logs n --cacert=/ca.crt"
    assert said(VeleroCli(program, "default", None).logs("n")) == "backup logs n"
    assert said(velero.delete_backup("n")) == "backup delete n --confirm"
    assert said(velero.delete_backup("n", confirm=False)) == "backup delete n"
    kubectl = replace(kubectl_program(config, "v", timeout=5), path=echo)
    applied = KubectlCli(kubectl).apply(Path("m.yaml")).stdout
    assert applied == f"--kubeconfig={config} --namespace=v --cache-dir=/dev/null apply --filename=m.yaml\n"


# -- what is left ----------------------------------------------------------------------------


def test_requests_for_downloads_and_roles_are_leaks_and_requests_go_with_their_backup() -> None:
    request = {"metadata": {"name": f"{NAME}-uuid"}, "spec": {"target": {"kind": "BackupLog", "name": NAME}}}
    foreign = {"metadata": {"name": "x-uuid"}, "spec": {"target": {"kind": "BackupLog", "name": "x"}}}
    role = {"metadata": {"name": "r", "labels": {RUN_LABEL: "run"}}}
    cluster = FakeCluster()
    for kind, item in ((ROLE, role), (DOWNLOAD_REQUEST, request), (DOWNLOAD_REQUEST, foreign)):
        cluster.put(kind, item, "velero")
    velero = Velero(cluster, "velero", "default", Timeouts())
    keeper = ResourceCleaner(cluster, velero, FakeBucket(), "velero", Timeouts({"object_gone": 0.1}))
    assert keeper.leftovers("run") == ["Role velero/r of ?", f"DownloadRequest velero/{NAME}-uuid of {NAME}-uuid"]
    assert keeper.finish(CreatedResources(backups={NAME})) == []
    assert [name_of(item) for item in cluster.list_all(DOWNLOAD_REQUEST)] == ["x-uuid"]
