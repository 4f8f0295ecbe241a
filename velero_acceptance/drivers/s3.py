"""The bucket, read with boto3 past any injected fault."""

from __future__ import annotations

import gzip
import io
import json
import ssl
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests
from botocore.exceptions import BotoCoreError, ClientError

from velero_acceptance.core.errors import AcceptanceError, Refusal
from velero_acceptance.core.redaction import KNOWN
from velero_acceptance.core.sentences import failing_as, known, reason

REDIRECTS, REGION = frozenset({301, 302, 307}), "x-amz-bucket-region"

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

    from velero_acceptance.core.settings import S3Access


@dataclass(frozen=True)
class BucketState:
    """The settings of a bucket. *created* is S3's own date; None where it cannot be seen."""

    created: datetime | None
    versioning: str  # Enabled, Suspended, or empty: never enabled
    lifecycle_rules: int

    @property
    def as_designed(self) -> bool:
        """Versioning off and no lifecycle rule: only Velero decides what is kept."""
        return self.versioning == "" and self.lifecycle_rules == 0


def credentials_file(access_key: str, secret_key: str) -> str:
    """An AWS credentials file, as Velero reads it."""
    return f"[default]\naws_access_key_id={access_key}\naws_secret_access_key={secret_key}\n"


def client_of(access: S3Access, *, call_seconds: float) -> S3Client:
    """A boto3 client; it makes no call yet. Raises Refusal for an authority that cannot be used."""
    import boto3
    from botocore.config import Config

    KNOWN.learn(access.access_key.get_secret_value(), access.secret_key.get_secret_value())
    _check_authority(access.authority)
    client = boto3.client(
        "s3",
        endpoint_url=access.endpoint,
        aws_access_key_id=access.access_key.get_secret_value(),
        aws_secret_access_key=access.secret_key.get_secret_value(),
        region_name=access.region,
        verify=str(access.authority) if access.authority else True,
        config=Config(
            connect_timeout=call_seconds,
            read_timeout=call_seconds,
            retries={"max_attempts": 3, "mode": "standard"},
            s3={"addressing_style": "path"},
        ),
    )

    def refuse_redirects(response: Any = None, **_: object) -> None:
        """Without the region of the bucket boto3 would follow a redirect to itself until its stack is full."""
        http = response[0] if response else None
        if http is not None and http.status_code in REDIRECTS and REGION not in http.headers:
            where = http.headers.get("Location", "nowhere")
            raise Refusal(f"{access.endpoint} is not S3: it redirects ({http.status_code}) to {KNOWN.text(where)}")

    client.meta.events.register_first("needs-retry.s3", refuse_redirects)
    return client


def _check_authority(path: Path | None) -> None:
    try:
        if path:
            ssl.create_default_context(cafile=path)
    except ssl.SSLError:
        raise Refusal(f"the authority {path} of S3 is no certificate in PEM") from None
    except OSError as error:
        raise Refusal(f"the authority {path} of S3 cannot be read: {error.strerror}") from None


def requests_allowed(access: S3Access, bucket: str, *, call_seconds: float) -> list[str]:
    """The S3 calls on *bucket* that these credentials may make: list, read, write, delete. Nothing is left there."""
    client, key = client_of(access, call_seconds=call_seconds), "velero-acceptance-probe"
    calls: dict[str, Callable[[], object]] = {
        "ListObjectsV2": lambda: client.list_objects_v2(Bucket=bucket),
        "PutObject": lambda: client.put_object(Bucket=bucket, Key=key, Body=b""),
        "GetObject": lambda: client.get_object(Bucket=bucket, Key=key),
        "DeleteObject": lambda: client.delete_object(Bucket=bucket, Key=key),
    }
    return [name for name, call in calls.items() if not _denied(call)]


def may_make_bucket(access: S3Access, name: str, *, call_seconds: float) -> bool:
    """Whether these credentials may create a bucket; it is removed again."""
    client = client_of(access, call_seconds=call_seconds)
    if _denied(lambda: client.create_bucket(Bucket=name)):
        return False
    with failing_as(f"the bucket {name} cannot be removed"):
        client.delete_bucket(Bucket=name)
    return True


