"""What a guest measured of itself, in seconds, and which versions it has."""

from __future__ import annotations

import json
import platform
from dataclasses import asdict, dataclass, field
from pathlib import Path

from velero_acceptance.core.errors import AcceptanceError

FILE = "guest/figures.json"


@dataclass
class Figures:
    """Written by the guest after each step, so that an interrupted one leaves what it had."""

    system: str
    kernel: str
    nodes: int
    deployment: str
    seconds: dict[str, float] = field(default_factory=dict)
    verdicts: dict[str, str] = field(default_factory=dict)

    @staticmethod
    def of_this_system(nodes: int, deployment: str) -> Figures:
        name = platform.freedesktop_os_release()["PRETTY_NAME"]
        return Figures(name, platform.release(), nodes, deployment)

    def save(self, reports: Path) -> None:
        """Write them below the reports folder."""
        path = reports / FILE
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=1))

    @staticmethod
    def load(reports: Path) -> Figures:
        """Those that a guest left; raises AcceptanceError when it left none."""
        path = reports / FILE
        if not path.exists():
            raise AcceptanceError("the guest ended before it had figures: look at its console")
        return Figures(**json.loads(path.read_text()))

    def lines(self) -> list[str]:
        """One line for each figure."""
        return [
            f"{self.system}, Linux {self.kernel}, {self.nodes} node(s), Velero by {self.deployment}",
            *(f"  {what}: {seconds:.0f} s" for what, seconds in self.seconds.items()),
            *(f"  {criterion}: {verdict}" for criterion, verdict in self.verdicts.items()),
        ]
