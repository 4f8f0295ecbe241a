"""Secrets are found by their form, through every encoding, and nothing else is taken for one."""

import base64
import json
import textwrap
from urllib.parse import quote

import pytest

from velero_acceptance.checks.secret_forms import forms

AGE = "AGE-SECRET-KEY-1" + "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L" + "QPZRY9X8GF2TVDW0S3JN54KHCE"
BODY = base64.b64encode(bytes(range(200))).decode()
WRAPPED = "\n".join(textwrap.wrap(BODY, 64))
PEM = f"-----BEGIN OPENSSH PRIVATE KEY-----\n{WRAPPED}\n-----END OPENSSH PRIVATE KEY-----\n"
PGP = f"-----BEGIN PGP PRIVATE KEY BLOCK-----\nVersion: 1\n\n{WRAPPED}\n-----END PGP PRIVATE KEY BLOCK-----\n"


@pytest.mark.parametrize(
    ("text", "form"),
    [
        (f"# created: today\n{AGE}\n", "age private key"),
        (PEM, "private key"),
        (PGP, "private key"),
        (PEM.replace("OPENSSH ", ""), "private key"),
        ("aws_access_key_id = AKIA" + "Q3EGRIZ4XN7TYU2B", "AWS Access Key"),
        ("token: ghp_" + "a1B2c3D4e5" * 3 + "f6G7h8", "GitHub Token"),
        ("slack: xoxb-" + "123456789012-abcdefABCDEF123456", "Slack Token"),
        ('{"apiKey": "9f8a7b6c5d4e3f2a1b0c"}', "value of a password, key or token"),
        ("DB_PASSWORD=tr0ub4dor&3-horse-Battery", "value of a password, key or token"),
        ("secretAccessKey: wJalrXUtnFEMI/K7MDENG+bPxRfiCY", "value of a password, key or token"),
    ],
)
def test_each_form_is_found(text: str, form: str) -> None:
    assert forms(text.encode()) == {form}


@pytest.mark.parametrize(
    "encode",
    [
        lambda text: base64.b64encode(text.encode()),
        lambda text: base64.encodebytes(text.encode()),
        lambda text: base64.b64encode(base64.b64encode(text.encode())),
        lambda text: text.encode("utf-16"),
        lambda text: text.encode("utf-16-le"),
        lambda text: text.encode("utf-16-be"),
        lambda text: base64.b64encode(text.encode("utf-16-le")),
        lambda text: quote(text, safe="").encode(),
        lambda text: json.dumps({"file": text}).encode(),
        lambda text: json.dumps({"data": base64.b64encode(text.encode()).decode()}).encode(),
    ],
)
@pytest.mark.parametrize("text", [f"{AGE}\n", PEM])
def test_each_form_is_found_in_each_encoding(encode: object, text: str) -> None:
    assert callable(encode) and forms(encode(text))


@pytest.mark.parametrize(
    "text",
    [
        "stringData:\n    password: ENC[AES256_GCM,data:7kq3Zz0=,iv:AAAABBBB0123,tag:ccc9,type:str]",
        "password: ${DATABASE_PASSWORD_1}",
        "password: {{ .Values.password1 }}",
        "existingSecretPasswordKey: velero-s3-secret-2",
        "apiKey: <your-api-key-number-1>",
        "secretAccessKey: example-0123456789",
        "passwordFile: /etc/secrets/password-1",
        "aws_access_key_id = AKIAIOSFODNN7EXAMPLE",
        "An age key is a line that begins with AGE-SECRET-KEY-1.",
        "-----BEGIN PRIVATE KEY-----\n…\n-----END PRIVATE KEY-----",
        f"-----BEGIN CERTIFICATE-----\n{WRAPPED}\n-----END CERTIFICATE-----",
        "recipient: age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIm1Y0kL6vP9pVqVQ0m6d3o3m0rQ2b2o3m0rQ2b2o3m0",
        "image: docker.io/library/busybox@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    ],
)
def test_what_stands_for_a_secret_or_is_public_is_none(text: str) -> None:
    assert forms(text.encode()) == set()