def plain_status(access: S3Access, bucket: str, *, call_seconds: float) -> int | None:
    """The status of a request in plain HTTP, with a (worthless) signature; None if the connection was closed."""
    where = urlsplit(access.endpoint).netloc
    try:
        url = f"http://{where}/{bucket}?X-Amz-Signature=none"
        return requests.get(url, timeout=call_seconds, allow_redirects=False).status_code
    except requests.ConnectionError:
        return None


def _denied(call: Callable[[], object]) -> bool:
    with failing_as("S3 neither allows nor denies a call"):
        try:
            call()
        except ClientError as error:
            if _code(error) in ("AccessDenied", "403"):
                return True
            if _code(error) not in ("NoSuchKey", "404"):  # these: allowed, but there is no such object
                raise
    return False


def _code(error: ClientError) -> str:
    return error.response["Error"]["Code"]


@contextmanager
def bucket_made(access: S3Access, name: str, *, call_seconds: float) -> Iterator[S3Client]:
    """A new bucket, removed at the end; raises AcceptanceError when the credentials may not create it."""
    client = client_of(access, call_seconds=call_seconds)
    if _denied(lambda: client.create_bucket(Bucket=name)):
        raise AcceptanceError("the suite's credentials may not create a bucket")
    try:
        yield client
    finally:
        with failing_as(f"the bucket {name} cannot be removed"):
            client.delete_bucket(Bucket=name)


def break_design(client: S3Client, name: str) -> None:
    """Enable versioning on a bucket and give it a lifecycle rule."""
    client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    _set_expiry(client, name, days=1)


