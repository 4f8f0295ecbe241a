"""The commands `velero` and `kubectl`: what they bring about, how soon, for whom, and how they fail."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator

from pytest_bdd import given, parsers, then, when

from fixtures.applications.standard import Application
from fixtures.applications.workload import Workloads
from fixtures.cli.accounts import Account, Accounts
from fixtures.cli.commands import CommandOutcome, Commands
from fixtures.environment.optional_systems import Tracer
from fixtures.environment.run_scope import Scope
from velero_acceptance.checks import cli_output
from velero_acceptance.core.errors import Inconclusive
from velero_acceptance.core.timeouts import Timeouts
from velero_acceptance.drivers.kinds import BACKUP, SCHEDULE, phase_of
from velero_acceptance.drivers.kubernetes import Kubernetes
from velero_acceptance.drivers.velero import FINISHED, Operation, Velero
from velero_acceptance.evidence.recorder import Evidence

NOWHERE = "nowhere"


@given(parsers.parse("an account that {rights}"), target_fixture="account")
def account_that(accounts: Accounts, rights: str) -> Account:
    return accounts.make(rights)


@given("Velero is at rest")
def at_rest(commands: Commands) -> None:
    commands.wait_idle()


# -- again and again, each call followed to its effect -----------------------------------------


@when(parsers.parse('the account backs up "{alias}" with velero, again and again'), target_fixture="attempts")
def backs_up_often(
    scope: Scope, commands: Commands, account: Account, evidence: Evidence, alias: str
) -> list[CommandOutcome]:
    return _often(evidence, lambda number: commands.backup(account, scope.name(alias), number))


@when("the account lists the backups with velero, again and again", target_fixture="attempts")
def lists_often(commands: Commands, account: Account, evidence: Evidence) -> list[CommandOutcome]:
    return _often(evidence, lambda _: commands.listing(account))


@when("the account describes the backup with velero, again and again", target_fixture="attempts")
def describes_often(
    commands: Commands, account: Account, application: Application, evidence: Evidence
) -> list[CommandOutcome]:
    return _often(evidence, lambda _: commands.description(account, application.backup.name))


@when(
    "the account restores the application's settings under other names with velero, again and again",
    target_fixture="attempts",
)
def restores_often(
    commands: Commands, account: Account, application: Application, s3_trace: Tracer, evidence: Evidence
) -> list[CommandOutcome]:
    return _often(evidence, lambda number: commands.restore(account, application, s3_trace, number))


@given(parsers.parse('small backups of "{alias}", one for each call'), target_fixture="small_backups")
def small_backups(scope: Scope, velero: Velero, evidence: Evidence, alias: str) -> list[str]:
    names = [scope.backup_name(str(number)) for number in range(_calls(evidence))]
    for name in names:
        velero.create_backup(name, labels=scope.labels, includedNamespaces=[scope.name(alias)])
    return [velero.follow_backup(name).require().name for name in names]


@when("the account deletes them with velero, one after the other", target_fixture="attempts")
def deletes_all(commands: Commands, account: Account, small_backups: list[str]) -> list[CommandOutcome]:
    return [commands.deletion(account, name) for name in small_backups]


@when("the account applies schedules with kubectl, again and again", target_fixture="attempts")
def applies_often(commands: Commands, account: Account, evidence: Evidence) -> list[CommandOutcome]:
    return _often(evidence, lambda number: commands.schedule(account, number))


@when("the account reads the log of the backup with velero, again and again", target_fixture="attempts")
def reads_often(
    commands: Commands, account: Account, application: Application, evidence: Evidence
) -> list[CommandOutcome]:
    return _often(evidence, lambda _: commands.logs(account, application.backup.name))


@then("each call says so, and its backup starts in time and is Completed in S3")
@then("each list holds every backup of the cluster and of S3, with its status, in time")
@then("each description shows its phase, namespaces, messages, retention, volumes and items, in time")
@then("each call says so, and its restore asks S3 for the backup in time and brings the settings")
@then("each call says so, and its backup is gone in time, object and keys")
@then("each call says so, and its schedule is active in time")
@then("each time it is the log that S3 holds, line for line, in time")
def all_in_time(attempts: list[CommandOutcome], evidence: Evidence) -> None:
    """What each has to bring about, and what its output has to say, is in ``fixtures/commands.py``."""
    wrong = [attempt for attempt in attempts if attempt.problems]
    seconds = [attempt.seconds for attempt in attempts]
    shown = "\n\n".join(map(str, wrong or attempts[:1]))
    evidence.measure("wrong_outputs", len(wrong), artefact=shown)
    evidence.measure("commands_timed", len(seconds))
    evidence.observe("median of the responses", round(statistics.median(seconds), 2), "s")
    evidence.measure(
        "response_time", round(max(seconds), 2), artefact="\n".join(f"{second:.3f} s" for second in seconds)
    )


def _calls(evidence: Evidence) -> int:
    return int(evidence.criterion.threshold("commands_timed").value)


def _often(evidence: Evidence, call: Callable[[str], CommandOutcome]) -> list[CommandOutcome]:
    """As many calls, one after the other, as the register wants; each is given its number."""
    return [call(str(number)) for number in range(_calls(evidence))]


# -- one call --------------------------------------------------------------------------------


@when(parsers.parse('the account backs up "{alias}" with velero'), target_fixture="attempt")
def backs_up(scope: Scope, commands: Commands, account: Account, alias: str) -> CommandOutcome:
    return commands.backup(account, scope.name(alias), "refused")


@when(parsers.parse("the account asks velero for a backup with {mistake}"), target_fixture="attempt")
def asks_wrongly(
    scope: Scope, commands: Commands, account: Account, application: Application, mistake: str
) -> CommandOutcome:
    wrong = {
        "a name that Kubernetes does not take": {"name": "Not_a_name"},
        "the name of the backup that there is": {"name": application.backup.name},
        "a location that does not exist": {"location": NOWHERE},
        "no mistake": {},
    }
    return commands.backup(account, scope.namespace("mistaken"), "mistaken", **wrong[mistake])


@when("the account lists the backups with velero", target_fixture="attempt")
def lists(commands: Commands, account: Account) -> CommandOutcome:
    return commands.listing(account)


@when("the account asks velero to list a backup that does not exist", target_fixture="attempt")
def lists_nothing(commands: Commands, account: Account) -> CommandOutcome:
    called = account.velero.get_backup(NOWHERE)
    return CommandOutcome.ended(called, cli_output.listed(called, [{"metadata": {"name": NOWHERE}, "spec": {}}], []))


@when("the account describes the backup with velero", target_fixture="attempt")
def describes(commands: Commands, account: Account, application: Application) -> CommandOutcome:
    return commands.description(account, application.backup.name)


@when("the account describes a backup that does not exist with velero", target_fixture="attempt")
def describes_nothing(commands: Commands, account: Account) -> CommandOutcome:
    return commands.description(account, NOWHERE)


@when("the account restores the application's settings with velero", target_fixture="attempt")
def restores(commands: Commands, account: Account, application: Application) -> CommandOutcome:
    return commands.unfollowed_restore(account, application.backup.name, application.workload.namespace)


@when("the account restores a backup that does not exist with velero", target_fixture="attempt")
def restores_nothing(commands: Commands, account: Account) -> CommandOutcome:
    return commands.unfollowed_restore(account, NOWHERE, NOWHERE)


@when("the account deletes the small backup with velero", target_fixture="attempt")
def deletes(commands: Commands, account: Account, backup: Operation) -> CommandOutcome:
    return commands.requested_deletion(account, backup.name)


@when("the account deletes the small backup with velero, and confirms nothing", target_fixture="attempt")
def deletes_unconfirmed(commands: Commands, account: Account, backup: Operation) -> CommandOutcome:
    return commands.unconfirmed_deletion(account, backup.name)


@when("the account deletes a backup that does not exist with velero", target_fixture="attempt")
def deletes_nothing(commands: Commands, account: Account) -> CommandOutcome:
    return commands.requested_deletion(account, NOWHERE)


@when("the account applies a schedule with kubectl", target_fixture="attempt")
def applies(commands: Commands, account: Account) -> CommandOutcome:
    return commands.apply_schedule(account, "refused")


@when("the account applies a schedule with a misspelt field with kubectl", target_fixture="attempt")
def applies_misspelt(commands: Commands, account: Account) -> CommandOutcome:
    return commands.apply_schedule(account, "misspelt", shedule="0 2 * * *")


@when("the account applies a schedule whose time is impossible with kubectl", target_fixture="attempt")
def applies_impossible(commands: Commands, account: Account) -> CommandOutcome:
    return commands.apply_schedule(account, "impossible", cron="61 2 * * *")


@when("the account reads the log of the backup with velero", target_fixture="attempt")
def reads_log(commands: Commands, account: Account, application: Application) -> CommandOutcome:
    return commands.logs(account, application.backup.name)


@when("the account reads the log of a backup that does not exist with velero", target_fixture="attempt")
def reads_nothing(commands: Commands, account: Account) -> CommandOutcome:
    return commands.logs(account, NOWHERE)


# -- how it fails ------------------------------------------------------------------------------


@then(parsers.parse('the command fails and says "{reason}"'))
def fails(attempt: CommandOutcome, evidence: Evidence, reason: str) -> None:
    _failed(attempt, reason, evidence)


@then("the account is refused")
def account_refused(attempt: CommandOutcome, account: Account, evidence: Evidence) -> None:
    """By the API server, which names the account: no other failure passes for a refusal."""
    allowed = int(not cli_output.refused(attempt.called))
    evidence.measure("unauthorized_calls_allowed", allowed, artefact=str(attempt))
    _failed(attempt, f'User "{account.user}" cannot', evidence)


@then("nothing was made by it")
def nothing_made(commands: Commands, attempt: CommandOutcome, evidence: Evidence) -> None:
    assert commands.created() == [], f"{attempt.called.command} made something: {commands.created()}"
    evidence.expect_violation("response_time", None, artefact=str(attempt))


@given("the object of the small backup is lost")
def object_lost(commands: Commands, backup: Operation) -> Iterator[None]:
    lost = commands.delete_object(backup.name)
    yield
    commands.restore_object(lost)


@then("the list is seen to lack the small backup")
def list_incomplete(
    commands: Commands,
    kubernetes: Kubernetes,
    velero: Velero,
    attempt: CommandOutcome,
    backup: Operation,
    evidence: Evidence,
) -> None:
    found = kubernetes.get(BACKUP, backup.name, velero.namespace)
    if found is not None and found["metadata"]["uid"] != backup.item["metadata"]["uid"]:
        raise Inconclusive("Velero has found the backup in S3 by itself, maybe before the list was made")
    assert f"{backup.name} is in S3 and not in the list" in attempt.problems, str(attempt)
    evidence.expect_violation("wrong_outputs", int(bool(attempt.problems)), artefact=str(attempt))


@then("the description is seen to lack what is in S3")
def description_incomplete(attempt: CommandOutcome, evidence: Evidence) -> None:
    """Its exit code says nothing: `velero backup describe` has 0 also here."""
    evidence.observe("exit code without S3", attempt.called.code)
    evidence.expect_violation("wrong_outputs", int(bool(attempt.problems)), artefact=str(attempt))
    lacking = [problem for problem in attempt.problems if problem.startswith("it says <error")]
    assert lacking, f"the description is wrong for another reason: {attempt.problems}"


@then("the output is seen to be no deletion")
def no_deletion_said(attempt: CommandOutcome, evidence: Evidence) -> None:
    evidence.expect_violation("wrong_outputs", int(bool(attempt.problems)), artefact=str(attempt))


@then("the small backup is still there, and nobody wants it deleted")
def not_deleted(commands: Commands, backup: Operation, attempt: CommandOutcome, evidence: Evidence) -> None:
    assert commands.requests_to_delete(backup.name) == [], f"{attempt.called.command} asked for a deletion"
    _still_there(commands, backup, attempt, evidence)


@then("the small backup is still there, and Velero says why")
def kept(commands: Commands, backup: Operation, attempt: CommandOutcome, evidence: Evidence) -> None:
    """The command may have had nothing to complain of: it only asks (velero issue 4203)."""
    asked = attempt.called.code == 0
    errors = commands.wait_deletion_failed(backup.name) if asked else [attempt.called.stderr]
    assert any("read-only" in error for error in errors), errors
    _still_there(commands, backup, attempt, evidence)


@then("Velero refuses the schedule and says why")
def schedule_refused(
    scope: Scope,
    kubernetes: Kubernetes,
    velero: Velero,
    attempt: CommandOutcome,
    evidence: Evidence,
    timeouts: Timeouts,
) -> None:
    """Though the command itself had nothing to complain of: the API server knows no cron."""
    assert not attempt.problems, str(attempt)
    name = scope.schedule_name("impossible")
    item = kubernetes.wait(
        SCHEDULE,
        name,
        velero.namespace,
        until=lambda item: phase_of(item) != "",
        event=f"Velero comes to a phase for the schedule {name}",
        timeout=timeouts["schedule_fires"],
    )
    assert item is not None and phase_of(item) == "FailedValidation", item
    assert any("61" in error for error in item["status"]["validationErrors"]), item["status"]
    evidence.expect_violation("response_time", None, artefact=str(item["status"]))


@given(parsers.parse('a namespace "{alias}" with an empty volume'))
def namespace_with_volume(scope: Scope, workloads: Workloads, alias: str) -> None:
    """Even an empty volume takes a backup some seconds."""
    workloads.in_namespace(scope.namespace(alias)).deploy()


@when(parsers.parse('a backup of "{alias}" is at work'), target_fixture="running")
def backup_at_work(scope: Scope, kubernetes: Kubernetes, velero: Velero, timeouts: Timeouts, alias: str) -> str:
    name = scope.backup_name("running")
    velero.create_backup(name, labels=scope.labels, includedNamespaces=[scope.name(alias)])
    kubernetes.wait(
        BACKUP,
        name,
        velero.namespace,
        until=lambda item: phase_of(item) == "InProgress",
        event=f"the backup {name} is InProgress",
        timeout=timeouts["backup_started"],
    )
    return name


@when("the account reads its log with velero meanwhile", target_fixture="attempt")
def reads_running(
    commands: Commands, kubernetes: Kubernetes, velero: Velero, account: Account, running: str
) -> CommandOutcome:
    attempt = commands.logs(account, running)
    if phase_of(kubernetes.get(BACKUP, running, velero.namespace)) in FINISHED:
        raise Inconclusive("the backup ended before its log was asked for")
    return attempt


@then("once the backup is Completed, its log can be read")
def log_later(commands: Commands, velero: Velero, account: Account, running: str, evidence: Evidence) -> None:
    velero.follow_backup(running).require()
    attempt = commands.logs(account, running)
    evidence.measure("wrong_outputs", int(bool(attempt.problems)), artefact=str(attempt))


@then("the command fails soon and names the log that it could not fetch")
def fails_without_s3(attempt: CommandOutcome, application: Application, evidence: Evidence) -> None:
    evidence.measure("outage_response", round(attempt.called.seconds, 2), artefact=str(attempt))
    _failed(attempt, f"{application.backup.name}-logs.gz", evidence)


def _failed(attempt: CommandOutcome, reason: str, evidence: Evidence) -> None:
    unclear = cli_output.unclear(attempt.called, reason)
    evidence.measure("unclear_errors", int(bool(unclear)), artefact="\n".join([str(attempt), *unclear]))
    evidence.expect_violation("wrong_outputs", int(bool(attempt.problems)), artefact=str(attempt))


def _still_there(commands: Commands, backup: Operation, attempt: CommandOutcome, evidence: Evidence) -> None:
    assert commands.whole(backup.name), f"{backup.name} is no longer whole"
    evidence.expect_violation("response_time", None, artefact=str(attempt))
