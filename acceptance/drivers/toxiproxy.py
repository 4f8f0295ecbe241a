"""Faults on the way to S3, by toxiproxy's HTTP interface."""

from __future__ import annotations

from typing import Any

import requests

from acceptance.errors import AcceptanceError

CALL_SECONDS = 10.0


class Toxiproxy:
    """One proxied route. Every fault is undone by :meth:`heal`."""

    def __init__(self, url: str, proxy: str) -> None:
        self._url = f"{url}/proxies/{proxy}"

    def cut(self) -> None:
        """Refuse new connections and end those that are open."""
        self._call("POST", "", {"enabled": False})

    def throttle(self, kilobytes_per_second: int) -> None:
        """Limit each connection, in both directions, to so many kB/s."""
        for stream in ("upstream", "downstream"):
            toxic = {"name": f"slow {stream}", "type": "bandwidth", "stream": stream}
            self._call("POST", "/toxics", {**toxic, "attributes": {"rate": kilobytes_per_second}})

    def reset(self) -> None:
        """Reset every connection, open or new, as soon as data crosses it."""
        self._call("POST", "/toxics", {"name": "reset", "type": "reset_peer", "attributes": {"timeout": 0}})

    def heal(self) -> None:
        """Remove every fault."""
        for toxic in self._call("GET", "/toxics"):
            self._call("DELETE", f"/toxics/{toxic['name']}")
        self._call("POST", "", {"enabled": True})

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        try:
            answer = requests.request(method, self._url + path, json=body, timeout=CALL_SECONDS)
            answer.raise_for_status()
        except requests.RequestException as error:
            raise AcceptanceError(f"toxiproxy at {self._url}: {error}") from None
        return answer.json() if answer.content else None