def _set_expiry(client: S3Client, name: str, days: int) -> None:
    rule: Any = {"ID": "r", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": days}}
    client.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": [rule]})


def _refusal(endpoint: str, bucket: str, code: str) -> str:
    """Why S3 does not show a bucket, by the code of its answer: what is wrong with whom."""
    if code == "404":
        return f"the bucket {bucket} does not exist at {endpoint}"
    if code in ("401", "403"):
        return f"{endpoint} refuses the credentials for the bucket {bucket} ({code}): check access and secret key"
    if code.startswith("5"):
        return f"S3 at {endpoint} is out of order ({code} for the bucket {bucket}): try again, or look into its log"
    return f"{endpoint} answers {code} for the bucket {bucket}: is that the address of S3, with https where it has TLS?"


class Bucket:
    """One bucket. Raises Refusal when it cannot be reached or the credentials are refused."""

    def __init__(self, access: S3Access, name: str, *, call_seconds: float) -> None:
        self.name = name
        self._client = client_of(access, call_seconds=call_seconds)
        try:
            self._client.head_bucket(Bucket=name)
        except ClientError as error:
            raise Refusal(_refusal(access.endpoint, name, _code(error))) from None
        except Exception as error:
            if isinstance(error, AcceptanceError) or known(error) is None:
                raise
            raise Refusal(f"S3 at {access.endpoint} cannot be reached: {reason(error)}") from None

    def state(self) -> BucketState:
        with failing_as(f"the lifecycle rules of {self.name} cannot be read"):
            try:
                rules = len(self._client.get_bucket_lifecycle_configuration(Bucket=self.name)["Rules"])
            except ClientError as error:
                if _code(error) != "NoSuchLifecycleConfiguration":
                    raise
                rules = 0
        with failing_as(f"the versioning of {self.name} cannot be read"):
            versioning = self._client.get_bucket_versioning(Bucket=self.name).get("Status", "")
        return BucketState(self._created(), versioning, rules)

    def _created(self) -> datetime | None:
        """The bucket's date; None where the credentials may not list buckets."""
        try:
            made = {b["Name"]: b["CreationDate"] for b in self._client.list_buckets()["Buckets"]}
        except (ClientError, BotoCoreError):
            return None
        return made.get(self.name)

    def keys(self, prefix: str = "") -> dict[str, int]:
        """Size in bytes of every object below *prefix*, by key."""
        return {key: size for key, (size, _) in self.listing(prefix).items()}

    def listing(self, prefix: str = "") -> dict[str, tuple[int, str]]:
        """Size in bytes and S3's own checksum (ETag) of every object below *prefix*, by key."""
        return {item["Key"]: (item["Size"], item["ETag"]) for item in self._list(prefix)}

    def objects(self, prefix: str = "") -> dict[str, tuple[int, datetime]]:
        """Size in bytes and S3's own date of every object below *prefix*, by key."""
        return {item["Key"]: (item["Size"], item["LastModified"]) for item in self._list(prefix)}

    def _list(self, prefix: str) -> list[Any]:
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix)
        with failing_as(f"the keys of {self.name} cannot be listed"):
            return [item for page in pages for item in page.get("Contents", [])]

    def folders(self, prefix: str) -> set[str]:
        """The names of the folders directly below *prefix*, which ends in a slash."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix, Delimiter="/")
        with failing_as(f"the folders of {self.name} cannot be listed"):
            found = [folder["Prefix"] for page in pages for folder in page.get("CommonPrefixes", [])]
        return {name.removeprefix(prefix).rstrip("/") for name in found}

    def get(self, key: str) -> bytes:
        """An object's content; raises AcceptanceError when it does not exist or cannot be read."""
        with failing_as(f"s3://{self.name}/{key} cannot be read"):
            try:
                return self._client.get_object(Bucket=self.name, Key=key)["Body"].read()
            except self._client.exceptions.NoSuchKey:
                raise AcceptanceError(f"s3://{self.name}/{key} does not exist") from None

    def read(self, key: str) -> bytes:
        """An object's content, unpacked if its name ends in .gz; raises ValueError when that fails."""
        content = self.get(key)
        if not key.endswith(".gz"):
            return content
        try:
            return gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(f"{key} is no gzip file: {error}") from None

    def json(self, key: str) -> Any:
        """An object's content as JSON; raises ValueError when it is not JSON."""
        return json.loads(self.read(key))

    def problem(self, key: str) -> Exception | None:
        """Why an object cannot be read in the format of its name (gzip, tar, JSON); None when it can."""
        try:
            content = self.read(key)
            if key.endswith(".tar.gz"):
                with tarfile.open(fileobj=io.BytesIO(content)) as archive:
                    archive.getmembers()
            elif ".json" in key or key.endswith("-results.gz"):
                json.loads(content)
        except (AcceptanceError, ValueError, tarfile.TarError) as error:
            return error
        return None

    def put(self, key: str, content: bytes) -> None:
        with failing_as(f"s3://{self.name}/{key} cannot be written"):
            self._client.put_object(Bucket=self.name, Key=key, Body=content)

    def delete(self, *keys: str) -> None:
        for key in keys:
            with failing_as(f"s3://{self.name}/{key} cannot be deleted"):
                self._client.delete_object(Bucket=self.name, Key=key)

    def delete_below(self, prefix: str) -> int:
        """Delete all objects below *prefix*, which must name a folder; return how many there were."""
        if not prefix.endswith("/") or prefix == "/":
            raise ValueError(f"{prefix!r} is not the prefix of a folder")
        keys = list(self.keys(prefix))
        self.delete(*keys)
        return len(keys)

    def expire_after(self, days: int) -> None:
        """Give the bucket a lifecycle rule, the only one, that deletes every object after so many days."""
        _set_expiry(self._client, self.name, days)

    def expire_nothing(self) -> None:
        """Remove the bucket's lifecycle rules."""
        self._client.delete_bucket_lifecycle(Bucket=self.name)

    def incomplete_uploads(self) -> list[str] | None:
        """Keys of multipart uploads that are neither completed nor aborted; None where they may not be listed."""
        # Without a prefix, which MinIO takes for a whole key.
        pages = self._client.get_paginator("list_multipart_uploads").paginate(Bucket=self.name)
        with failing_as(f"the multipart uploads of {self.name} cannot be listed"):
            try:
                return [upload["Key"] for page in pages for upload in page.get("Uploads", [])]
            except ClientError:
                return None
