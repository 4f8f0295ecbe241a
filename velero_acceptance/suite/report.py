"""Write the report at the end of a run, print it, and set the exit code by the verdicts."""

import json
import shlex
import sys
from collections.abc import Generator
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from velero_acceptance.core.errors import AcceptanceError
from velero_acceptance.core.files import write_whole
from velero_acceptance.core.redaction import KNOWN
from velero_acceptance.core.version import revision
from velero_acceptance.criteria.current import mapping, register, waived
from velero_acceptance.criteria.waivers import in_force
from velero_acceptance.evidence.records import load_all
from velero_acceptance.evidence.verdicts import GREEN
from velero_acceptance.gherkin.digests import digests
from velero_acceptance.gherkin.documents import read_all
from velero_acceptance.report import build as traceability
from velero_acceptance.report.kill_matrix import RECORD, load_matrix, mutant_proofs
from velero_acceptance.report.text import console_table
from velero_acceptance.suite.door import unwritable
from velero_acceptance.suite.options import option
from velero_acceptance.suite.session import EVIDENCE, OPTION, RUN, TROUBLE, Run, fail, runs_features, worker_of

REPORT = pytest.StashKey[traceability.Report]()
NOTES = pytest.StashKey[list[str]]()
STARTED = pytest.StashKey[datetime]()


def pytest_sessionstart(session: pytest.Session) -> None:
    session.config.stash[STARTED] = datetime.now(UTC)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let a scenario of a waived criterion fail without failing the run, after all other plugins saw its failure."""
    report = yield
    if report.failed and report.when != "teardown" and EVIDENCE in item.stash:
        criterion = item.stash[EVIDENCE].criterion.id
        if waiver := in_force(waived(), criterion, item.config.stash[STARTED].date()):
            report.outcome, report.wasxfail = "skipped", waiver.sentence
    return report


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, None, None]:
    """After all clean-up, before the terminal's summary: write the report, whatever ended the run."""
    try:
        # Fixtures clean up first, before any other plugin can fail to write its file.
        session._setupstate.teardown_exact(None)  # noqa: SLF001
    except KeyboardInterrupt:
        _interrupted(session)
    except Exception as error:  # of any fixture or plugin: the report must still be written
        fail(session, f"the clean-up met an error: {error}")
    try:
        yield
        _save(session)
    except KeyboardInterrupt:
        _interrupted(session)
        _save(session)
    except OSError as error:
        fail(session, f"the report could not be written: {unwritable(session.config.stash[RUN], error)}")


def _interrupted(session: pytest.Session) -> None:
    """Report how to remove what the interrupted clean-up left."""
    session.exitstatus = pytest.ExitCode.INTERRUPTED
    run = session.config.stash[RUN]
    run.leaks.append(f"the clean-up was interrupted: run `{run.command('sweep')}`")


def _save(session: pytest.Session) -> None:
    run, worker = session.config.stash[RUN], worker_of(session.config)
    if not runs_features(session.config) or not (worker or run.records.exists()):
        return
    write_whole(run.leaks_of(worker or "main"), json.dumps([run.redactor.text(leak) for leak in run.leaks]))
    if worker:
        return
    for path in (run.folder / "allure-results").glob("*"):  # Allure writes messages that other plugins did not redact
        text = path.read_text(errors="replace")
        if (shown := run.redactor.text(text)) != text:
            path.write_text(shown)
    leaks = [leak for path in sorted(run.folder.glob(run.leaks_of("*").name)) for leak in json.loads(path.read_text())]
    if not option(session.config, OPTION):
        _write(session, run, leaks)
    elif leaks:
        fail(session, f"left behind: {', '.join(leaks)}")


