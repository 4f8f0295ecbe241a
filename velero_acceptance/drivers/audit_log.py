"""The API server's audit log: who made which request."""

import json
from dataclasses import dataclass
from pathlib import Path

from velero_acceptance.core.errors import AcceptanceError
from velero_acceptance.drivers.kinds import Kind


@dataclass(frozen=True)
class Request:
    """A request that the API server carried out: the user, and the user agent."""

    user: str
    agent: str


class AuditLog:
    """A log in the format of audit.k8s.io/v1, a JSON object a line."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def creations(self, kind: Kind, namespace: str, name: str) -> list[Request]:
        """Every successful creation of an object; raises AcceptanceError when the log cannot be read."""
        try:
            lines = self._path.read_text().splitlines()
        except OSError as error:
            raise AcceptanceError(f"the audit log {self._path} cannot be read: {error.strerror}") from None
        wanted = {"apiGroup": kind.group, "resource": kind.plural, "namespace": namespace, "name": name}
        return [
            Request(entry["user"]["username"], entry.get("userAgent", ""))
            for entry in (json.loads(line) for line in lines if name in line)
            for about in [entry.get("objectRef") or {}]
            if entry["verb"] == "create" and wanted.items() <= about.items() and not about.get("subresource")
            if entry["responseStatus"]["code"] < 300
        ]
