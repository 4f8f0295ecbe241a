"""Kubeconfigs: one context of a file, with everything that it names checked."""

from __future__ import annotations

import binascii
import copy
import logging
import os
import shutil
import ssl
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import urllib3
import yaml
from pydantic import SecretStr

from velero_acceptance.core.addresses import is_address
from velero_acceptance.core.errors import Refusal
from velero_acceptance.core.files import read_text
from velero_acceptance.core.redaction import KNOWN
from velero_acceptance.core.sentences import known, one_line, reason
from velero_acceptance.drivers.kinds import Json

if TYPE_CHECKING:
    from kubernetes.client import Configuration

KINDS = ("cluster", "user", "context")
AUTHORITY = "certificate-authority"
# Values that are paths, relative to the kubeconfig's own folder.
FILES = (AUTHORITY, "client-certificate", "client-key", "tokenFile")


def read(path: Path) -> Json:
    """The content of a kubeconfig, or of several that *path* joins as KUBECONFIG does; raises Refusal.

    Of two entries of one name the first counts, and files that do not exist are left out, as kubectl does
    (https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/).
    """
    files = [Path(name) for name in str(path).split(os.pathsep) if name]
    if len(files) < 2:
        return _read(path)
    result: Json = {f"{kind}s": [] for kind in KINDS}
    for file in [file for file in files if file.exists()] or files[:1]:
        content = _read(file)
        for kind in KINDS:
            result[f"{kind}s"] += [_in_folder(entry, kind, file) for entry in content.get(f"{kind}s") or []]
        if content.get("current-context"):
            result.setdefault("current-context", content["current-context"])
    return result


def _in_folder(entry: object, kind: str, file: Path) -> object:
    """An entry of a list of *file*, with its paths absolute; as it is when it is malformed."""
    if not isinstance(entry, dict) or not isinstance(entry.get(kind), dict):
        return entry
    return {**entry, kind: _absolute(entry[kind], file.absolute().parent)}


def _read(path: Path) -> Json:
    try:
        content = yaml.safe_load(read_text(path, "the kubeconfig")) or {}
    except yaml.YAMLError:
        raise Refusal(f"the kubeconfig {path} is not valid YAML") from None
    if not isinstance(content, dict):
        raise Refusal(f"{path} is no kubeconfig: it holds a {type(content).__name__}")
    return content


def context_of(path: Path, content: Json, asked: str | None) -> str:
    """The name of the context that was *asked* for, or else of the current one; raises Refusal without one."""
    found = asked or content.get("current-context")
    if not found or not isinstance(found, str):
        raise Refusal(f"the kubeconfig {path} has no current context: set current.context")
    return found


def only(path: Path, asked: str | None = None) -> Json:
    """The kubeconfig *path* with one context alone, its paths absolute; raises Refusal when it has no such context."""
    content = read(path)
    name = context_of(path, content, asked)
    context = _entry(path, content, "context", name)
    names = {kind: context.get(kind) for kind in ("cluster", "user")}
    found = {kind: _entry(path, content, kind, str(named)) if named else {} for kind, named in names.items()}
    if not names["cluster"]:
        raise Refusal(f"the kubeconfig {path} has no cluster for the context {name}")
    entries = {kind: _absolute(entry, path.absolute().parent) for kind, entry in found.items()}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        **{f"{kind}s": [{"name": names[kind], kind: entry}] if names[kind] else [] for kind, entry in entries.items()},
        "contexts": [{"name": name, "context": context}],
        "current-context": name,
    }


def _entry(path: Path, content: Json, kind: str, name: str) -> Json:
    """The cluster, user or context *name*; raises Refusal when it is missing or malformed."""
    listed = content.get(f"{kind}s")
    fitting = (item for item in listed if isinstance(item, dict)) if isinstance(listed, list) else ()
    found = next((item for item in fitting if item.get("name") == name), None)
    if found is None:
        raise Refusal(f"the kubeconfig {path} has no {kind} {name}")
    value = found.get(kind) or {}
    if not isinstance(value, dict):
        raise Refusal(f"the kubeconfig {path} cannot be used: its {kind} {name} is malformed")
    return value


