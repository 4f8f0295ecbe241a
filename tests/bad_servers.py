"""Servers that are no API server and no S3: other certificates, other answers, other protocols."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.serving import served


@dataclass(frozen=True)
class Answer:
    """What a server says to everything; *cut*: it promises more bytes than it sends. *echo*: it quotes the request.

    *drips*: it sends a byte every so many seconds.
    """

    status: int = 200
    body: bytes = b""
    location: str = ""
    cut: bool = False
    echo: bool = False
    drips: float = 0


class Handler(BaseHTTPRequestHandler):
    server: AnswerServer

    def handle_any(self) -> None:
        answer = self.server.answer
        body = str(self.headers).encode() if answer.echo else answer.body
        self.send_response(answer.status)
        if answer.location:
            self.send_header("Location", answer.location)
        self.send_header("Content-Length", str(len(body) + (100 if answer.cut else 0)))
        self.end_headers()
        if self.command != "HEAD":
            for byte in body if answer.drips else ():
                time.sleep(answer.drips)
                self.wfile.write(bytes([byte]))
            self.wfile.write(b"" if answer.drips else body)
        self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PATCH = do_PUT = do_DELETE = handle_any  # noqa: N815  the names are http.server's

    def log_message(self, *_: object) -> None:
        pass


class AnswerServer(ThreadingHTTPServer):
    def __init__(self, answer: Answer) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer = answer

    def handle_error(self, *_: object) -> None:
        """A client that refuses the certificate is no news."""


@contextmanager
def answering(answer: Answer, certificate: Path | None = None) -> Iterator[str]:
    """The address of a server that says *answer*; with a *certificate* (and its key, in one file) by TLS."""
    server = AnswerServer(answer)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    with served(server):
        yield f"{'https' if certificate else 'http'}://127.0.0.1:{server.server_port}"


def certificate(path: Path, *, name: str = "127.0.0.1", days: int = 1) -> Path:
    """Write a certificate that signs itself, and its key, to *path*; it expires in *days*."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    other = x509.IPAddress(ip_address(name)) if name[0].isdigit() else x509.DNSName(name)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=9))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([other]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
    return path
