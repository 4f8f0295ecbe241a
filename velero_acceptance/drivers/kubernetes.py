"""The Kubernetes API: objects, watches, logs and commands in pods.

Waits are watches: list, then watch from the list's resource version, so that no change in
between is missed; a watch that the server ends or that has expired (410) starts with a new list.
"""

import copy
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

import urllib3
from pydantic import SecretStr

from velero_acceptance.core.errors import EXIT_FAILED, EXIT_REFUSED, AcceptanceError, Refusal
from velero_acceptance.core.installation import program
from velero_acceptance.core.programs import ExecResult, execute
from velero_acceptance.core.redaction import KNOWN
from velero_acceptance.core.sentences import reason
from velero_acceptance.core.waiting import Deadline, first
from velero_acceptance.drivers import answers
from velero_acceptance.drivers import kubeconfig as kubeconfigs
from velero_acceptance.drivers.admission import refusal
from velero_acceptance.drivers.kinds import POD, SERVICE_ACCOUNT, Json, Kind, name_of
from velero_acceptance.drivers.retries import transient_retry

T = TypeVar("T")
# The server ends a watch after this many seconds, and it is resumed.
WATCH_SECONDS = 60
# The API server records the suite's writes under this name.
FIELD_MANAGER = "velero-acceptance"
PIECE = 1 << 20
WRITES = frozenset({"POST", "PATCH"})
MERGE_PATCH = "application/merge-patch+json"
PAGE = 500  # objects of one answer to a list
ANY_JSON = "application/json, */*"
# A server that cannot leave out the rest sends whole objects.
METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1, application/json"


class ApiError(AcceptanceError):
    """The API server refused a call; *status* is the HTTP status, 0 when it was not reached.

    *retry_after* is for how many seconds it asked to be left alone.
    """

    def __init__(self, status: int, message: str, retry_after: float | None = None) -> None:
        self.status, self.retry_after = status, retry_after
        self.exit_code = EXIT_FAILED if status else EXIT_REFUSED  # which it was not reached with
        super().__init__(message)


class Gone(ApiError):
    """The resource version is too old to watch from: list again."""


