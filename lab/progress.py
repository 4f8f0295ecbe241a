"""What `up` and `build` show: one live line with step and elapsed time, or plain lines in a log."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from velero_acceptance.core.waiting import current_waits, ticks

TOLD_EVERY = 30.0


@dataclass
class Steps:
    """Shows the step at work and keeps how long each took, in seconds."""

    console: Console
    seconds: dict[str, float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _live: Progress | None = None
    _task: TaskID | None = None
    _running: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def display(self, title: str) -> Iterator[Steps]:
        """Show progress while the body runs: live on a terminal, a line a step elsewhere."""
        stopped = threading.Event()
        teller = threading.Thread(target=self._tell, args=(stopped,), daemon=True)
        teller.start()
        try:
            with self._shown(title):
                yield self
        finally:
            stopped.set()
            teller.join()

    def _tell(self, stopped: threading.Event) -> None:
        """Say every now and then what takes so long."""
        for _ in ticks(TOLD_EVERY, stopped):
            now = time.monotonic()
            steps = [f"{title}: {now - started:.0f} s so far" for title, started in list(self._running.items())]
            for line in current_waits() or steps:
                console = self.console if self._live is None else self._live.console
                console.print(f"  {line}", highlight=False, markup=False)

    @contextmanager
    def _shown(self, title: str) -> Iterator[None]:
        if not self.console.is_terminal:
            yield
            return
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(20), TimeElapsedColumn())
        with Progress(*columns, console=self.console, transient=True) as live:
            self._live, self._task = live, live.add_task(title, total=None)
            try:
                yield
            finally:
                self._live = None

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Name the work that the body does, and record its seconds when it ends well."""
        started = time.monotonic()
        self.say(title)
        self._running[title] = started
        try:
            yield
        finally:
            del self._running[title]
        elapsed = time.monotonic() - started
        with self._lock:
            self.seconds[title] = elapsed
        if self._live is not None:
            self._live.console.print(f"  [green]✓[/] {title} [dim]{elapsed:.1f} s[/]", highlight=False)
        else:
            self.console.print(f"  {title}: {elapsed:.1f} s", highlight=False, markup=False)

    def say(self, text: str, *, done: int | None = None, of: int | None = None) -> None:
        """Change what is shown as at work; *done* and *of* draw a bar, e.g. programs built."""
        if self._live is not None and self._task is not None:
            self._live.update(self._task, description=text, completed=done or 0, total=of)
        elif of is not None:
            self.console.print(f"  {text} ({done} of {of} done)", highlight=False, markup=False)
