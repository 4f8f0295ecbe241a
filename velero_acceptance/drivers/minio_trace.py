"""MinIO's trace of S3 requests, as `mc admin trace` reads it; only for MinIO's administrator."""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from urllib.parse import urlsplit

import requests

from velero_acceptance.core.errors import AcceptanceError
from velero_acceptance.core.sentences import failing_as
from velero_acceptance.core.settings import S3Access
from velero_acceptance.core.timeouts import seconds
from velero_acceptance.core.waiting import poll
from velero_acceptance.drivers.kinds import time_of

PATH = "/minio/admin/v3/trace?s3=true"
EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@dataclass(frozen=True)
class TracedRequest:
    """One request that the S3 server answered."""

    at: datetime
    method: str
    path: str
    status: int
    access_key: str  # of its signature; empty without one


class S3Trace:
    """Collects the requests to one bucket while the body of ``with`` runs."""

    def __init__(self, access: S3Access, bucket: str) -> None:
        self._access, self._bucket = access, bucket
        self._failure: Exception | None = None
        self.requests: list[TracedRequest] = []

    def __enter__(self) -> "S3Trace":
        self._response = self._open()
        threading.Thread(target=self._collect, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._response.close()

    def readable(self) -> bool:
        """Whether this S3 server has such a trace and lets these credentials read it."""
        try:
            with self:
                return True
        except AcceptanceError:
            return False

    def wait_for(self, method: str, suffix: str, *, timeout: float) -> TracedRequest:
        """The first successful request of *method* whose path ends in *suffix*, within *timeout* seconds."""

        def wanted(seen: TracedRequest) -> bool:
            return seen.method == method and seen.path.endswith(suffix) and seen.status < HTTPStatus.BAD_REQUEST

        return self._first(wanted, f"S3 answers a request {method} …{suffix}", timeout)

    def wait_signed(self, access_key: str, *, timeout: float) -> TracedRequest:
        """The first successful request that was signed with *access_key*, within *timeout* seconds."""
        event = "S3 answers a request with that key"
        return self._first(
            lambda seen: seen.access_key == access_key and seen.status < HTTPStatus.BAD_REQUEST, event, timeout
        )

    def _first(self, wanted: Callable[[TracedRequest], bool], event: str, timeout: float) -> TracedRequest:
        found = poll(
            lambda: list(filter(wanted, self.requests)),
            until=bool,
            terminal=lambda _: f"the trace broke off: {self._failure!r}" if self._failure else None,
            event=event,
            timeout=timeout,
            interval=0.1,
        )
        return found[0]

    def _open(self) -> requests.Response:
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.credentials import Credentials

        url = f"{self._access.endpoint}{PATH}"
        keys = Credentials(self._access.access_key.get_secret_value(), self._access.secret_key.get_secret_value())
        request = AWSRequest("GET", url, headers={"X-Amz-Content-SHA256": EMPTY_SHA256, "Host": urlsplit(url).netloc})
        SigV4Auth(keys, "s3", self._access.region).add_auth(request)
        with failing_as(f"the trace of {self._access.endpoint} cannot be read"):
            response = requests.get(
                url,
                headers=dict(request.headers),
                verify=str(self._access.authority) if self._access.authority else True,
                stream=True,
                timeout=(seconds("trace_connected"), None),
            )
        # Another S3 server may take the path for a key, and answer with a page.
        if response.status_code != 200 or "xml" in response.headers.get("Content-Type", ""):
            response.close()
            raise AcceptanceError(f"{self._access.endpoint} shows no trace: status {response.status_code}")
        return response

    def _collect(self) -> None:
        try:
            for line in self._response.iter_lines(chunk_size=None):
                if line.strip():
                    self._add(json.loads(line))
        except Exception as error:  # in a thread: raised by _first; the close in __exit__ lands here too
            self._failure = error

    def _add(self, entry: dict[str, object]) -> None:
        http = entry.get("http")
        if isinstance(http, dict):
            asked, answered = http["request"], http["response"]
            if asked["path"].split("/")[1:2] != [self._bucket]:
                return
            signed = " ".join((asked.get("headers") or {}).get("Authorization", []))
            key = signed.partition("Credential=")[2].partition("/")[0]
            at = time_of(asked["time"])
            self.requests.append(TracedRequest(at, asked["method"], asked["path"], answered["statuscode"], key))
