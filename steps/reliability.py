"""How often the schedule's backups succeed: by the calendar, by an accelerated schedule, and for hours."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from pytest_bdd import given, then, when

from fixtures.backups.expiry import EXPIRATION
from fixtures.schedule.accelerated_schedule import AcceleratedSchedule
from fixtures.schedule.runs import LAST_RUN
from fixtures.schedule.soak import SoakRun
from velero_acceptance.checks.reliability.accelerated_schedule import AcceleratedRuns
from velero_acceptance.checks.reliability.rates import Rate, Trial, table
from velero_acceptance.checks.reliability.run_history import Calendar
from velero_acceptance.checks.reliability.soak import Soak
from velero_acceptance.core.settings import Environment
from velero_acceptance.evidence.recorder import Evidence
from velero_acceptance.suite.session import Run as Session

MINUTELY = "schedule of one minute"


@dataclass(frozen=True)
class ReportedRate:
    """A rate, and the names of the thresholds that it is shown against."""

    rate: Rate
    kind: str


@given("the runs that the deployed schedule made by itself", target_fixture="shown")
def made_by_itself(calendar_runs: Calendar) -> ReportedRate:
    return ReportedRate(calendar_runs.rate, "calendar")


@then("no more of them failed than the design allows")
def within_allowance(calendar_runs: Calendar, evidence: Evidence) -> None:
    percent = evidence.criterion.threshold("calendar_success_rate").value
    above = calendar_runs.above_allowance(percent)
    evidence.measure("calendar_failures_above_allowance", above, artefact=calendar_runs.table(percent))
    evidence.measure("observation", calendar_runs.observed / timedelta(days=1))


@then("the report says what they prove, and what they do not")
def said(shown: ReportedRate, evidence: Evidence) -> None:
    """The bounds are reported and decide nothing: no run of the suite is long enough for the design's rate."""
    percent = evidence.criterion.threshold(f"{shown.kind}_success_rate").value
    if shown.rate.total and shown.kind == "calendar":
        evidence.measure("calendar_success_rate", shown.rate.percent)
    evidence.measure(f"{shown.kind}_lower_bound", shown.rate.lower_bound)
    evidence.observe(f"{shown.kind} evidence", shown.rate.sentence(percent))


@given("an accelerated schedule, some of whose runs have a fault", target_fixture="accelerated")
def accelerated(accelerated_schedule: AcceleratedSchedule, evidence: Evidence) -> AcceleratedRuns:
    evidence.accelerate(MINUTELY)
    evidence.accelerate(LAST_RUN)
    return accelerated_schedule.outcome()


@when("its runs without a fault are judged", target_fixture="judged")
def undisturbed_judged(accelerated: AcceleratedRuns) -> list[Trial]:
    return accelerated.undisturbed


@when("all of its runs are judged", target_fixture="judged")
def all_judged(accelerated: AcceleratedRuns) -> list[Trial]:
    return accelerated.all


@then("they succeeded", target_fixture="shown")
def judged_succeeded(accelerated: AcceleratedRuns, judged: list[Trial], evidence: Evidence) -> ReportedRate:
    rate, faults = Rate.of(judged), len(accelerated.plan.faults)
    evidence.observe("runs in all, and those with a seeded fault", f"{len(accelerated.all)}, {faults}")
    evidence.measure("accelerated_success_rate", rate.percent, artefact=accelerated.table())
    return ReportedRate(rate, "accelerated")


@then("every run with a fault counts as a failure, and the next one succeeded")
def faults_counted(accelerated: AcceleratedRuns, evidence: Evidence) -> None:
    unseen, stuck = accelerated.not_counted(), accelerated.not_recovered()
    evidence.measure("faults_not_counted", len(unseen), artefact="\n".join(unseen) or "every fault is a failure")
    evidence.measure("runs_not_recovered", len(stuck), artefact="\n".join(stuck) or "every next run succeeded")


@then("the suite calls the rate too low")
def rate_too_low(judged: list[Trial], evidence: Evidence) -> None:
    evidence.expect_violation("accelerated_success_rate", Rate.of(judged).percent, artefact=table(judged))


@then("had they been the calendar's, more failed than the design allows")
def above_allowance(judged: list[Trial], evidence: Evidence) -> None:
    """As the check would, had these runs been the deployed schedule's, one a day."""
    percent = evidence.criterion.threshold("calendar_success_rate").value
    found = Calendar("0 2 * * *", judged[0].due, judged[-1].due, judged)
    above = found.above_allowance(percent)
    evidence.expect_violation("calendar_failures_above_allowance", above, artefact=found.table(percent))


@given("an application that is backed up every minute, and keeps few of its backups")
def soak_begins(soak_run: SoakRun, evidence: Evidence) -> None:
    evidence.accelerate(MINUTELY)
    evidence.accelerate(EXPIRATION)


@when("this goes on for the hours of the soak")
def soak_goes_on(soak_run: SoakRun, soak_state: Soak, environment: Environment, run: Session) -> None:
    soak_run.work(soak_state, environment.soak, run.settings.hours)


@then("every backup succeeded, every restore was equal, and what expired is gone")
def soak_passed(soak_state: Soak, run: Session, evidence: Evidence) -> None:
    evidence.attach("soak.json", soak_state.model_dump_json(indent=1))
    evidence.observe("soak", soak_state.line(run.settings.hours))
    rate = Rate(soak_state.backups - soak_state.backups_failed, soak_state.backups)
    evidence.measure("accelerated_success_rate", rate.percent)
    assert not soak_state.problems, "\n".join(soak_state.described)
