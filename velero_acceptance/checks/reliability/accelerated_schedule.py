"""NFR-RELIABILITY-001, accelerated: which faults are seeded into which runs of a schedule of one minute.

The plan follows from a seed alone. The last round has no fault, and no schedule has two in a row, so that after
every fault a run without one is seen.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from velero_acceptance.checks.reliability.rates import MISSED, SUCCESS, Trial

EVERY_MINUTE = "* * * * *"
# Velero makes one backup at a time: with more schedules a round would not end before the next.
LARGEST_ROUND = 6
LEAST_ROUNDS = 2
# One run in so many has a fault.
ONE_IN = 4


class Fault(StrEnum):
    """What is done to one run of one schedule; the value is for the reader."""

    DENIED = "S3 denies the metadata of the run"
    NOWHERE = "the location of the run does not exist"
    PAUSED = "the schedule is paused when it is due"


# What becomes of the run (velero-facts 2.2), or what its absence is called.
OUTCOMES = {Fault.DENIED: "Failed", Fault.NOWHERE: "FailedValidation", Fault.PAUSED: MISSED}


@dataclass(frozen=True)
class Plan:
    """So many schedules, due in so many rounds, and the fault of some of the runs by (schedule, round)."""

    schedules: int
    rounds: int
    faults: Mapping[tuple[int, int], Fault]

    def in_round(self, number: int) -> dict[int, Fault]:
        """The faults of one round by schedule."""
        return {schedule: fault for (schedule, round_), fault in self.faults.items() if round_ == number}


def plan(runs: int, seed: str) -> Plan:
    """A plan of at least *runs* runs; the same for the same seed."""
    rounds = max(LEAST_ROUNDS, math.ceil(runs / LARGEST_ROUND))
    schedules = math.ceil(runs / rounds)
    places = [(schedule, number) for number in range(rounds - 1) for schedule in range(schedules)]
    random.Random(seed).shuffle(places)
    chosen: list[tuple[int, int]] = []
    for schedule, number in places:
        if len(chosen) < max(len(Fault), schedules * rounds // ONE_IN) and not {
            (schedule, number - 1),
            (schedule, number + 1),
        } & set(chosen):
            chosen.append((schedule, number))
    in_time = sorted(chosen, key=lambda place: (place[1], place[0]))
    return Plan(schedules, rounds, dict(zip(in_time, itertools.cycle(Fault), strict=False)))


@dataclass(frozen=True)
class AcceleratedRuns:
    """The trials of every schedule of a plan, in order of their due times."""

    plan: Plan
    trials: Sequence[Sequence[Trial]]

    @property
    def all(self) -> list[Trial]:
        """Every trial."""
        return [trial for row in self.trials for trial in row]

    @property
    def undisturbed(self) -> list[Trial]:
        """The trials that no fault was seeded into."""
        return [
            trial
            for schedule, row in enumerate(self.trials)
            for number, trial in enumerate(row)
            if (schedule, number) not in self.plan.faults
        ]

    def not_counted(self) -> list[str]:
        """The seeded faults that are not among the failures, or as another one, a sentence each."""
        return [
            f"schedule {schedule}, round {number}: {fault} → {self._outcome(schedule, number)}, not {OUTCOMES[fault]}"
            for (schedule, number), fault in self.plan.faults.items()
            if self._outcome(schedule, number) != OUTCOMES[fault]
        ]

    def not_recovered(self) -> list[str]:
        """The runs next to one with a fault that did not succeed."""
        return [
            f"schedule {schedule}, round {number + 1}: {self._outcome(schedule, number + 1)}"
            for schedule, number in self.plan.faults
            if self._outcome(schedule, number + 1) != SUCCESS
        ]

    def _outcome(self, schedule: int, number: int) -> str:
        row = self.trials[schedule]
        return row[number].outcome if number < len(row) else "no trial"

    def table(self) -> str:
        lines = []
        for schedule, row in enumerate(self.trials):
            for number, trial in enumerate(row):
                fault = self.plan.faults.get((schedule, number))
                lines.append(f"{schedule}  {trial.line()}{f'  ({fault})' if fault else ''}")
        return "\n".join(lines)
