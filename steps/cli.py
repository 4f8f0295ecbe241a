"""The commands `velero` and `kubectl`: their output and effect, how soon it comes, and how they fail."""

import statistics
from collections.abc import Callable, Iterator, Mapping

from pytest_bdd import given, parsers, then, when

from fixtures.applications.standard import Application
from fixtures.cli.accounts import RIGHTS, Account, Accounts
from fixtures.cli.commands import CommandOutcome, Commands
from fixtures.environment.cluster import TargetClients
from fixtures.environment.optional_systems import Tracer
from fixtures.environment.phrases import phrase
from fixtures.environment.run_scope import Scope
from velero_acceptance.checks import cli_output
from velero_acceptance.core.errors import Inconclusive
from velero_acceptance.drivers.kinds import SCHEDULE, Json, phase_of
from velero_acceptance.drivers.velero import FINISHED, Operation, Velero
from velero_acceptance.evidence.recorder import Evidence

NOWHERE = "nowhere"
NameOf = Callable[[Application], str]
# Options of a backup, given the application that has one already.
OptionsOf = Callable[[Application], dict[str, str]]
MISTAKES: dict[str, OptionsOf] = {
    "a name that Kubernetes rejects": lambda _: {"name": "Not_a_name"},
    "the name of an existing backup": lambda application: {"name": application.backup.name},
    "a location that does not exist": lambda _: {"location": NOWHERE},
    "no mistake": lambda _: {},
}
CONFIRMATIONS = {"": True, ", without confirming it": False}
APPLIED = "applied"
SCHEDULES: dict[str, dict[str, str]] = {
    "a schedule": {},
    "a schedule with a misspelt field": {"shedule": "0 2 * * *"},
    "a schedule with an impossible time": {"cron": "61 2 * * *"},
}
BACKUPS: dict[str, NameOf] = {
    "the backup": lambda application: application.backup.name,
    "a backup that does not exist": lambda _: NOWHERE,
}


@given(phrase("an account that {rules:Rights}", Rights=RIGHTS), target_fixture="account")
def create_account(accounts: Accounts, rules: list[Json]) -> Account:
    return accounts.make(rules)


@given("Velero is idle")
def wait_idle(velero: Velero) -> None:
    """It deletes one backup after the other."""
    velero.wait_deletions()


@when(parsers.parse('the account repeatedly backs up "{alias}" with velero'), target_fixture="attempts")
def back_up_repeatedly(
    scope: Scope, commands: Commands, account: Account, evidence: Evidence, alias: str
) -> list[CommandOutcome]:
    return _often(evidence, lambda number: commands.backup(account, scope.name(alias), number))


@when("the account repeatedly lists the backups with velero", target_fixture="attempts")
def list_repeatedly(commands: Commands, account: Account, evidence: Evidence) -> list[CommandOutcome]:
    return _often(evidence, lambda _: commands.listing(account))


@when("the account repeatedly describes the backup with velero", target_fixture="attempts")
def describe_repeatedly(
    commands: Commands, account: Account, application: Application, evidence: Evidence
) -> list[CommandOutcome]:
    return _often(evidence, lambda _: commands.description(account, application.backup.name))


@when("the account repeatedly restores the settings from the backup with velero", target_fixture="attempts")
def restore_repeatedly(
    commands: Commands, account: Account, application: Application, s3_trace: Tracer, evidence: Evidence
) -> list[CommandOutcome]:
    return _often(evidence, lambda number: commands.restore(account, application, s3_trace, number))


@given(parsers.parse('small backups of "{alias}", one for each call'), target_fixture="small_backups")
def small_backups(scope: Scope, velero: Velero, evidence: Evidence, alias: str) -> list[str]:
    names = [scope.backup_name(str(number)) for number in range(_calls(evidence))]
    for name in names:
        velero.create_backup(name, labels=scope.labels, includedNamespaces=[scope.name(alias)])
    return [velero.follow_backup(name).require().name for name in names]


@when("the account deletes each of them with velero", target_fixture="attempts")
def delete_each(commands: Commands, account: Account, small_backups: list[str]) -> list[CommandOutcome]:
    return [commands.deletion(account, name) for name in small_backups]


@when("the account repeatedly applies a schedule with kubectl", target_fixture="attempts")
def apply_repeatedly(commands: Commands, account: Account, evidence: Evidence) -> list[CommandOutcome]:
    return _often(evidence, lambda number: commands.schedule(account, number))


@when("the account repeatedly reads the log of the backup with velero", target_fixture="attempts")
def read_log_repeatedly(
    commands: Commands, account: Account, application: Application, evidence: Evidence
) -> list[CommandOutcome]:
    return _often(evidence, lambda _: commands.logs(account, application.backup.name))


