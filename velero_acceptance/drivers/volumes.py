"""PodVolumeBackups and PodVolumeRestores, watched while they transfer data."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from velero_acceptance.core.errors import AcceptanceError
from velero_acceptance.core.timeouts import seconds
from velero_acceptance.core.waiting import Deadline, poll
from velero_acceptance.drivers.kinds import POD_VOLUME_BACKUP, POD_VOLUME_RESTORE, Json, Kind, phase_of
from velero_acceptance.drivers.kubernetes import Kubernetes
from velero_acceptance.drivers.velero import BACKUP_LABEL, FINISHED, RESTORE_LABEL, label_value

LABELS = {POD_VOLUME_BACKUP: BACKUP_LABEL, POD_VOLUME_RESTORE: RESTORE_LABEL}
# How late the last change of a volume may arrive after its backup or restore has ended.


@dataclass(frozen=True)
class Sample:
    """The state of a volume's object when it changed.

    *seconds* count from the start of the watch, *done* and *total* are bytes; *stored* is the caller's
    count at that moment, e.g. of keys in the bucket.
    """

    seconds: float
    volume: str
    phase: str
    done: int
    total: int
    stored: int = 0


class VolumeWatch:
    """Samples of an operation's volumes during ``with``; *count* and *tell* are called for each, in a thread."""

    def __init__(
        self,
        kubernetes: Kubernetes,
        namespace: str,
        kind: Kind,
        operation: str,
        *,
        seconds: float,
        count: Callable[[], int] = lambda: 0,
        tell: Callable[[Sample], None] = lambda _: None,
    ) -> None:
        self._clock = Deadline(seconds)
        self._states = kubernetes.watch(
            kind, namespace, labels=f"{LABELS[kind]}={label_value(operation)}", deadline=Deadline(seconds)
        )
        self._operation, self._count, self._tell = operation, count, tell
        self._failure: Exception | None = None
        self._stopped = threading.Event()
        self._last: dict[str, tuple[str, int, int]] = {}
        self.samples: list[Sample] = []

    def __enter__(self) -> "VolumeWatch":
        next(self._states)  # from here on no change is missed
        threading.Thread(target=self._collect, daemon=True, name=f"volumes of {self._operation}").start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._wait_last_word()
        finally:
            self._stopped.set()

    def _wait_last_word(self) -> None:
        """Wait until every volume has ended; raises AcceptanceError when the watch broke off."""
        poll(
            lambda: dict(self._last),
            until=lambda last: bool(last) and all(phase in FINISHED for phase, _, _ in last.values()),
            terminal=lambda _: f"the watch broke off: {self._failure}" if self._failure else None,
            event=f"every volume of {self._operation} ends",
            timeout=seconds("last_progress"),
            interval=0.1,
        )

    def _collect(self) -> None:
        try:
            for state in self._states:
                if self._stopped.is_set():
                    return
                for sample in self._changes(state):
                    self.samples.append(sample)
                    self._last[sample.volume] = (sample.phase, sample.done, sample.total)
                    self._tell(sample)
        except Exception as error:  # in a thread: raised by _wait_last_word
            self._failure = error

    def _changes(self, state: dict[str, Json]) -> Iterator[Sample]:
        seconds = self._clock.elapsed
        for name, item in state.items():
            progress = (item.get("status") or {}).get("progress") or {}
            seen = (phase_of(item), int(progress.get("bytesDone", 0)), int(progress.get("totalBytes", 0)))
            if self._last.get(name) != seen:
                yield Sample(seconds, name, *seen, stored=self._count())


def names(samples: list[Sample]) -> list[str]:
    """The volumes of *samples*, in the order they were first seen; raises AcceptanceError when there are none."""
    found = list(dict.fromkeys(sample.volume for sample in samples))
    if not found:
        raise AcceptanceError("the backup or restore has no volumes")
    return found