def _write(session: pytest.Session, run: Run, leaks: list[str]) -> None:
    started, exitstatus = session.config.stash[STARTED], int(session.exitstatus)
    report = traceability.build(
        register(),
        read_all(),
        load_all(run.records),
        run=traceability.RunInfo(
            id=run.settings.run_id,
            started=started.isoformat(timespec="seconds"),
            seconds=(datetime.now(UTC) - started).total_seconds(),
            target=run.settings.target,
            profile=run.settings.effective_profile,
            command=run.redactor.text(shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])),
            commit=revision(),
            exit_status=exitstatus,
            interrupted=exitstatus == pytest.ExitCode.INTERRUPTED,
        ),
        environment={name: run.redactor.text(note) for name, note in run.environment.notes.items()}
        if run.environment
        else {},
        leaks=leaks,
        controls=mapping().controls,
        waivers=waived(),
        foreign_changes=[run.redactor.text(change) for change in run.foreign_changes],
        mutants=mutant_proofs(results, digests()) if (results := load_matrix(RECORD)) else {},
    )
    if exitstatus == pytest.ExitCode.OK and (leaks or run.foreign_changes or not_verified(report)):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        report.run.exit_status = int(session.exitstatus)
    session.config.stash[NOTES] = _publish(session, run, report)
    latest = run.settings.reports / "latest"
    latest.unlink(missing_ok=True)
    latest.symlink_to(run.folder.name)
    session.config.stash[REPORT] = report


def _publish(session: pytest.Session, run: Run, report: traceability.Report) -> list[str]:
    """Write, upload and push the report; return a sentence for each. A failed upload fails the run, and is noted."""
    from velero_acceptance.report import metrics, outputs, publish  # heavy imports, which collection does not need

    notes = outputs.write_all(report, run.folder)
    if run.results is not None:
        try:
            notes.append(publish.upload(run.folder, run.results, call_seconds=run.timeouts["s3_call"]))
        except AcceptanceError as error:
            problem = run.redactor.text(str(error))
            fail(session, problem)
            report.run.exit_status = int(session.exitstatus)
            report.environment["results"] = problem
            notes = outputs.write_all(report, run.folder)
    if run.settings.pushgateway:
        notes.append(metrics.push(metrics.registry(report), report.run.target, run.settings.pushgateway))
    return notes


def not_verified(report: traceability.Report) -> list[traceability.CriterionRow]:
    """Criteria that fail a run: all their scenarios ran, and the verdict is not green (EXTRAPOLATED is)."""
    features = {tag: feature.deciding for feature in read_all() for tag in feature.tag_line}
    ran = {row.id: sum(not scenario.passive for scenario in row.scenarios) for row in report.criteria}
    whole = (row for row in report.criteria if ran[row.id] and ran[row.id] >= features.get(row.id, 0))
    return [row for row in whole if row.verdict not in GREEN]


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, exitstatus: pytest.ExitCode, config: pytest.Config
) -> None:
    if exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED and runs_features(config):
        terminalreporter.write_line("no scenario was selected: look at -k, -m and --profile")
    if problem := config.stash.get(TROUBLE, None):
        terminalreporter.write_line(KNOWN.text(problem), red=True)
    report = config.stash.get(REPORT, None)
    if report is None:
        return
    folder, summary = config.stash[RUN].folder, report.summary
    text = StringIO()
    width = None if sys.stdout.isatty() else 150
    console = Console(file=text, force_terminal=terminalreporter.hasmarkup, width=width, highlight=False)
    terminalreporter.section("traceability")
    console.print(console_table(report))
    problems = [f"left behind: {leak}" for leak in summary.leaks]
    for problem in (*problems, *(f"changed outside the suite: {change}" for change in summary.foreign_changes)):
        console.print(problem, style="red", markup=False)
    counts = ", ".join(f"{count} {verdict}" for verdict, count in summary.verdicts.items())
    where = f"report: {folder}/traceability.html (and .md, .json, junit.xml, allure-results)"
    for note in (f"\n{summary.criteria} criteria: {counts}", *config.stash[NOTES], where):
        console.print(note, markup=False)
    terminalreporter.write(KNOWN.text(text.getvalue()))
    if option(config, "allure-page"):
        from velero_acceptance.report.allure import generate

        try:
            terminalreporter.write_line(f"Allure's report: {generate(folder)}")
        except AcceptanceError as error:  # it decides nothing
            terminalreporter.write_line(f"Allure's report was not made: {error}")
