"""NFR-SEC-002: whether the TCP streams of a packet capture are TLS, from the first byte on."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from velero_acceptance.core.installation import lab_packages

# Every S3 request in clear contains its signature, in header or query.
S3_MARKS = (b"AWS4-HMAC-SHA256", b"X-Amz-Signature")
HEAD_BYTES = 8192
TLS_1_2 = 0x0303
HANDSHAKE, CLIENT_HELLO, SERVER_HELLO = 0x16, 1, 2
VERSIONS = {0x0301: "TLS 1.0", 0x0302: "TLS 1.1", 0x0303: "TLS 1.2", 0x0304: "TLS 1.3"}

Endpoint = tuple[str, int]


@dataclass
class Stream:
    """One TCP connection: client and server, the first bytes of both, and S3 bytes in clear."""

    client: Endpoint
    server: Endpoint
    asked: bytes = b""
    answered: bytes = b""
    plaintext_bytes: int = 0
    whole: bool = True  # its first packet is in the capture

    @property
    def is_tls(self) -> bool:
        """Whether the client began with a TLS handshake."""
        return _is_message(self.asked, CLIENT_HELLO)

    @property
    def version(self) -> int | None:
        """The negotiated TLS version; None without one."""
        return _negotiated(self.answered) if self.is_tls and _is_message(self.answered, SERVER_HELLO) else None

    def __str__(self) -> str:
        what = VERSIONS.get(self.version or 0, "TLS, nothing agreed") if self.is_tls else "not TLS"
        client, server = (f"{host}:{port}" for host, port in (self.client, self.server))
        return f"{client} → {server}: {what}"


@dataclass
class _Side:
    """The segments of one direction, by their offset in the stream."""

    start: int | None = None
    segments: dict[int, bytes] = field(default_factory=dict)

    def head(self) -> bytes:
        """The first bytes, up to the first gap."""
        data = b""
        for offset in sorted(self.segments):
            if offset > len(data):
                break
            data = data[:offset] + self.segments[offset] + data[offset + len(self.segments[offset]) :]
        return data

    @property
    def plaintext_bytes(self) -> int:
        return sum(len(data) for data in self.segments.values() if any(mark in data for mark in S3_MARKS))


@dataclass(frozen=True)
class Transport:
    """The connections to S3 in a capture, by kind, and S3 bytes in clear."""

    tls: list[Stream]
    outdated: list[Stream]
    plaintext: list[Stream]
    plaintext_bytes: int

    def table(self) -> str:
        """Every connection to S3, and the total of S3 bytes in clear."""
        lines = [str(stream) for stream in [*self.plaintext, *self.outdated, *self.tls]]
        return "\n".join([*lines, f"S3 requests in clear on any connection: {self.plaintext_bytes} bytes"])


def judge(streams: Iterable[Stream], ports: Collection[int]) -> Transport:
    """Sort the streams to S3's *ports* by kind; a connection without data is ignored."""
    known = list(streams)
    to_s3 = [stream for stream in known if stream.server[1] in ports and stream.whole and stream.asked]
    outdated = [stream for stream in to_s3 if stream.version is not None and stream.version < TLS_1_2]
    return Transport(
        tls=[stream for stream in to_s3 if stream.is_tls and stream not in outdated],
        outdated=outdated,
        plaintext=[stream for stream in to_s3 if not stream.is_tls],
        plaintext_bytes=sum(stream.plaintext_bytes for stream in known),
    )


def read(files: Iterable[Path]) -> Iterator[Stream]:
    """The TCP streams of captures, each a file whose ports may recur in the next; Refusal without the package scapy."""
    with lab_packages():
        from scapy.layers.inet import TCP
        from scapy.utils import PcapReader

    for file in files:
        sides: dict[tuple[Endpoint, Endpoint], _Side] = defaultdict(_Side)
        clients: list[tuple[Endpoint, Endpoint]] = []
        with PcapReader(str(file)) as packets:
            for packet in packets:
                if TCP in packet:
                    _add(packet[TCP], sides, clients)
        yield from _streams(sides, clients)


def _streams(
    sides: dict[tuple[Endpoint, Endpoint], _Side], clients: list[tuple[Endpoint, Endpoint]]
) -> Iterator[Stream]:
    known = dict.fromkeys(clients)
    for source, target in sides:  # streams from before the capture
        if (source, target) not in known and (target, source) not in known:
            known[source, target] = None
    for client, server in known:
        asked, answered = sides[client, server], sides[server, client]
        plaintext = asked.plaintext_bytes + answered.plaintext_bytes
        yield Stream(client, server, asked.head(), answered.head(), plaintext, whole=asked.start is not None)


def _add(segment: Any, sides: dict[Any, _Side], clients: list[Any]) -> None:
    network = segment.underlayer
    pair = (network.src, int(segment.sport)), (network.dst, int(segment.dport))
    side = sides[pair]
    if segment.flags.S:
        side.start = (int(segment.seq) + 1) % 2**32
        if not segment.flags.A:
            clients.append(pair)
        return
    payload = bytes(segment.payload)
    length = network.len - network.ihl * 4 - segment.dataofs * 4 if hasattr(network, "ihl") else len(payload)
    payload = payload[: max(0, length)]  # Ethernet pads short frames
    offset = (int(segment.seq) - side.start) % 2**32 if side.start is not None else len(side.segments) * 2**16
    if payload and (offset < HEAD_BYTES or any(mark in payload for mark in S3_MARKS)):
        side.segments.setdefault(offset, payload)


def _is_message(data: bytes, kind: int) -> bool:
    """Whether *data* begins with a TLS handshake record with a message of *kind*."""
    return len(data) > 5 and data[0] == HANDSHAKE and data[1] == 3 and data[5] == kind


def _negotiated(answered: bytes) -> int | None:
    """The version in a ServerHello: its extension if there is one, else the old field."""
    from scapy.layers.tls.extensions import TLS_Ext_SupportedVersion_SH
    from scapy.layers.tls.handshake import TLSServerHello
    from scapy.layers.tls.record import TLS

    record = TLS(answered[: 5 + int.from_bytes(answered[3:5], "big")])
    hello = next((message for message in record.msg if isinstance(message, TLSServerHello)), None)
    if hello is None:
        return None
    chosen = [e.version for e in hello.ext or [] if isinstance(e, TLS_Ext_SupportedVersion_SH)]
    return int(chosen[0] if chosen else hello.version)
