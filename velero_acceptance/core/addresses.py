"""Addresses of HTTP servers."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator


def is_address(value: object) -> bool:
    """Whether *value* is an HTTP or HTTPS address with a host."""
    try:
        found = urlsplit(value if isinstance(value, str) else "")
        return found.scheme in ("http", "https") and bool(found.hostname) and found.port != 0
    except ValueError:  # of a port that is no number
        return False


def _checked(value: str) -> str:
    if not is_address(value):
        raise ValueError("this is not an address such as https://s3.example.org")
    return value


Address = Annotated[str, AfterValidator(_checked)]
