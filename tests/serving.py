"""Small HTTP servers for the tests of drivers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import HTTPServer

# How often a server looks whether it is to end; the standard half second is a wait at the end of every test.
POLL_SECONDS = 0.02


@contextmanager
def served(server: HTTPServer) -> Iterator[None]:
    """Let *server* answer while the body runs."""
    threading.Thread(target=server.serve_forever, args=(POLL_SECONDS,), daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
