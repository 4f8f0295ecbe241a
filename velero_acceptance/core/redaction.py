"""Keep secrets out of everything the suite writes."""

import base64
import re
from collections.abc import Iterable
from urllib.parse import quote

PLACEHOLDER = "[redacted]"
# Shorter values would blank out ordinary words.
SHORTEST = 6
PATTERNS = (
    re.compile(r"AGE-SECRET-KEY-1[0-9A-Z]+"),
    re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----", re.S),
    re.compile(r"(?i)(?<=bearer )[A-Za-z0-9._~+/=-]{16,}"),
    re.compile(r"(?i)(?<=aws_secret_access_key)\s*[:=]\s*\S+"),
    re.compile(r"X-Amz-Signature=[0-9a-f]+"),
    re.compile(r"(?<=://)[^/\s:@]*:[^/\s@]+(?=@)"),  # user and password of an address
    re.compile(r"eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}"),  # a JSON web token
)


def encodings(value: str) -> set[str]:
    """*value* as it is, URL-encoded, and the base64 of it wherever it begins in a longer text.

    Three bytes become four characters, so there are three alignments; the characters at both ends also hold bits of
    the neighbours, and are left off.
    """
    data = value.encode()
    inner = (
        base64.b64encode(b"\0" * before + data).decode()[-(-before * 8 // 6) : (before + len(data)) * 8 // 6]
        for before in range(3)
    )
    return {value, quote(value, safe=""), *inner}


class Redactor:
    """Replaces known secrets, also in base64 and URL encoding, and whatever looks like one."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._forms: set[str] = set()
        self.learn(*secrets)

    def learn(self, *secrets: str) -> None:
        for value in {text for secret in secrets for text in (secret, secret.strip())}:
            if len(value) >= SHORTEST:
                whole = base64.b64encode(value.encode()).decode()
                self._forms |= {*encodings(value), whole, whole.rstrip("=")}

    def text(self, text: str) -> str:
        for form in sorted(self._forms, key=len, reverse=True):
            text = text.replace(form, PLACEHOLDER)
        for pattern in PATTERNS:
            text = pattern.sub(PLACEHOLDER, text)
        return text


# The secrets of this process: what reads one, or is given one, lets this learn it.
KNOWN = Redactor()
