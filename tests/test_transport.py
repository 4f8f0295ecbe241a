"""Packets are judged by their bytes: TLS from the first one on, or not."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import CookedLinux
from scapy.packet import Packet, Raw
from scapy.utils import wrpcap

from velero_acceptance.checks import transport
from velero_acceptance.core.errors import AcceptanceError
from velero_acceptance.drivers.packet_capture import Capture

CLIENT, SERVER = ("10.0.0.1", 40000), ("10.0.0.2", 9000)
PLAIN = b"GET /bucket?X-Amz-Signature=abc HTTP/1.1\r\n\r\n"


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "s3")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    path.write_bytes(secret + made)
    return path


def handshake(certificate: Path, version: ssl.TLSVersion) -> tuple[bytes, bytes]:
    """The first bytes of both sides of a real handshake."""
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(certificate)
    server_side.set_ciphers("ALL:@SECLEVEL=0")
    server_side.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    client_side = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_side.check_hostname, client_side.verify_mode = False, ssl.CERT_NONE
    client_side.set_ciphers("ALL:@SECLEVEL=0")
    client_side.minimum_version = client_side.maximum_version = version
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_side.wrap_bio(to_client, to_server)
    server = server_side.wrap_bio(to_server, to_client, server_side=True)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    asked = to_server.read()
    to_server.write(asked)
    with pytest.raises(ssl.SSLWantReadError):
        server.do_handshake()
    return asked, to_client.read()


def stream(
    asked: bytes, answered: bytes, *, opened: bool = True, port: int = SERVER[1], cut: int = 400
) -> list[Packet]:
    """The packets of one connection, in segments of *cut* bytes, some twice and out of order."""
    to, back = (CLIENT, (SERVER[0], port)), ((SERVER[0], port), CLIENT)
    packets = []
    if opened:
        packets = [segment(*to, 99, b"", "S"), segment(*back, 499, b"", "SA")]
    for (source, target), start, data in ((to, 100, asked), (back, 500, answered)):
        pieces = [segment(source, target, start + i, data[i : i + cut]) for i in range(0, len(data), cut)]
        packets += [*reversed(pieces), *pieces[:1]]
    return packets


def segment(source: tuple[str, int], target: tuple[str, int], seq: int, data: bytes, flags: str = "PA") -> Packet:
    return (
        CookedLinux()
        / IP(src=source[0], dst=target[0])
        / TCP(sport=source[1], dport=target[1], seq=seq, flags=flags)
        / Raw(data)
    )


def judged(folder: Path, *packets: Packet) -> transport.Transport:
    file = folder / "x.pcap"
    wrpcap(str(file), list(packets))
    return transport.judge(transport.read([file]), [SERVER[1]])


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_safe_handshake_is_tls(tmp_path: Path, certificate: Path, version: ssl.TLSVersion) -> None:
    seen = judged(tmp_path, *stream(*handshake(certificate, version)))
    assert (len(seen.tls), seen.outdated, seen.plaintext, seen.plaintext_bytes) == (1, [], [], 0)
    assert seen.tls[0].version == version
    assert {0x0303: "TLS 1.2", 0x0304: "TLS 1.3"}[version] in seen.table()


def test_an_outdated_version_is_red(tmp_path: Path, certificate: Path) -> None:
    asked, answered = handshake(certificate, ssl.TLSVersion.TLSv1_2)
    # The version field of the ServerHello: TLS 1.1 instead of 1.2.
    seen = judged(tmp_path, *stream(asked, answered[:9] + b"\x03\x02" + answered[11:]))
    assert (seen.tls, len(seen.outdated), seen.plaintext) == ([], 1, [])


def test_a_plain_request_is_red(tmp_path: Path, certificate: Path) -> None:
    safe = stream(*handshake(certificate, ssl.TLSVersion.TLSv1_3))
    plain = [packet for packet in stream(PLAIN, b"HTTP/1.1 400\r\n") if TCP in packet]
    for packet in plain:
        for field in ("sport", "dport"):
            if getattr(packet[TCP], field) == CLIENT[1]:
                setattr(packet[TCP], field, CLIENT[1] + 1)
    seen = judged(tmp_path, *safe, *plain)
    assert (len(seen.tls), len(seen.plaintext)) == (1, 1)
    assert seen.plaintext_bytes >= len(PLAIN)


@pytest.mark.parametrize("opened", [True, False])
def test_a_signature_on_any_other_port_is_red(tmp_path: Path, opened: bool) -> None:
    seen = judged(tmp_path, *stream(PLAIN, b"", port=8080, opened=opened))
    assert (seen.tls, seen.plaintext) == ([], [])
    assert seen.plaintext_bytes >= len(PLAIN)


def test_a_handshake_that_comes_to_nothing_is_not_plain(tmp_path: Path, certificate: Path) -> None:
    asked, _ = handshake(certificate, ssl.TLSVersion.TLSv1_3)
    seen = judged(tmp_path, *stream(asked, b""))
    assert (len(seen.tls), seen.plaintext) == (1, [])
    assert "nothing agreed" in seen.table()


@pytest.mark.parametrize("asked", [b"\x16", b"\x16\x03\x01\x00\x05\x02", b"\x15\x03\x03\x00\x02\x01\x00", b"\0" * 20])
def test_what_only_looks_like_tls_is_plain(tmp_path: Path, asked: bytes) -> None:
    assert len(judged(tmp_path, *stream(asked, b"")).plaintext) == 1


def test_a_hole_in_the_first_bytes_is_not_filled(tmp_path: Path, certificate: Path) -> None:
    packets = stream(*handshake(certificate, ssl.TLSVersion.TLSv1_3), cut=3)
    without_first = [p for p in packets if not (p[TCP].seq == 100 and p[TCP].flags.P)]
    seen = judged(tmp_path, *without_first)
    assert seen.tls == []


def test_a_connection_that_carried_nothing_is_none(tmp_path: Path) -> None:
    seen = judged(tmp_path, *stream(b"", b""))
    assert (seen.tls, seen.plaintext) == ([], [])


def test_a_program_that_is_missing_is_one_sentence(tmp_path: Path) -> None:
    with (
        pytest.raises(AcceptanceError, match="cannot be run: No such file"),
        Capture(["no-such-tcpdump"], tmp_path / "x"),
    ):
        pass


def test_a_program_that_ends_at_once_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(AcceptanceError, match="tcpdump ended: "), Capture(["false"], tmp_path / "x"):
        pass


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        ("5 packets captured\n5 packets received by filter\n0 packets dropped by kernel", False),
        ("5 packets captured\n9 packets received by filter\n4 packets dropped by kernel", True),
        ("0 packets captured\n0 packets received by filter\n0 packets dropped by kernel", True),
        ("", True),
    ],
)
def test_a_capture_with_holes_proves_nothing(tmp_path: Path, said: str, wrong: bool) -> None:
    program = tmp_path / "tcpdump"
    program.write_text(
        f"#!/usr/bin/env python3\nimport signal, sys\n"
        f"signal.signal(signal.SIGINT, lambda *_: (sys.stderr.write({said!r}), sys.exit(0)))\n"
        "sys.stderr.write('listening on any\\n'); sys.stderr.flush()\nsignal.pause()\n"
    )
    program.chmod(0o755)

    def capture() -> None:
        with Capture([str(program)], tmp_path / "x.pcap"):
            pass

    if wrong:
        with pytest.raises(AcceptanceError, match="not whole"):
            capture()
    else:
        capture()
