"""What the plugins of one pytest session share: the run, the keys of their stash, the workers."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from velero_acceptance.core.redaction import KNOWN, Redactor
from velero_acceptance.core.settings import Environment, Profile, Settings
from velero_acceptance.core.timeouts import Timeouts
from velero_acceptance.evidence.recorder import Evidence
from velero_acceptance.gherkin import documents

if TYPE_CHECKING:
    from velero_acceptance.report.publish import Destination
    from velero_acceptance.target.clocks import Clocks

OPTION = "without-faults"
TROUBLE = pytest.StashKey[str]()
EVIDENCE = pytest.StashKey[Evidence]()


@dataclass
class Run:
    """One run of the suite: its settings, and where its evidence goes."""

    settings: Settings
    timeouts: Timeouts
    redactor: Redactor = KNOWN
    environment: Environment | None = None
    leaks: list[str] = field(default_factory=list)
    # Changes that the run made outside the suite.
    foreign_changes: list[str] = field(default_factory=list)
    clocks: Clocks | None = None
    # Where the run's folder is uploaded in the end.
    results: Destination | None = None

    @property
    def folder(self) -> Path:
        return self.settings.reports / self.settings.run_id

    @property
    def records(self) -> Path:
        return self.folder / "records"

    @property
    def longest(self) -> float:
        """Seconds that a scenario tagged @long may take more than others: for its data, its runs, or its hours."""
        data = 5 * self.timeouts["gigabyte"] * self.settings.data_size / 1e9
        soak = 2 * 3600 * self.settings.hours if self.settings.effective_profile is Profile.SOAK else 0
        return max(data, 60 * self.settings.reliability_runs, 2 * self.timeouts["uploader_gives_up"], soak)

    def command(self, name: str) -> str:
        """A command about this run on its target."""
        return self.settings.target.command(name, f"--run {self.settings.run_id}")

    def leaks_of(self, process: str) -> Path:
        """The file of a process's leaks; it exists once that has cleaned up."""
        return self.folder / f"leaks-{process}.json"


RUN = pytest.StashKey[Run]()


def runs_features(config: pytest.Config) -> bool:
    """Whether scenarios are to be run, not only collected."""
    asked = (Path(argument.partition("::")[0]).resolve() for argument in config.args)
    return not config.option.collectonly and any(path.is_relative_to(documents.FEATURES) for path in asked)


def is_worker(config: pytest.Config) -> bool:
    """Whether this process is a worker of pytest-xdist."""
    return bool(worker_of(config))


def worker_of(config: pytest.Config) -> str:
    """The id of this worker of pytest-xdist; empty in the main process."""
    return str(getattr(config, "workerinput", {}).get("workerid", ""))


def index_of(config: pytest.Config) -> int:
    """The number of this worker, from 0; without workers 0."""
    return int(worker_of(config).removeprefix("gw") or 0)


def fail(session: pytest.Session, message: str) -> None:
    """Fail the run with *message*, in addition to earlier ones."""
    session.exitstatus = pytest.ExitCode.TESTS_FAILED
    stash = session.config.stash
    shown = KNOWN.text(message)
    stash[TROUBLE] = f"{stash[TROUBLE]}; {shown}" if TROUBLE in stash else shown


def slug_of(item: pytest.Item) -> str:
    """A file name for a scenario."""
    return re.sub(r"[^a-z0-9]+", "-", item.name.removeprefix("test_").lower()).strip("-")[:80]


def is_scenario(item: pytest.Item) -> bool:
    """Whether *item* was collected from a feature file."""
    return item.path.suffix == ".feature"