@then("every call succeeds in time, with the right output and effect")
def all_in_time(attempts: list[CommandOutcome], evidence: Evidence) -> None:
    """``Commands`` has followed each call to its effect, and noted what was wrong with it."""
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
    """As many calls as the register asks for, one after the other; each gets its number."""
    return [call(str(number)) for number in range(_calls(evidence))]


@when(parsers.parse('the account backs up "{alias}" with velero'), target_fixture="attempt")
def back_up(scope: Scope, commands: Commands, account: Account, alias: str) -> CommandOutcome:
    return commands.backup(account, scope.name(alias), "refused")


@when(phrase("the account requests a backup with {options_of:Mistake}", Mistake=MISTAKES), target_fixture="attempt")
def request_backup(
    scope: Scope, commands: Commands, account: Account, application: Application, options_of: OptionsOf
) -> CommandOutcome:
    return commands.backup(account, scope.namespace("mistaken"), "mistaken", **options_of(application))


@when("the account lists the backups with velero", target_fixture="attempt")
def list_backups(commands: Commands, account: Account) -> CommandOutcome:
    return commands.listing(account)


@when("the account lists a backup that does not exist with velero", target_fixture="attempt")
def list_nothing(commands: Commands, account: Account) -> CommandOutcome:
    called = account.velero.get_backup(NOWHERE)
    return CommandOutcome(called, cli_output.listed(called, [{"metadata": {"name": NOWHERE}, "spec": {}}], []))


@when(phrase("the account describes {name_of:Backup} with velero", Backup=BACKUPS), target_fixture="attempt")
def describe(commands: Commands, account: Account, application: Application, name_of: NameOf) -> CommandOutcome:
    return commands.description(account, name_of(application))


@when(phrase("the account reads the log of {name_of:Backup} with velero", Backup=BACKUPS), target_fixture="attempt")
def read_log(commands: Commands, account: Account, application: Application, name_of: NameOf) -> CommandOutcome:
    return commands.logs(account, name_of(application))


@when(
    phrase("the account restores the settings from {name_of:Backup} with velero", Backup=BACKUPS),
    target_fixture="attempt",
)
def restore(commands: Commands, account: Account, application: Application, name_of: NameOf) -> CommandOutcome:
    return commands.unfollowed_restore(account, name_of(application), application.workload.namespace)


@when(
    phrase("the account deletes the small backup with velero{confirm:Confirmation}", Confirmation=CONFIRMATIONS),
    target_fixture="attempt",
)
def delete(commands: Commands, account: Account, backup: Operation, confirm: bool) -> CommandOutcome:
    return commands.requested_deletion(account, backup.name, confirm=confirm)


@when("the account deletes a backup that does not exist with velero", target_fixture="attempt")
def delete_nothing(commands: Commands, account: Account) -> CommandOutcome:
    return commands.requested_deletion(account, NOWHERE)


@when(phrase("the account applies {fields:Schedule} with kubectl", Schedule=SCHEDULES), target_fixture="attempt")
def apply_schedule(commands: Commands, account: Account, fields: Mapping[str, str]) -> CommandOutcome:
    return commands.apply_schedule(account, APPLIED, **fields)


@then(parsers.parse('the command fails with "{reason}"'))
def command_fails(attempt: CommandOutcome, evidence: Evidence, reason: str) -> None:
    _measure_failure(attempt, evidence, reason)


def _measure_failure(attempt: CommandOutcome, evidence: Evidence, reason: str) -> None:
    unclear = cli_output.unclear(attempt.called, reason)
    evidence.measure("unclear_errors", int(bool(unclear)), artefact="\n".join([str(attempt), *unclear]))
    evidence.expect_violation("wrong_outputs", int(bool(attempt.problems)), artefact=str(attempt))


@then("the API server refuses the account")
def account_refused(attempt: CommandOutcome, account: Account, evidence: Evidence) -> None:
    """The API server names the account, so that no other failure passes for a refusal."""
    allowed = int(not cli_output.refused(attempt.called))
    evidence.measure("unauthorized_calls_allowed", allowed, artefact=str(attempt))
    _measure_failure(attempt, evidence, f'User "{account.user}" cannot')


@then("the command created nothing")
def nothing_created(commands: Commands, attempt: CommandOutcome, evidence: Evidence) -> None:
    assert commands.created() == [], f"{attempt.called.command} created {commands.created()}"
    evidence.expect_violation("response_time", None, artefact=str(attempt))


@given("the object of the small backup is missing")
def delete_object(commands: Commands, backup: Operation) -> Iterator[None]:
    lost = commands.delete_object(backup.name)
    yield
    commands.restore_object(lost)


