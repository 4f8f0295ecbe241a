"""Progress of volumes while they are backed up and restored."""

from __future__ import annotations

from pytest_bdd import given, parsers, then, when

from acceptance.checks import progress
from acceptance.drivers.toxiproxy import Toxiproxy
from acceptance.drivers.volumes import names
from acceptance.evidence.recorder import Evidence
from fixtures.progress import SlowLink, Tracked, Tracker
from fixtures.scope import Scope
from fixtures.standard import Application


@given("a volume of fresh data, backed up over a slow link", target_fixture="tracked")
@when("fresh data is backed up over a slow link", target_fixture="tracked")
def backed_up_slowly(slow_link: SlowLink, toxiproxy: Toxiproxy) -> Tracked:
    return slow_link.backup(toxiproxy)


@given("a volume of fresh data, backed up and restored over a slow link", target_fixture="tracked")
@when("fresh data is restored over a slow link", target_fixture="tracked")
def restored_slowly(slow_link: SlowLink, toxiproxy: Toxiproxy) -> Tracked:
    return slow_link.restore(toxiproxy)


@when("it is backed up again, with nothing new in it", target_fixture="tracked")
def backed_up_again(scope: Scope, tracker: Tracker, application: Application) -> Tracked:
    return tracker.backup(scope, application.workload.namespace, "again")


@when(parsers.parse('its small volume is restored as "{alias}"'), target_fixture="tracked")
def small_restored(scope: Scope, tracker: Tracker, application: Application, alias: str) -> Tracked:
    return tracker.restore(scope, application.backup.name, application.workload.namespace, alias)


@then("its volume went through its phases in order")
def phases_in_order(tracked: Tracked, evidence: Evidence) -> None:
    volumes = names(tracked.samples)
    wrong = [v for v in volumes if not progress.in_order([s for s in tracked.samples if s.volume == v])]
    evidence.observe("volumes", len(volumes))
    evidence.measure("volumes_out_of_order", len(wrong), artefact=progress.table(tracked.samples))


@then("the bytes done grew from sample to sample, before the end")
def bytes_grew(tracked: Tracked, evidence: Evidence) -> None:
    grown = progress.growing(tracked.samples)
    evidence.measure("growing_samples", len(grown), artefact=progress.table(tracked.samples))


@then("at the same samples there were more and more packs in S3")
def packs_stored(tracked: Tracked, evidence: Evidence) -> None:
    more = progress.stored_more(progress.growing(tracked.samples))
    evidence.measure("samples_with_more_packs_stored", more, artefact=progress.table(tracked.samples))


@then("at the same samples S3 had been asked for more and more packs")
def packs_fetched(tracked: Tracked, evidence: Evidence) -> None:
    more = progress.stored_more(progress.growing(tracked.samples))
    evidence.measure("samples_with_more_packs_fetched", more, artefact=progress.table(tracked.samples))


@then("its progress shows only the end, which the suite does not call progress")
def only_the_end(tracked: Tracked, evidence: Evidence) -> None:
    """Velero calls it Completed with all bytes done, as it does every backup and restore."""
    assert tracked.samples[-1].done == tracked.samples[-1].total > 0, tracked.samples[-1]
    grown = progress.growing(tracked.samples)
    evidence.refute("growing_samples", len(grown), artefact=progress.table(tracked.samples))
