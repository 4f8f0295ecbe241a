"""Errors of libraries and of the system as one sentence; any other error is a bug, and shows its traceback."""

from __future__ import annotations

import errno
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pydantic
import yaml

from velero_acceptance.core.errors import AcceptanceError, Refusal
from velero_acceptance.core.installation import missing_library
from velero_acceptance.core.redaction import KNOWN

# By name: importing them takes a second, which no other command should wait for.
CLIENTS = frozenset({"boto3", "botocore", "google", "kubernetes", "minio", "requests", "urllib3"})


def known(error: BaseException) -> AcceptanceError | None:
    """*error* as one sentence with its exit code; None when only its traceback helps."""
    if isinstance(error, AcceptanceError):
        return error
    if isinstance(error, pydantic.ValidationError):
        return Refusal(f"the setting {problem_of(error, f'of {error.title} is not valid: ')}")
    if isinstance(error, ModuleNotFoundError):
        return missing_library(error)
    if isinstance(error, yaml.YAMLError):
        return Refusal(f"this is not valid YAML: {one_line(error)}")
    if not isinstance(error, (OSError, subprocess.SubprocessError)) and not _of_client(error):
        return None
    refused = isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG
    return (Refusal if refused else AcceptanceError)(reason(error))


@contextmanager
def failing_as(what: str) -> Iterator[None]:
    """Raise what the system or a client library raises in the body as an AcceptanceError: *what*, and the reason."""
    try:
        yield
    except Exception as error:
        if isinstance(error, AcceptanceError) or known(error) is None:
            raise
        raise AcceptanceError(f"{what}: {reason(error)}") from None


def reason(error: BaseException) -> str:
    """The innermost cause of an error of the system or of an HTTP client, in a few words."""
    error = _innermost(error)
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate verify failed: {error.verify_message}"
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.replace("_", " ").lower()
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return KNOWN.text(one_line(error)) or type(error).__name__


def problem_of(error: pydantic.ValidationError, then: str = "") -> str:
    """The first thing that is wrong in what a model was given, by its place; never the value, which may be a secret."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    text = f"{then or ': ' if where else ''}{first['msg'].removeprefix('Value error, ')}"
    return f"{where} {text}" if then and where else f"{where}{text}"


def one_line(error: object) -> str:
    return " ".join(str(error).split())


def _innermost(error: BaseException) -> BaseException:
    seen = {error}
    while inner := next((cause for cause in _causes(error) if cause not in seen), None):
        error = inner
        seen.add(error)
    return error


def _causes(error: BaseException) -> list[BaseException]:
    """What an error of a client wraps: each library has another place for it."""
    if not _of_client(error):
        return []
    found = (getattr(error, "reason", None), getattr(error, "kwargs", {}).get("error"), *error.args, error.__cause__)
    return [cause for cause in (*found, error.__context__) if isinstance(cause, BaseException)]


def _of_client(error: BaseException) -> bool:
    return any(kind.__module__.partition(".")[0] in CLIENTS for kind in type(error).__mro__)
