"""A link to S3, and watches of volumes, that note what is done with them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fixtures.environment.cluster import TargetClients
from velero_acceptance.drivers.kinds import Kind
from velero_acceptance.drivers.toxiproxy import Toxiproxy
from velero_acceptance.drivers.volumes import Sample


class FakeLink(Toxiproxy):
    """A proxy that notes what is done to it."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.faulty = False

    def _note(self, what: str, *, faulty: bool = True) -> None:
        self.done.append(what)
        self.faulty = faulty

    def throttle(self, kilobytes_per_second: int) -> None:
        self._note(f"throttle {kilobytes_per_second}")

    def cut(self) -> None:
        self._note("cut")

    def heal(self) -> None:
        self._note("heal", faulty=False)

    def remove(self) -> None:
        self._note("remove")

    def beside(self, name: str) -> tuple[Toxiproxy, int]:
        self._note(f"beside {name}", faulty=False)
        return self, 9443


def watch_volumes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Let each watch of volumes take two samples when its body has ended; return kind and timeout of every watch."""
    watches: list[tuple[str, str]] = []

    class Watch:
        def __init__(
            self,
            kind: Kind,
            operation: str,
            timeout: str,
            *,
            count: Callable[[], int] = lambda: 0,
            tell: Callable[[Sample], None] = lambda _: None,
        ) -> None:
            watches.append((kind.kind, timeout))
            self.samples: list[Sample] = []
            self._volume, self._count, self._tell = f"{operation}-volume", count, tell

        def __enter__(self) -> Watch:
            return self

        def __exit__(self, *_: object) -> None:
            for phase, seconds in (("InProgress", 1.0), ("Completed", 3.0)):
                self.samples.append(Sample(seconds, self._volume, phase, 5, 10, self._count()))
                self._tell(self.samples[-1])

    monkeypatch.setattr(TargetClients, "watch_volumes", staticmethod(Watch))
    return watches