@then("the suite reports that the list lacks the small backup")
def incomplete_list_reported(velero: Velero, attempt: CommandOutcome, backup: Operation, evidence: Evidence) -> None:
    found = velero.find_backup(backup.name)
    if found is not None and found["metadata"]["uid"] != backup.item["metadata"]["uid"]:
        raise Inconclusive("Velero has synced the backup from S3, maybe before the list was made")
    assert f"{backup.name} is in S3 and not in the list" in attempt.problems, str(attempt)
    evidence.expect_violation("wrong_outputs", int(bool(attempt.problems)), artefact=str(attempt))


@then("the suite reports that the description lacks what is in S3")
def incomplete_description_reported(attempt: CommandOutcome, evidence: Evidence) -> None:
    """Not by the exit code: that of `velero backup describe` is 0 here too."""
    evidence.observe("exit code without S3", attempt.called.code)
    evidence.expect_violation("wrong_outputs", int(bool(attempt.problems)), artefact=str(attempt))
    lacking = [problem for problem in attempt.problems if problem.startswith("it says <error")]
    assert lacking, f"the description is wrong for another reason: {attempt.problems}"


@then("the suite reports that the output confirms no deletion")
def no_deletion_reported(attempt: CommandOutcome, evidence: Evidence) -> None:
    evidence.expect_violation("wrong_outputs", int(bool(attempt.problems)), artefact=str(attempt))


@then("the small backup is unchanged, and its deletion was not requested")
def not_deleted(
    commands: Commands, velero: Velero, backup: Operation, attempt: CommandOutcome, evidence: Evidence
) -> None:
    assert velero.deletion_requests(backup.name) == [], f"{attempt.called.command} requested a deletion"
    _unchanged(commands, backup, attempt, evidence)


@then("the suite reports the small backup as not deleted, with the cause that Velero names")
def kept_backup_reported(commands: Commands, backup: Operation, attempt: CommandOutcome, evidence: Evidence) -> None:
    """The command may succeed all the same: it only requests the deletion (velero issue 4203)."""
    requested = attempt.called.code == 0
    errors = commands.wait_deletion_failed(backup.name) if requested else [attempt.called.stderr]
    assert any("read-only" in error for error in errors), errors
    _unchanged(commands, backup, attempt, evidence)


@then("the suite reports that Velero rejected the schedule, with the cause")
def rejected_schedule_reported(
    scope: Scope, target: TargetClients, attempt: CommandOutcome, evidence: Evidence
) -> None:
    """The command itself succeeds: the API server does not validate cron expressions."""
    assert not attempt.problems, str(attempt)
    name = scope.schedule_name(APPLIED)
    event = f"Velero comes to a phase for the schedule {name}"
    item = target.wait(SCHEDULE, name, lambda item: phase_of(item) != "", event, "schedule_fires")
    assert phase_of(item) == "FailedValidation", item
    assert any("61" in error for error in item["status"]["validationErrors"]), item["status"]
    evidence.expect_violation("response_time", None, artefact=str(item["status"]))


@when(parsers.parse('a backup of "{alias}" is in progress'), target_fixture="running")
def start_backup(scope: Scope, velero: Velero, alias: str) -> str:
    name = scope.backup_name("running")
    velero.create_backup(name, labels=scope.labels, includedNamespaces=[scope.name(alias)])
    velero.wait_started(name)
    return name


@when("the account reads its log with velero meanwhile", target_fixture="attempt")
def read_running_log(commands: Commands, velero: Velero, account: Account, running: str) -> CommandOutcome:
    attempt = commands.logs(account, running)
    if phase_of(velero.find_backup(running)) in FINISHED:
        raise Inconclusive("the backup ended before the command read its log")
    return attempt


@then("the log can be read once the backup is Completed")
def log_readable_later(commands: Commands, velero: Velero, account: Account, running: str, evidence: Evidence) -> None:
    velero.follow_backup(running).require()
    attempt = commands.logs(account, running)
    evidence.measure("wrong_outputs", int(bool(attempt.problems)), artefact=str(attempt))


@then("the command fails soon and names the log that it could not fetch")
def fails_without_s3(attempt: CommandOutcome, application: Application, evidence: Evidence) -> None:
    evidence.measure("outage_response", round(attempt.called.seconds, 2), artefact=str(attempt))
    _measure_failure(attempt, evidence, f"{application.backup.name}-logs.gz")


def _unchanged(commands: Commands, backup: Operation, attempt: CommandOutcome, evidence: Evidence) -> None:
    assert commands.whole(backup.name), f"{backup.name} is no longer whole"
    evidence.expect_violation("response_time", None, artefact=str(attempt))
