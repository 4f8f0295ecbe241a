"""Errata: the programs that the lab has built refuse the design's original text, and take the correction."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
import urllib3
from botocore.exceptions import BotoCoreError, ClientError
from minio.credentials.providers import StaticProvider
from minio.minioadmin import MinioAdmin

from lab.build import binaries
from lab.storage import POLICY_FILE
from lab.tests.definitions import Definitions, failure, flux, velero
from tests import original
from velero_acceptance.core.waiting import poll

BUCKET = "velero-backups"
V2 = "helm.toolkit.fluxcd.io/v2"


def refused(known: Callable[[], Definitions], item: Any) -> str:
    """What the API server would say of *item*; empty when it would take it."""
    return "; ".join(known().problems(item))


def plugin_says(target: Path) -> str:
    """What the plugin's init container says when it is to copy itself to *target*; empty when it did."""
    return failure("cp-plugin", binaries()["cp-plugin"], target / "velero-plugin-for-aws")


def policy_says(folder: Path, policy: str) -> str:
    """What S3 denies to a user with *policy* of what the plugin does with an upload; empty when nothing.

    Tagging is left out: AWS wants PutObjectTagging for it, MinIO does not.
    """
    with user_of_minio(folder, policy) as s3:
        upload = s3.create_multipart_upload(Bucket=BUCKET, Key="k")["UploadId"]
        calls: dict[str, Callable[[], object]] = {
            "ListMultipartUploadParts": lambda: s3.list_parts(Bucket=BUCKET, Key="k", UploadId=upload),
            "AbortMultipartUpload": lambda: s3.abort_multipart_upload(Bucket=BUCKET, Key="k", UploadId=upload),
        }
        return " ".join(name for name, call in calls.items() if denied(call))


def denied(call: Callable[[], object]) -> bool:
    try:
        call()
    except ClientError as error:
        assert error.response["Error"]["Code"] == "AccessDenied"  # noqa: PT017  any other error is a fault of the test
        return True
    return False


@contextmanager
def user_of_minio(folder: Path, policy: str) -> Iterator[Any]:
    """A MinIO of our own with the bucket, as a user with *policy* sees it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    root = {"MINIO_ROOT_USER": "administrator", "MINIO_ROOT_PASSWORD": "only-for-this-test", "MINIO_BROWSER": "off"}
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(
            [binaries()["minio"], "server", f"--address={address}", folder / "data"],
            env={**os.environ, **root},
            stdout=log,
            stderr=log,
        )
    try:
        admin, user = (root["MINIO_ROOT_USER"], root["MINIO_ROOT_PASSWORD"]), ("somebody", "also-for-this-test")
        poll(
            lambda: client(address, *admin).create_bucket(Bucket=BUCKET),
            until=bool,
            retry_on=(BotoCoreError, ClientError),
            event="MinIO answers",
            timeout=30,
            interval=0.1,
        )
        (folder / "policy.json").write_text(policy)
        give(user, folder, address, StaticProvider(*admin))
        yield client(address, *user)
    finally:
        server.kill()
        server.wait()


def give(user: tuple[str, str], folder: Path, address: str, administrator: StaticProvider) -> None:
    """Make the user, with the policy in *folder*."""
    pool = urllib3.PoolManager(retries=False)
    admin = MinioAdmin(endpoint=address, credentials=administrator, region="us-east-1", secure=False, http_client=pool)
    admin.user_add(*user)
    admin.policy_add("of-the-test", str(folder / "policy.json"))
    admin.attach_policy(["of-the-test"], user=user[0])


def client(address: str, key: str, secret: str) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=f"http://{address}",
        region_name="us-east-1",
        aws_access_key_id=key,
        aws_secret_access_key=secret,
    )


ORIGINALS: dict[str, tuple[Callable[[Path], str], str]] = {
    "E-01": (lambda _: refused(flux, {**original.HELM_RELEASE, "apiVersion": V2}), "'OCIRepository' is not one of"),
    "E-02": (lambda _: refused(flux, original.HELM_RELEASE), "v2beta1 is not served"),
    "E-04": (lambda _: refused(velero, original.SNAPSHOT_LOCATION), "spec.provider: None is not of type 'string'"),
    "E-05": (lambda folder: plugin_says(folder / "target"), "target/velero-plugin-for-aws: no such file or directory"),
    "E-09": (lambda _: failure("velero", "restic", "server"), 'unknown command "restic"'),
    "E-14": (
        lambda folder: policy_says(folder, original.POLICY),
        "ListMultipartUploadParts AbortMultipartUpload",
    ),
}

# gitops/ itself is judged by the same definitions in test_gitops.py.
CORRECTIONS: dict[str, Callable[[Path], str]] = {
    "E-04": lambda _: refused(velero, {**original.SNAPSHOT_LOCATION, "spec": {"provider": "aws"}}),
    "E-05": plugin_says,
    "E-09": lambda _: failure("velero", "node-agent", "server", "--help"),
    "E-14": lambda folder: policy_says(folder, POLICY_FILE.read_text()),
}


@pytest.mark.parametrize("erratum", ORIGINALS)
def test_the_original_fails(erratum: str, tmp_path: Path) -> None:
    judge, says = ORIGINALS[erratum]
    assert says in judge(tmp_path)


@pytest.mark.parametrize("erratum", CORRECTIONS)
def test_the_correction_is_taken(erratum: str, tmp_path: Path) -> None:
    assert CORRECTIONS[erratum](tmp_path) == ""
