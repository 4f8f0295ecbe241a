"""Packets at the S3 host, written by tcpdump."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from velero_acceptance.core.errors import AcceptanceError
from velero_acceptance.core.waiting import WaitTimedOut, poll

# Enough of each packet for a whole ClientHello with post-quantum keys, and a bound on the file: about 100 MB.
PACKET_BYTES = 2048
PACKETS = 50_000
# Of the kernel's buffer, in KiB: a machine that is busy with a backup reads packets late.
BUFFER = 65_536
START_SECONDS = 10.0
STOP_SECONDS = 10.0
SUMMARY = re.compile(r"(\d+) packets? (captured|received by filter|dropped by kernel)")


class Capture:
    """Keeps every TCP packet in *file* while the body of ``with`` runs.

    *command* is how tcpdump is run at the S3 host. Raises AcceptanceError when it cannot start, and
    at the end when packets were lost: a capture with holes proves nothing.
    """

    def __init__(self, command: Sequence[str], file: Path) -> None:
        self.file = file
        # Immediate mode: a stop must not lose what waits in the kernel's buffer.
        options = {"-i": "any", "-Z": "root", "-B": BUFFER, "-s": PACKET_BYTES, "-c": PACKETS, "-w": file}
        flat = [str(part) for option in options.items() for part in option]
        self._command = [*command, "--immediate-mode", "-n", *flat, "tcp"]
        self._said = file.with_suffix(".log")
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Capture:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self._said.open("wb") as said:
            try:
                process = self._process = subprocess.Popen(self._command, stderr=said)
            except OSError as error:
                raise AcceptanceError(f"{self._command[0]} cannot be run: {error.strerror}") from None
        poll(
            self._said.read_text,
            until=lambda text: "listening on" in text,
            terminal=lambda text: f"tcpdump ended: {text.strip()}" if process.poll() is not None else None,
            event="tcpdump listens at the S3 host",
            timeout=START_SECONDS,
            interval=0.05,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        if kind is None:
            self._catch_up()
        ended = self._process.poll() is not None
        if not ended:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if kind is None:
            self._require_whole(ended)

    def _catch_up(self) -> None:
        """Let tcpdump write what waits in the buffer: once it has, its file stays as it is for a moment."""
        sizes = [-1]

        def still() -> bool:
            sizes.append(self.file.stat().st_size if self.file.exists() else 0)
            return sizes[-1] == sizes[-2]

        with suppress(WaitTimedOut):  # packets keep coming: those of the body were written long ago
            poll(still, until=bool, event="tcpdump has caught up", timeout=STOP_SECONDS, interval=0.5)

    def _require_whole(self, ended_by_itself: bool) -> None:
        said = self._said.read_text()
        counts = {what: int(number) for number, what in SUMMARY.findall(said)}
        if ended_by_itself:
            raise AcceptanceError(
                f"the capture ended before its time, at {PACKETS} packets or by a fault: {said[-300:]}"
            )
        if counts.get("dropped by kernel", 1) or not counts.get("captured"):
            raise AcceptanceError(f"the capture is not whole: {said.strip()[-300:]}")
