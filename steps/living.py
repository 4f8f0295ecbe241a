"""Files that change while they are backed up: what hooks of the backup make consistent, and what is lost since."""

from __future__ import annotations

from pytest_bdd import given, parsers, then

from acceptance.checks.living import lost
from acceptance.evidence.recorder import Evidence, Inconclusive
from fixtures.living import QUIESCED, UNQUIESCED, Living

HOOKS = {"hooksAttempted": 2}


@given("an application that writes while it is backed up, some of its files quiesced by hooks, restored as a copy")
def living_copy(living: Living) -> None:
    _ = living.copy


@then("Velero ran the hooks")
def hooks_ran(living: Living, evidence: Evidence) -> None:
    status = living.backed_up.backup.status.get("hookStatus", {})
    evidence.observe("hooks run", int(status.get("hooksAttempted", 0)))
    if status != HOOKS:
        raise Inconclusive(f"Velero did not run the two hooks: {status}")


@then("the quiesced file and database and the journal are consistent in the copy")
def consistent(living: Living, evidence: Evidence) -> None:
    ledger, database = living.ledger(living.copy, QUIESCED), living.database(living.copy, QUIESCED)
    journal = living.journal(living.copy)
    problems = {
        "quiesced file": ledger.problems(living.backed_up.ledger_blocks),
        "quiesced database": database.problems(),
        "journal": journal.problems(),
    }
    shown = "\n".join(f"{name}: {', '.join(found) or 'consistent'}" for name, found in problems.items())
    artefact = f"{shown}\n{ledger}\n{database}\n{journal}"
    evidence.measure("files_inconsistent", sum(map(bool, problems.values())), artefact=artefact)


@then("every write from before the backup is in the copy")
def nothing_lost(living: Living, evidence: Evidence) -> None:
    """By the writer's own records. What came after counts as lost when the volume is lost as the backup ends."""
    backed_up, journal = living.backed_up, living.journal(living.copy)
    loss = lost(backed_up.after, journal)
    evidence.observe("recovery point: writes lost if the volume is lost when the backup ends", loss.records, "records")
    evidence.observe("recovery point: seconds lost then", loss.seconds, "s")
    evidence.observe("torn end of the journal", journal.torn, "bytes")
    shown = f"before the backup: {backed_up.before}\nafter it: {backed_up.after}\nin the copy: {journal}"
    evidence.measure("writes_lost", lost(backed_up.before, journal).records, artefact=shown)


@then(parsers.parse("the suite calls the file that {which} inconsistent"))
def called_inconsistent(living: Living, evidence: Evidence, which: str) -> None:
    """Not so the database: of two files read one after the other, SQLite may or may not make a whole one."""
    name = {"no hook quiesces": UNQUIESCED, "hooks quiesce": QUIESCED}[which]
    found = living.database(living.copy, name).problems()
    evidence.observe(f"the database that {which}", "; ".join(found) or "consistent")
    ledger = living.ledger(living.copy, name)
    problems = ledger.problems(living.backed_up.ledger_blocks)
    evidence.refute("files_inconsistent", int(bool(problems)), artefact=f"{', '.join(problems)}\n{ledger}")


@then("the suite counts the writes from after the backup as lost")
def counted_as_lost(living: Living, evidence: Evidence) -> None:
    written, journal = living.backed_up.after, living.journal(living.copy)
    evidence.refute(
        "writes_lost", lost(written, journal).records, artefact=f"written: {written}\nin the copy: {journal}"
    )
