"""NFR-RELIABILITY-001, accelerated: which faults are injected into which runs of a schedule of one minute.

The plan follows from a seed alone. The last round has no fault, and no schedule has two in a row, so that after
every fault a run without one follows.
"""

import itertools
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from velero_acceptance.checks.reliability.rates import MISSED, SUCCESS, Trial

EVERY_MINUTE = "* * * * *"
# Velero makes one backup at a time: with more schedules a round would not end before the next.
LARGEST_ROUND = 6
LEAST_ROUNDS = 2
# One run in four has a fault.
ONE_IN = 4


class Fault(StrEnum):
    """A fault of one run of one schedule; the value is its description."""

    DENIED = "S3 denies the metadata of the run"
    NOWHERE = "the location of the run does not exist"
    PAUSED = "the schedule is paused when it is due"


# The phase of such a run, or MISSED.
OUTCOMES = {Fault.DENIED: "Failed", Fault.NOWHERE: "FailedValidation", Fault.PAUSED: MISSED}


@dataclass(frozen=True)
class Plan:
    """The number of schedules and of rounds in which they are due, and faults by (schedule, round)."""

    schedules: int
    rounds: int
    faults: Mapping[tuple[int, int], Fault]

    def in_round(self, number: int) -> dict[int, Fault]:
        return {schedule: fault for (schedule, round_), fault in self.faults.items() if round_ == number}


def plan(runs: int, seed: str) -> Plan:
    """A plan of at least *runs* runs; the same for the same seed."""
    rounds = max(LEAST_ROUNDS, math.ceil(runs / LARGEST_ROUND))
    schedules = math.ceil(runs / rounds)
    places = [(schedule, number) for number in range(rounds - 1) for schedule in range(schedules)]
    random.Random(seed).shuffle(places)
    chosen: list[tuple[int, int]] = []
    for schedule, number in places:
        neighbours = {(schedule, number - 1), (schedule, number + 1)}
        if len(chosen) < max(len(Fault), schedules * rounds // ONE_IN) and not neighbours & set(chosen):
            chosen.append((schedule, number))
    in_time = sorted(chosen, key=lambda place: (place[1], place[0]))
    return Plan(schedules, rounds, dict(zip(in_time, itertools.cycle(Fault), strict=False)))


@dataclass(frozen=True)
class AcceleratedRuns:
    """The trials of every schedule of a plan, by their due times."""

    plan: Plan
    trials: Sequence[Sequence[Trial]]

    @property
    def all(self) -> list[Trial]:
        return [trial for _, trial in self._placed()]

    @property
    def undisturbed(self) -> list[Trial]:
        return [trial for place, trial in self._placed() if place not in self.plan.faults]

    def not_counted(self) -> list[str]:
        """The faults that do not have their outcome, a sentence each."""
        return [
            f"schedule {schedule}, round {number}: {fault} → {self._outcome(schedule, number)}, not {OUTCOMES[fault]}"
            for (schedule, number), fault in self.plan.faults.items()
            if self._outcome(schedule, number) != OUTCOMES[fault]
        ]

    def not_recovered(self) -> list[str]:
        """The runs after one with a fault that did not succeed."""
        return [
            f"schedule {schedule}, round {number + 1}: {self._outcome(schedule, number + 1)}"
            for schedule, number in self.plan.faults
            if self._outcome(schedule, number + 1) != SUCCESS
        ]

    def table(self) -> str:
        faults = {place: f"  ({fault})" for place, fault in self.plan.faults.items()}
        return "\n".join(f"{place[0]}  {trial.line()}{faults.get(place, '')}" for place, trial in self._placed())

    def _placed(self) -> Iterator[tuple[tuple[int, int], Trial]]:
        for schedule, row in enumerate(self.trials):
            yield from (((schedule, number), trial) for number, trial in enumerate(row))

    def _outcome(self, schedule: int, number: int) -> str:
        row = self.trials[schedule]
        return row[number].outcome if number < len(row) else "no trial"
