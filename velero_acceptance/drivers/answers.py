"""What an answer of the API server says: why it refused a call, when it wants to be asked again, its lines."""

import json
from collections.abc import Iterator
from typing import Any

from velero_acceptance.core.redaction import KNOWN
from velero_acceptance.core.sentences import one_line


def reason(error: Any) -> str:
    """What the server says, without the secrets that it may quote."""
    try:
        said = str(json.loads(error.body)["message"])
    except (ValueError, KeyError, TypeError):
        said = f"{error.status} {error.reason}"
    return KNOWN.text(one_line(said))


def asked_pause(error: Any) -> float | None:
    """The seconds of the header Retry-After of an answer; None without one, or for a date."""
    text = str((error.headers or {}).get("Retry-After") or "")
    return float(text) if text.isdigit() else None


def lines(response: Any) -> Iterator[bytes]:
    """The lines of an answer that is still coming, each when it is whole."""
    rest = b""
    for chunk in response.stream(amt=None, decode_content=False):
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (line for line in whole if line)
