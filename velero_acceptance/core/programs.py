"""Run a program to its end."""

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from velero_acceptance.core.errors import AcceptanceError


@dataclass(frozen=True)
class ExecResult:
    """What a program printed and returned. It may have printed secrets, so they stay out of its repr."""

    stdout: bytes = field(repr=False)
    stderr: str = field(repr=False)
    code: int

    @property
    def text(self) -> str:
        return self.stdout.decode(errors="replace")

    def checked(self, what: str) -> bytes:
        """Standard output if the program succeeded; else AcceptanceError with the end of its standard error."""
        if self.code != 0:
            raise AcceptanceError(f"{what} ended with exit code {self.code}: {self.stderr.strip()[-500:]}")
        return self.stdout

    def words(self, lines: int = 4) -> str:
        """The last *lines* lines that the program said, on one line."""
        said = (self.stderr.strip() or self.text.strip()).splitlines()
        return " | ".join(said[-lines:])


class ProgramTimedOut(AcceptanceError):
    """A program did not end in time, and was ended."""


def execute(
    *command: str | Path,
    timeout: float,
    what: str = "",
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    stdin: str = "",
) -> ExecResult:
    """Run *command* (*what* in errors) to its end; AcceptanceError when it cannot be run, or not within *timeout* s."""
    what = what or Path(command[0]).name
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, input=stdin.encode(), capture_output=True, timeout=timeout
        )
    except subprocess.TimeoutExpired:
        raise ProgramTimedOut(f"{what} did not end within {timeout:.0f} s") from None
    except OSError as error:
        raise AcceptanceError(f"{command[0]} cannot be run: {error.strerror}") from None
    return ExecResult(done.stdout, done.stderr.decode(errors="replace"), done.returncode)
