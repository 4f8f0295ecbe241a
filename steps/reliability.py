"""The success rate of scheduled backups: by the calendar, by an accelerated schedule, and in a soak."""

from collections.abc import Callable
from datetime import timedelta
from operator import attrgetter

from pytest_bdd import given, then, when

from fixtures.backups.expiry import EXPIRATION
from fixtures.environment.phrases import phrase
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
JUDGED = {"all the runs": attrgetter("all"), "the runs without a fault": attrgetter("undisturbed")}


@given("the runs of the deployed schedule that the suite did not cause")
def known_runs(calendar_runs: Calendar) -> None:
    """Blocked here when they cannot be read."""


@then("no more of them failed than the design allows")
def within_allowance(calendar_runs: Calendar, evidence: Evidence) -> None:
    percent = evidence.criterion.threshold("calendar_success_rate").value
    above = calendar_runs.above_allowance(percent)
    evidence.measure("calendar_failures_above_allowance", above, artefact=calendar_runs.table(percent))
    evidence.measure("observation", calendar_runs.observed / timedelta(days=1))


@then("the report shows what the calendar proves and what it does not")
def calendar_reported(calendar_runs: Calendar, evidence: Evidence) -> None:
    if calendar_runs.rate.total:
        evidence.measure("calendar_success_rate", calendar_runs.rate.percent)
    _report(calendar_runs.rate, "calendar", evidence)


@when("a schedule of one minute runs, with faults in some of its runs", target_fixture="accelerated")
def run_accelerated(accelerated_schedule: AcceleratedSchedule, evidence: Evidence) -> AcceleratedRuns:
    """Once a session."""
    evidence.accelerate(MINUTELY, LAST_RUN)
    return accelerated_schedule.outcome()


@then("the runs without a fault succeeded")
def undisturbed_succeeded(accelerated: AcceleratedRuns, evidence: Evidence) -> None:
    evidence.observe("all runs, and those with a fault", f"{len(accelerated.all)}, {len(accelerated.plan.faults)}")
    rate = Rate.of(accelerated.undisturbed)
    evidence.measure("accelerated_success_rate", rate.percent, artefact=accelerated.table())


@then("the report shows what these runs prove and what they do not")
def accelerated_reported(accelerated: AcceleratedRuns, evidence: Evidence) -> None:
    _report(Rate.of(accelerated.undisturbed), "accelerated", evidence)


def _report(rate: Rate, kind: str, evidence: Evidence) -> None:
    """The bound is reported and decides nothing: no run of the suite is long enough for the rate of the design."""
    percent = evidence.criterion.threshold(f"{kind}_success_rate").value
    evidence.measure(f"{kind}_lower_bound", rate.lower_bound)
    evidence.observe(f"{kind} evidence", rate.sentence(percent))


@then("every run with a fault counts as a failure, and the next one succeeded")
def faults_counted(accelerated: AcceleratedRuns, evidence: Evidence) -> None:
    unseen, stuck = accelerated.not_counted(), accelerated.not_recovered()
    evidence.measure("faults_not_counted", len(unseen), artefact="\n".join(unseen) or "every fault is a failure")
    evidence.measure("runs_not_recovered", len(stuck), artefact="\n".join(stuck) or "every next run succeeded")


@then(phrase("the suite reports the success rate of {judged:Runs} as too low", Runs=JUDGED))
def low_rate_reported(
    accelerated: AcceleratedRuns, evidence: Evidence, judged: Callable[[AcceleratedRuns], list[Trial]]
) -> None:
    runs = judged(accelerated)
    evidence.expect_violation("accelerated_success_rate", Rate.of(runs).percent, artefact=table(runs))


@then("the suite reports more failures than the design allows for as many days")
def failures_above_allowance_reported(accelerated: AcceleratedRuns, evidence: Evidence) -> None:
    """As the check would if these were the runs of the deployed schedule, one a day."""
    percent, runs = evidence.criterion.threshold("calendar_success_rate").value, accelerated.all
    found = Calendar("0 2 * * *", runs[0].due, runs[-1].due, runs)
    above = found.above_allowance(percent)
    evidence.expect_violation("calendar_failures_above_allowance", above, artefact=found.table(percent))


@given("an application that is backed up every minute and keeps few of its backups")
def deploy_for_soak(soak_run: SoakRun, evidence: Evidence) -> None:
    evidence.accelerate(MINUTELY, EXPIRATION)
    soak_run.deploy()


@when("the soak runs for its hours")
def run_soak(soak_run: SoakRun, soak_state: Soak, environment: Environment, run: Session) -> None:
    soak_run.work(soak_state, environment.soak, run.settings.hours)


@then("every backup succeeded, every restore was equal, and every expired backup is gone")
def soak_passed(soak_state: Soak, run: Session, evidence: Evidence) -> None:
    evidence.attach("soak.json", soak_state.model_dump_json(indent=1))
    evidence.observe("soak", soak_state.line(run.settings.hours))
    rate = Rate(soak_state.backups - soak_state.backups_failed, soak_state.backups)
    evidence.measure("accelerated_success_rate", rate.percent)
    assert not soak_state.problems, "\n".join(soak_state.described)
