from __future__ import annotations

import base64
from urllib.parse import quote

import pytest

from velero_acceptance.core.redaction import PLACEHOLDER, Redactor

SECRET = "pl4nted/secret+value"


@pytest.mark.parametrize(
    "form", [SECRET, base64.b64encode(SECRET.encode()).decode(), quote(SECRET, safe=""), f"x={SECRET}&y=1"]
)
def test_a_known_secret_is_blanked_in_every_form(form: str) -> None:
    shown = Redactor([SECRET]).text(f"before {form} after")
    assert SECRET not in shown and form not in shown
    assert shown.startswith("before") and PLACEHOLDER in shown


@pytest.mark.parametrize(
    "text",
    [
        "AGE-SECRET-KEY-1QQPQ9X8GF2TVDW0S3JN54KHCE6MUA7L",
        "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE\n-----END EC PRIVATE KEY-----",
        "aws_secret_access_key = wJalrXUtnFEMI",
        "Authorization: Bearer abcdefghijklmnopqrstuvwxyz",
        "eyJhbGciOiJSUzI1NiIsImtpZCI6.eyJpc3MiOiJrdWJlcm5ldGVz.c2lnbmF0dXJl",
        "GET /x?X-Amz-Signature=0123456789abcdef",
    ],
)
def test_what_looks_like_a_secret_is_blanked(text: str) -> None:
    shown = Redactor().text(text)
    assert PLACEHOLDER in shown
    for part in ("QQPQ9X8GF2", "MHcCAQEE", "wJalrXUtnFEMI", "klmnopqrst", "eyJpc3Mi", "0123456789abcdef"):
        assert part not in shown


def test_short_values_do_not_blank_out_words() -> None:
    assert Redactor(["data", ""]).text("the data") == "the data"


def test_secrets_learned_later_count() -> None:
    redactor = Redactor()
    redactor.learn(f"{SECRET}\n")
    assert SECRET not in redactor.text(SECRET)
