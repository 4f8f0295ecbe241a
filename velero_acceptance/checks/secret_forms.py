"""NFR-SEC-001, AC-007-02: texts that look like a secret, whoever it belongs to: private keys, tokens, passwords.

Findings name the form and never the value. Tokens of services are those that detect-secrets knows.
"""

import base64
import binascii
import math
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from typing import Any
from urllib.parse import unquote

PRIVATE_KEYS = {
    "age private key": re.compile(r"AGE-SECRET-KEY-1[0-9A-Z]{58}"),
    # With a body: a text about keys has none.
    "private key": re.compile(
        r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----(?:\s|[A-Za-z-]+: [^\n]*\n)*[A-Za-z0-9+/=]{40}"
    ),
}
TELLING = re.compile(
    r"""["']?[\w.-]*(?:passw(?:or)?d|passphrase|secret[_-]?(?:access[_-]?)?key|api[_-]?key|access[_-]?token|auth[_-]?token"""
    r"""|client[_-]?secret)["']?[ \t]*[:=][ \t]*["']?(?P<value>[^\s"',#]{12,})""",
    re.I,
)
# What stands for a value: a variable, a template, an encrypted value, a name of an object, a word to be replaced.
STANDS_FOR = re.compile(
    r"^(?:ENC\[|[$<{%&*]|/|https?:|[a-z0-9]+(?:[.-][a-z0-9]+)+$)|[()[\]]|\$\{|\{\{|example|change|placeholder|redacted|x{6}",
    re.I,
)
# Bits a character: words are below, generated values of twelve characters and more above.
ENTROPY = 3.0
# Lines of base64 are 64 or 76 characters, the last one is shorter.
BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{40,}\s*)*[A-Za-z0-9+/]{24,}={0,2}")
ESCAPES = {r"\n": "\n", r"\t": "\t", r"\/": "/", r"\"": '"'}
# Base64 of base64, as of a Secret in a Helm release in a Secret.
DEPTH = 3


def forms(content: bytes) -> set[str]:
    """The forms of secrets in a file, also in UTF-16, base64 (wrapped or not), percent or JSON escapes."""
    return {form for text in _readings(_decoded(content), DEPTH) for form in _forms(text)}


def _decoded(content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", errors="replace")
    if content[1:64:2].count(0) > 8:
        return content.decode("utf-16-le", errors="replace")
    if content[0:64:2].count(0) > 8:
        return content.decode("utf-16-be", errors="replace")
    return content.decode(errors="replace")


def _readings(text: str, depth: int) -> Iterator[str]:
    """The text, and what it becomes without its encodings."""
    yield text
    if "%" in text:
        yield unquote(text)
    if "\\" in text:
        plain = text
        for escaped, character in ESCAPES.items():
            plain = plain.replace(escaped, character)
        yield plain
    if not depth:
        return
    for found in BASE64.finditer(text):
        packed = "".join(found[0].split()).rstrip("=")
        try:
            inner = base64.b64decode(packed + "=" * (-len(packed) % 4))
        except (binascii.Error, ValueError):
            continue
        yield from _readings(_decoded(inner), depth - 1)


def _forms(text: str) -> Iterator[str]:
    yield from (form for form, pattern in PRIVATE_KEYS.items() if pattern.search(text))
    if any(_is_generated(found["value"]) for found in TELLING.finditer(text)):
        yield "value of a password, key or token"
    for detector in _detectors():
        if any("EXAMPLE" not in str(value).upper() for value in detector.analyze_string(text)):
            yield str(detector.secret_type)


def _is_generated(value: str) -> bool:
    if STANDS_FOR.search(value) or not re.search(r"\d", value):
        return False
    counts = Counter(value)
    entropy = -sum(count / len(value) * math.log2(count / len(value)) for count in counts.values())
    return entropy >= ENTROPY


@cache
def _detectors() -> tuple[Any, ...]:
    """Of detect-secrets, those of a token's form; the others guess by names or entropy."""
    from detect_secrets.plugins import (
        aws,
        azure_storage_key,
        github_token,
        gitlab_token,
        npm,
        openai,
        pypi_token,
        sendgrid,
        slack,
        stripe,
    )

    return (
        aws.AWSKeyDetector(),
        azure_storage_key.AzureStorageKeyDetector(),
        github_token.GitHubTokenDetector(),
        gitlab_token.GitLabTokenDetector(),
        npm.NpmDetector(),
        openai.OpenAIDetector(),
        pypi_token.PypiTokenDetector(),
        sendgrid.SendGridDetector(),
        slack.SlackDetector(),
        stripe.StripeDetector(),
    )
