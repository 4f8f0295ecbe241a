"""Packets at the S3 host, written by tcpdump."""

import re
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from velero_acceptance.core.errors import AcceptanceError
from velero_acceptance.core.timeouts import seconds
from velero_acceptance.core.waiting import WaitTimedOut, poll

# Enough of each packet for a whole ClientHello with post-quantum keys, and a bound on the file: about 100 MB.
PACKET_BYTES = 2048
PACKETS = 50_000
# The kernel's buffer, in KiB: a machine that is busy with a backup reads packets late.
BUFFER = 65_536
SUMMARY = re.compile(r"(\d+) packets? (captured|received by filter|dropped by kernel)")


class Capture:
    """Writes every TCP packet to *file* while the body of ``with`` runs.

    *command* runs tcpdump at the S3 host. Raises AcceptanceError when it cannot start and, at the end, when packets
    were lost: an incomplete capture proves nothing.
    """

    def __init__(self, command: Sequence[str], file: Path) -> None:
        self.file = file
        # Immediate mode: a stop must not lose the packets in the kernel's buffer.
        options = {"-i": "any", "-Z": "root", "-B": BUFFER, "-s": PACKET_BYTES, "-c": PACKETS, "-w": file}
        flat = [str(part) for option in options.items() for part in option]
        self._command = [*command, "--immediate-mode", "-n", *flat, "tcp"]
        self._output = file.with_suffix(".log")

    def __enter__(self) -> "Capture":
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self._output.open("wb") as output:
            try:
                self._process = subprocess.Popen(self._command, stderr=output)
            except OSError as error:
                raise AcceptanceError(f"{self._command[0]} cannot be run: {error.strerror}") from None
        poll(
            self._output.read_text,
            until=lambda text: "listening on" in text,
            terminal=lambda text: f"tcpdump ended: {text.strip()}" if self._process.poll() is not None else None,
            event="tcpdump listens at the S3 host",
            timeout=seconds("capture_started"),
            interval=0.05,
        )
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._catch_up()
        ended = self._process.poll() is not None
        if not ended:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(seconds("capture_stopped"))
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if kind is None:
            self._require_whole(ended)

    def _catch_up(self) -> None:
        """Let tcpdump write the buffered packets: once it has, its file stops growing for a moment."""
        sizes = [-1]

        def still() -> bool:
            sizes.append(self.file.stat().st_size if self.file.exists() else 0)
            return sizes[-1] == sizes[-2]

        with suppress(WaitTimedOut):  # packets keep coming, and those of the body are written
            poll(still, until=bool, event="tcpdump has caught up", timeout=seconds("capture_stopped"), interval=0.5)

    def _require_whole(self, ended_early: bool) -> None:
        output = self._output.read_text()
        counts = {what: int(number) for number, what in SUMMARY.findall(output)}
        if ended_early:
            raise AcceptanceError(f"the capture ended early, at {PACKETS} packets or by an error: {output[-300:]}")
        if counts.get("dropped by kernel", 1) or not counts.get("captured"):
            raise AcceptanceError(f"the capture is not whole: {output.strip()[-300:]}")