def _absolute(entry: Json, folder: Path) -> Json:
    """A cluster or user, with paths that are relative to *folder* made absolute, also that of its program."""
    found = {key: str(folder / str(value)) if key in FILES else value for key, value in entry.items()}
    program = found.get("exec")
    if isinstance(program, dict) and "/" in str(program.get("command")):
        found["exec"] = {**program, "command": str(folder / str(program["command"]))}
    return found


def _cluster_problems(cluster: Json) -> Iterator[str]:
    if not is_address(cluster.get("server")):
        yield f"its server is not an address such as https://kubernetes.example.org:6443, {_shown(cluster, 'server')}"
    if (proxy := cluster.get("proxy-url")) is not None and not is_address(proxy):
        yield f"its proxy-url is not an address such as http://proxy.example.org:3128, {_shown(cluster, 'proxy-url')}"
    yield from _file_problems(cluster)
    data = cluster.get(f"{AUTHORITY}-data")
    try:
        if data:
            ssl.create_default_context(cadata=b64decode(str(data), validate=True).decode())
        elif AUTHORITY in cluster:
            ssl.create_default_context(cafile=cluster[AUTHORITY])
    except (binascii.Error, ValueError, ssl.SSLError):
        yield f"its {AUTHORITY} {'is' if data else cluster[AUTHORITY] + ' is'} no certificate in PEM"


def _user_problems(user: Json) -> Iterator[str]:
    yield from _file_problems(user)
    program = user.get("exec")
    if program is None:
        return
    if not isinstance(program, dict) or not isinstance(program.get("command"), str) or "apiVersion" not in program:
        yield "the exec of its user has no command and apiVersion"
    elif shutil.which(program["command"]) is None:
        yield f"the program {program['command']}, which is to fetch its credentials, is not installed"


def _file_problems(entry: Json) -> Iterator[str]:
    for key in FILES:
        if key in entry:
            try:
                Path(entry[key]).read_bytes()
            except (OSError, ValueError) as error:
                yield f"its {key} cannot be read: {reason(error)}"


def _shown(entry: Json, key: str) -> str:
    return f"but {KNOWN.text(str(entry[key]))[:60]}" if key in entry else "but missing"


def configuration(path: Path, context: str | None, seconds: float) -> Configuration:
    """The client's settings for one context; its program for credentials has *seconds*. Raises Refusal."""
    from kubernetes import client, config

    content = only(path, context)
    (cluster,), users = content["clusters"], [entry["user"] for entry in content["users"]]
    for problem in chain(_cluster_problems(cluster["cluster"]), *map(_user_problems, users)):
        raise Refusal(f"the kubeconfig {path} cannot be used: {problem}")
    programs = [user["exec"] for user in users if "exec" in user]
    for call in programs if shutil.which("timeout") else []:  # the client waits for it without an end
        arguments = [str(seconds), call["command"], *(call.get("args") or [])]
        call.update({"command": "timeout", "args": arguments})
    found = client.Configuration()
    with _said() as said:
        try:
            config.load_kube_config_from_dict(content, client_configuration=found, persist_config=False)
        except Exception as error:  # of whatever its plugins for credentials raise
            why = known(error) or one_line(error)
            raise Refusal(f"the kubeconfig {path} cannot be used: {why}") from None
    if programs and not (found.api_key or found.cert_file):
        why = "it did not end in time" if any("returned 124" in line for line in said) else "; ".join(said)
        raise Refusal(f"the program of the kubeconfig {path} gave no credentials: {KNOWN.text(one_line(why))}")
    KNOWN.learn(*(value.removeprefix("Bearer ").removeprefix("Basic ") for value in found.api_key.values()))
    found.retries, found.proxy = False, cluster["cluster"].get("proxy-url", found.proxy)
    if not found.verify_ssl:  # as the kubeconfig wants it
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    return found


def with_token(own: Configuration, token: SecretStr) -> Configuration:
    """The same server, reached in the same way, with *token* and without what else proves an identity."""
    found = copy.copy(own)
    found.cert_file = found.key_file = found.username = found.password = found.refresh_api_key_hook = None
    found.api_key, found.api_key_prefix = {"authorization": f"Bearer {token.get_secret_value()}"}, {}
    return found


@contextmanager
def _said() -> Iterator[list[str]]:
    """What the client logs instead of raising it."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger().addHandler(handler)
    try:
        yield lines
    finally:
        logging.getLogger().removeHandler(handler)
