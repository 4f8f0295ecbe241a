"""An S3 server that is always busy: answers every request over TLS with 503 SlowDown, as S3 under load does.

Runs as ``python -m lab.busy ADDRESS PORT CERTIFICATE KEY`` in the S3 host's network.
"""

from __future__ import annotations

import ssl
import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ANSWER = b"""<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"""


class Busy(BaseHTTPRequestHandler):
    """Says no to everything. The connection is closed, because what was sent is not read."""

    def do_GET(self) -> None:
        self.send_response(HTTPStatus.SERVICE_UNAVAILABLE)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(ANSWER)))
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(ANSWER)

    do_HEAD = do_PUT = do_POST = do_DELETE = do_GET  # noqa: N815  http.server looks for these names


def server(address: str, port: int, certificate: str, key: str) -> ThreadingHTTPServer:
    """The server, listening and not yet serving."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    found = ThreadingHTTPServer((address, port), Busy)
    found.socket = context.wrap_socket(found.socket, server_side=True)
    return found


if __name__ == "__main__":
    host, number, *files = sys.argv[1:]
    server(host, int(number), *files).serve_forever()