class Kubernetes:
    """One cluster, by kubeconfig and context. Raises Refusal when the kubeconfig is unusable."""

    def __init__(self, kubeconfig: Path, context: str | None = None, *, call_seconds: float = 30) -> None:
        self.kubeconfig, self.context, self._seconds = kubeconfig, context, call_seconds
        if not any(Path(name).exists() for name in str(kubeconfig).split(os.pathsep)):
            raise Refusal(f"the kubeconfig {kubeconfig} does not exist: set KUBECONFIG or bring the lab up")
        from kubernetes import client  # hundreds of modules, which collection does not need

        self._api = client.ApiClient(kubeconfigs.configuration(kubeconfig, context, call_seconds))

    @property
    def server(self) -> str:
        return str(self._api.configuration.host)

    def get(self, kind: Kind, name: str, namespace: str | None = None) -> Json | None:
        """One object, or None when there is none."""
        try:
            return self._json("GET", kind.path(namespace, name))
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def require(self, kind: Kind, name: str, namespace: str | None = None) -> Json:
        """One object that must be there; raises AcceptanceError when it is not."""
        found = self.get(kind, name, namespace)
        if found is None:
            raise AcceptanceError(f"{kind.kind} {namespace or ''}/{name} does not exist")
        return found

    def list_all(self, kind: Kind, namespace: str | None = None, *, labels: str = "", fields: str = "") -> list[Json]:
        """All objects that match the selectors, in one namespace or in all."""
        return self._list(kind, namespace, labels, fields)[0]

    def list_metadata(self, kind: Kind) -> list[Json]:
        """The ``metadata`` of all objects of a kind, in all namespaces."""
        return [dict(item["metadata"]) for item in self._pages(kind.path(None), {}, METADATA)[0]]

    def create(self, kind: Kind, body: Json, namespace: str | None = None) -> Json:
        """Create an object. It is an error when one of that name exists; it is never adopted."""
        content = {"apiVersion": kind.api_version, "kind": kind.kind, **body}
        return self._json("POST", kind.path(namespace or body["metadata"].get("namespace")), body=content)

    def patch(self, kind: Kind, name: str, namespace: str | None, change: Json) -> Json:
        return self._json("PATCH", kind.path(namespace, name), body=change, content=MERGE_PATCH)

    def delete(self, kind: Kind, name: str, namespace: str | None = None, *, grace: int | None = None) -> None:
        """Ask for an object's deletion; it may be gone already."""
        query = {} if grace is None else {"gracePeriodSeconds": str(grace)}
        try:
            self._json("DELETE", kind.path(namespace, name), query={**query, "propagationPolicy": "Background"})
        except ApiError as error:
            if error.status != 404:
                raise

    def listable_kinds(self, away: dict[str, str] | None = None) -> list[Kind]:
        """Every listable kind in its preferred version; a group that is away is an error, or an entry of *away*."""
        groups = self._json("GET", "/apis")["groups"]
        versions = [("", "v1"), *((group["name"], group["preferredVersion"]["version"]) for group in groups)]
        found: list[Kind] = []
        for group, version in versions:
            try:
                answer = self._json("GET", f"/apis/{group}/{version}" if group else f"/api/{version}")
            except ApiError as error:
                if away is None:
                    raise
                away[group] = str(error)
                continue
            found += [
                Kind(group, version, resource["kind"], resource["name"], bool(resource["namespaced"]))
                for resource in answer["resources"]
                if "list" in resource["verbs"]
            ]
        return found

    def status_for(self, account: str, account_namespace: str, kind: Kind, name: str, namespace: str) -> int:
        """The HTTP status that a service account gets when it asks for an object, with a real token."""
        from kubernetes.client import ApiClient

        token, stranger = self.token(account, account_namespace), copy.copy(self)
        stranger._api = ApiClient(kubeconfigs.with_token(self._api.configuration, token))  # noqa: SLF001  it is one too
        try:
            return int(stranger._retried_call("GET", kind.path(namespace, name)).status)  # noqa: SLF001
        except ApiError as error:
            if error.status:
                return error.status
            raise

    def token(self, account: str, namespace: str) -> SecretStr:
        """A real token of a service account, valid for ten minutes, the shortest time that Kubernetes allows."""
        path = f"{SERVICE_ACCOUNT.path(namespace, account)}/token"
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 600}}
        KNOWN.learn(token := str(self._json("POST", path, body=body)["status"]["token"]))
        return SecretStr(token)

    def version(self) -> str:
        """The API server's version, the cheapest proof that it can be reached; raises Refusal when it cannot."""
        try:
            return str(self._json("GET", "/version", part="gitVersion")["gitVersion"])
        except ApiError as error:
            where = f"is the cluster up, and is {self.kubeconfig} its kubeconfig?"
            raise Refusal(f"{error}: {where}") from None

    def server_time(self) -> datetime:
        """The API server's clock in whole seconds, from the date of an answer."""
        try:
            return parsedate_to_datetime(self._retried_call("GET", "/version").headers.get("Date", ""))
        except ValueError:
            raise ApiError(200, f"the answers of {self.server} have no date") from None

    def text(self, path: str) -> str:
        """The answer of the API server for a path, e.g. one that it proxies to a node or a pod."""
        return self._body("GET", path).decode(errors="replace")

    def watch(
        self, kind: Kind, namespace: str | None = None, *, labels: str = "", fields: str = "", deadline: Deadline
    ) -> Iterator[dict[str, Json]]:
        """Every state of the matching objects by name until *deadline* passes, from a list, then after each change."""
        while not deadline.passed:
            listed, version = self._list(kind, namespace, labels, fields)
            known = {name_of(item): item for item in listed}
            yield dict(known)
            try:
                while not deadline.passed:
                    for event in self._events(kind, namespace, labels, fields, version, deadline):
                        item = event["object"]
                        version = item["metadata"]["resourceVersion"]
                        if event["type"] == "BOOKMARK":
                            continue
                        if event["type"] == "DELETED":
                            known.pop(name_of(item), None)
                        else:
                            known[name_of(item)] = item
                        yield dict(known)
            except Gone:
                continue

    def wait(
        self,
        kind: Kind,
        name: str,
        namespace: str | None = None,
        *,
        until: Callable[[Json | None], bool],
        event: str,
        timeout: float,
        terminal: Callable[[Json | None], str | None] = lambda _: None,
    ) -> Json | None:
        """Wait until one object satisfies *until* (None: it does not exist); return it."""
        deadline = Deadline(timeout)
        states = self.watch(kind, namespace, fields=f"metadata.name={name}", deadline=deadline)
        return first(
            (state.get(name) for state in states), until=until, terminal=terminal, event=event, deadline=deadline
        )

    def wait_all(
        self,
        kind: Kind,
        namespace: str | None = None,
        *,
        labels: str = "",
        until: Callable[[list[Json]], bool],
        event: str,
        timeout: float,
        terminal: Callable[[list[Json]], str | None] = lambda _: None,
    ) -> list[Json]:
        """Wait until the matching objects satisfy *until*; return them."""
        deadline = Deadline(timeout)
        states = self.watch(kind, namespace, labels=labels, deadline=deadline)
        return first(
            (list(state.values()) for state in states), until=until, terminal=terminal, event=event, deadline=deadline
        )

    def logs(self, pod: str, namespace: str, container: str) -> str:
        """The log of a container so far."""
        path = f"{POD.path(namespace, pod)}/log"
        return self._body("GET", path, query={"container": container}).decode(errors="replace")

    def follow_logs(self, pod: str, namespace: str, container: str) -> Iterator[bytes]:
        """The log of a container from its start, as it grows; ends with the container."""
        query = {"container": container, "follow": "true", "timestamps": "true"}
        response = self._call("GET", f"{POD.path(namespace, pod)}/log", query=query, read_seconds=None)
        try:
            with self._connected():
                yield from response.stream(1 << 14, decode_content=False)
        finally:
            response.close()

    def execute(self, pod: str, namespace: str, container: str, *command: str, timeout: float) -> ExecResult:
        """Run a command in a container by kubectl, which reports output and exit code reliably."""
        context = [f"--context={self.context}"] if self.context else []
        flags = [f"--kubeconfig={self.kubeconfig}", "--cache-dir=/dev/null", *context, f"--namespace={namespace}"]
        call = (*flags, "exec", pod, f"--container={container}", "--", *command)
        done = execute(program("kubectl"), *call, timeout=timeout, what=f"{' '.join(command)} in {namespace}/{pod}")
        if done.code != 0 and (words := refusal(done.stderr)):
            raise ApiError(403, f"exec in {namespace}/{pod}: {words}")
        return done

    def _list(self, kind: Kind, namespace: str | None, labels: str, fields: str) -> tuple[list[Json], str]:
        return self._pages(kind.path(namespace), _selectors(labels, fields), ANY_JSON)

    def _pages(self, path: str, query: dict[str, str], accept: str) -> tuple[list[Json], str]:
        """All objects of a collection and its resource version, page by page; at once when a page comes too late."""
        items: list[Json] = []
        page = {"limit": str(PAGE)}
        while True:
            try:
                answer = self._json("GET", path, query={**query, **page}, accept=accept, part="items")
            except Gone:
                items, page = [], {}
                continue
            items += answer["items"] or []  # null: the metadata of a collection without any object
            following = answer["metadata"].get("continue")
            if not following:
                return items, str(answer["metadata"].get("resourceVersion", ""))
            page = {"limit": str(PAGE), "continue": following}

    def _events(
        self, kind: Kind, namespace: str | None, labels: str, fields: str, version: str, deadline: Deadline
    ) -> Iterator[Json]:
        seconds = max(1, min(WATCH_SECONDS, int(deadline.remaining)))
        query = {
            **_selectors(labels, fields),
            "watch": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(seconds),
            "allowWatchBookmarks": "true",
        }
        try:
            # Our own read timeout: the server's own end of a watch can fail to arrive.
            response = self._retried_call("GET", kind.path(namespace), query=query, read_seconds=seconds + 5)
            for line in answers.lines(response):
                event = self._parsed(line, "object")
                if event["type"] == "ERROR":
                    status = event["object"]
                    error = Gone if status.get("code") == 410 else ApiError
                    raise error(int(status.get("code", 0)), f"watching {kind.plural}: {status.get('message')}")
                yield event
        except (urllib3.exceptions.ReadTimeoutError, urllib3.exceptions.ProtocolError):
            return  # the connection went silent or broke: resume from the last version seen

    def _json(self, method: str, path: str, *, part: str = "", **options: Any) -> Json:
        """The object that the API server answers with; ApiError when it is none, or lacks the *part* that is needed."""
        return self._parsed(self._body(method, path, **options), part)

    def _parsed(self, content: bytes, part: str) -> Json:
        try:
            found = json.loads(content)
        except ValueError:
            found = None
        if not isinstance(found, dict) or (part and part not in found):
            raise ApiError(200, f"{self.server} is no API server: it answers with something else")
        return found

    @transient_retry
    def _body(self, method: str, path: str, **options: Any) -> bytes:
        response, deadline = self._call(method, path, **options), Deadline(self._seconds)
        found = bytearray()
        with self._connected():
            # Piece by piece: the timeout of the connection begins anew with each byte.
            while piece := response.read1(PIECE):
                found += piece
                if deadline.passed:
                    response.close()
                    raise ApiError(0, f"the API server {self.server} does not answer within {self._seconds:.0f} s")
        return bytes(found)

    @contextmanager
    def _connected(self) -> Iterator[None]:
        """Raise what the connection meets as ApiErrors with the status 0."""
        try:
            yield
        except urllib3.exceptions.ProtocolError:
            raise ApiError(0, f"the API server {self.server} cannot be reached: the answer breaks off") from None
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ApiError(0, f"the API server {self.server} cannot be reached: {reason(error)}") from None

    @transient_retry
    def _retried_call(self, method: str, path: str, **options: Any) -> Any:
        return self._call(method, path, **options)

    def _call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Json | None = None,
        content: str = "application/json",
        accept: str = ANY_JSON,
        read_seconds: float | None = 0,
    ) -> Any:
        """One HTTP call; the answer is a urllib3 response whose body is not read yet."""
        from kubernetes.client.exceptions import ApiException

        headers = {"Accept": accept, "Content-Type": content}
        known = {**(query or {}), **({"fieldManager": FIELD_MANAGER} if method in WRITES else {})}
        full = path + ("?" + urlencode(known) if known else "")
        timeout = (10, self._seconds if read_seconds == 0 else read_seconds)
        with self._connected():
            try:
                return self._api.call_api(
                    full,
                    method,
                    header_params=headers,
                    body=body,
                    auth_settings=["BearerToken"],
                    _return_http_data_only=True,
                    _preload_content=False,
                    _request_timeout=timeout,
                )
            except ApiException as error:
                if not error.status and isinstance(error.__context__, OSError | urllib3.exceptions.HTTPError):
                    raise error.__context__ from None  # the client has made a text of it
                wrong = Gone if error.status == 410 else ApiError
                raise wrong(
                    error.status, f"{method} {path}: {answers.reason(error)}", answers.asked_pause(error)
                ) from None


def list_known(kubernetes: Kubernetes, kind: Kind) -> list[Json] | None:
    """All objects of a kind; None when the cluster does not know it."""
    try:
        return kubernetes.list_all(kind)
    except ApiError as error:
        if error.status == 404:
            return None
        raise


def _selectors(labels: str, fields: str) -> dict[str, str]:
    return {**({"labelSelector": labels} if labels else {}), **({"fieldSelector": fields} if fields else {})}
