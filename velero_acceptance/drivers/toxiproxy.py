"""Faults on the route to S3, by toxiproxy's HTTP interface."""

from typing import Any

import requests

from velero_acceptance.core.sentences import failing_as
from velero_acceptance.core.timeouts import seconds

# Suffix of a second route on the same port, to a server that is always busy.
BUSY = "-busy"


class Toxiproxy:
    """One proxied route. :meth:`heal` removes every fault; *faulty*: this object injected one that is not removed."""

    def __init__(self, url: str, proxy: str) -> None:
        self._server, self._proxy = url, proxy
        self.faulty = False

    def add_route(self, name: str) -> "tuple[Toxiproxy, int]":
        """Add a route *name* to the same server; return it and its port. :meth:`remove` it in the end."""
        own = self._call("GET", "")
        listen = f"{own['listen'].rpartition(':')[0]}:0"
        route = {"name": name, "listen": listen, "upstream": own["upstream"], "enabled": True}
        made = self._request("POST", "/proxies", route)
        return Toxiproxy(self._server, name), int(made["listen"].rpartition(":")[2])

    def remove(self) -> None:
        """Remove the route; it may be gone already."""
        if self._proxy in self.routes():
            self._call("DELETE", "")

    def routes(self) -> list[str]:
        return list(self._request("GET", "/proxies"))

    def cut(self) -> None:
        """Refuse new connections and end those that are open."""
        self.faulty = True
        self._call("POST", "", {"enabled": False})

    def throttle(self, kilobytes_per_second: int) -> None:
        """Limit each connection to this many kB/s in both directions."""
        for stream in ("upstream", "downstream"):
            toxic = {"name": f"slow {stream}", "type": "bandwidth", "stream": stream}
            self._add({**toxic, "attributes": {"rate": kilobytes_per_second}})

    def reset(self) -> None:
        """Reset every connection, open or new, when data crosses it."""
        self._add({"name": "reset", "type": "reset_peer", "attributes": {"timeout": 0}})

    def busy(self) -> None:
        """Route to a server that answers every request with 503 SlowDown."""
        self.cut()
        self._request("POST", f"/proxies/{self._proxy}{BUSY}", {"enabled": True})

    def heal(self) -> None:
        if f"{self._proxy}{BUSY}" in self.routes():
            self._request("POST", f"/proxies/{self._proxy}{BUSY}", {"enabled": False})
        for toxic in self._call("GET", "/toxics"):
            self._call("DELETE", f"/toxics/{toxic['name']}")
        self._call("POST", "", {"enabled": True})
        self.faulty = False

    def _add(self, toxic: dict[str, Any]) -> None:
        self.faulty = True
        self._call("POST", "/toxics", toxic)

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        return self._request(method, f"/proxies/{self._proxy}{path}", body)

    def _request(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        with failing_as(f"toxiproxy at {self._server}"):
            answer = requests.request(method, self._server + path, json=body, timeout=seconds("toxiproxy_call"))
            answer.raise_for_status()
            return answer.json() if answer.content else None
