"""What is accepted for a time: by whom, until when and why."""

from datetime import date
from fnmatch import fnmatchcase
from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

# What somebody has to answer for: never empty.
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class Acceptance(BaseModel):
    """Honoured up to and including the day *until* (UTC)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    by: Text
    until: date
    why: Text

    @property
    def sentence(self) -> str:
        return f"waived by {self.by} until {self.until}: {self.why}"

    def in_force(self, day: date) -> bool:
        return day <= self.until


class VolumeWaiver(Acceptance):
    """Volumes that need no backup, by a pattern of ``namespace/volume`` in which ``*`` stands for any text."""

    volume: Annotated[str, StringConstraints(pattern=r"^[^/]+/.+$")]

    def covers(self, label: str) -> bool:
        return fnmatchcase(label, self.volume)
