"""Verify that Velero backups restore, and everything around that: targets, reports, the lab.

Exit codes: 0 done, 1 failed, 2 refused (bad input or an unfit machine), 130 interrupted.
"""

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Annotated, NoReturn, TextIO

import typer
from rich.console import Console
from rich.table import Table

from velero_acceptance.cli import report
from velero_acceptance.cli.cluster import cluster_app, facts_of
from velero_acceptance.cli.coverage import coverage
from velero_acceptance.cli.mutants import mutants
from velero_acceptance.cli.target import COMMANDS, AnyTarget
from velero_acceptance.core.errors import EXIT_INTERRUPTED, EXIT_REFUSED, AcceptanceError, Refusal
from velero_acceptance.core.installation import (
    IN_CHECKOUT,
    ROOT,
    feature_arguments,
    make_importable,
    modules,
)
from velero_acceptance.core.redaction import KNOWN
from velero_acceptance.core.sentences import known
from velero_acceptance.core.settings import Target
from velero_acceptance.core.version import VARIABLE, commit_of
from velero_acceptance.target.selection import cluster_of

app = typer.Typer(no_args_is_help=True, help=__doc__, pretty_exceptions_enable=False)
app.add_typer(report.app, name="report")
app.command()(report.verify)
for command in (*COMMANDS, coverage, mutants):
    app.command()(command)
console = Console(highlight=False)


lab_app = cluster_app(Target.LAB, console, what="lab", summary="The embedded lab: a real Kubernetes on this machine.")
kind_app = cluster_app(
    Target.KIND,
    console,
    what="kind cluster",
    summary="The same on a cluster that kind makes, with the machine's Docker or without one.",
)
app.add_typer(lab_app, name="lab")
app.add_typer(kind_app, name="kind")


def _version(asked: bool) -> None:
    if asked:
        print(metadata.version("velero-acceptance"))
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Take the options that come before a command."""


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
    add_help_option=False,
)
def run(context: typer.Context) -> None:
    """Run the features with pytest, whose options it takes: `acceptance run --profile observe -k ttl`.

    As `pytest features` in the checkout; reports go to ./reports. `acceptance run --help` lists every option.
    """
    import pytest

    from velero_acceptance.suite.options import prefixed

    cache = [] if IN_CHECKOUT else ["-o", f"cache_dir={Path('.pytest_cache').absolute()}"]
    place = ["-c", str(ROOT / "pyproject.toml"), f"--rootdir={ROOT}", *cache]
    raise typer.Exit(int(pytest.main([*place, *feature_arguments(prefixed(context.args))])))


@lab_app.command()
def logs(name: Annotated[str, typer.Argument(help="A process, as `acceptance lab status` names it.")]) -> None:
    """Print the log of a process of the lab."""
    lab = cluster_of(Target.LAB)
    path = lab.processes.logs / f"{name}.log"
    if not path.exists():
        known = sorted(log.stem for log in lab.processes.logs.glob("*.log"))
        raise Refusal(f"no log of {name!r}: choose one of {', '.join(known) or 'none, there is no lab'}")
    sys.stdout.write(path.read_text(errors="replace"))


@lab_app.command(context_settings={"ignore_unknown_options": True})
def shell(
    command: Annotated[list[str] | None, typer.Argument(help="A command instead of a shell.")] = None,
    on: Annotated[str | None, typer.Option(help="A host of the lab: control, s3, node1, …")] = None,
) -> None:
    """Open a shell with kubectl and velero set up, on this machine or on a host of the lab."""
    lab = cluster_of(Target.LAB)
    facts = facts_of(lab)
    prefix = lab.enter(on) if on else []
    path = f"{facts.velero_cli.parent}:{sys.prefix}/bin:{os.environ['PATH']}"
    environment = {**os.environ, "KUBECONFIG": str(facts.kubeconfig), "PATH": path}
    environment["KUBECACHEDIR"] = str(facts.kubeconfig.with_name("kubectl-cache"))
    done = subprocess.run([*prefix, *(command or [os.environ.get("SHELL", "/bin/sh")])], env=environment)
    raise typer.Exit(done.returncode)


@app.command()
def image(file: Annotated[Path, typer.Argument(help="Where the archive is to be written.")]) -> None:
    """Write the suite and the programs that it calls to FILE, as a container image (an OCI archive).

    The programs are those that `acceptance lab up` builds.
    """
    from lab import suite_image
    from lab.oci import write

    if file.is_dir() or not file.parent.is_dir():
        raise Refusal(f"{file} cannot be written: name a file in an existing folder")
    made = suite_image.image(suite_image.programs(), {VARIABLE: commit_of(suite_image.SOURCE)})
    try:
        write(made, file)
    except OSError as error:
        raise AcceptanceError(f"{file} cannot be written: {error.strerror}") from None
    print(f"{made.reference} is in {file} ({file.stat().st_size / 1e6:.0f} MB)")


@app.command()
def lint(
    files: Annotated[list[Path] | None, typer.Argument(help="With --secrets: the files; gitops/ without.")] = None,
    secrets: Annotated[bool, typer.Option("--secrets", help="Only look for Secrets that are not encrypted.")] = False,
    age_key: Annotated[
        Path | None, typer.Option(help="Only look whether this age key opens every *.sops.yaml of the checkout.")
    ] = None,
    checkout: Annotated[Path, typer.Option(help="With --age-key: a checkout of what Flux deploys.")] = Path(),
) -> None:
    """Check register, features, steps, and that gitops/ holds no Secret in the clear; needs no cluster."""
    if files and not secrets:
        raise Refusal("files are only looked at for Secrets: use `acceptance lint --secrets FILE …`")
    if age_key is not None:
        _try_key(age_key, checkout)
        return
    problems = list(_open_secrets(files)) if secrets else [*_problems(), *_open_secrets(None)]
    for problem in problems:
        print(problem)
    if problems:
        raise AcceptanceError(f"{len(problems)} problems")
    console.print("Every Secret is encrypted." if secrets else "Register, features and steps agree.")


def _try_key(age_key: Path, checkout: Path) -> None:
    from velero_acceptance.checks import git_secrets as check
    from velero_acceptance.drivers.sops import Sops

    check.require_key(age_key)
    files = check.encrypted_files(checkout)
    closed = check.unopened(files, Sops(age_key))
    for problem in closed:
        print(problem)
    if closed:
        raise AcceptanceError(f"the key does not open {len(closed)} of {len(files)} files: Flux would stop there")
    console.print(f"The key opens every encrypted file ({len(files)}).")


def _open_secrets(files: list[Path] | None) -> Iterator[str]:
    """What stands in the clear in *files* (None: all of gitops/), by name and never by value."""
    from velero_acceptance.checks.git_secrets import problems

    for path in files or sorted(path for path in (ROOT / "gitops").rglob("*") if path.is_file()):
        try:
            text = path.read_text(errors="replace")
        except OSError as error:
            raise Refusal(f"{path} cannot be read: {error.strerror}") from None
        yield from problems(str(path), text)


def _problems() -> Iterator[str]:
    from velero_acceptance.criteria import controls, ears, waivers
    from velero_acceptance.criteria.load import load
    from velero_acceptance.gherkin.documents import FEATURES, MalformedFeature, read
    from velero_acceptance.gherkin.lint import definitions, lint_feature, lint_suite

    register = load()
    controls.load(register)
    waivers.load(register)
    yield from ears.problems(register)
    for name in modules("steps"):
        importlib.import_module(name)
    steps, features = definitions(), []
    for path in sorted(FEATURES.rglob("*.feature")):
        try:
            features.append(read(path))
        except MalformedFeature as error:
            yield f"{path.name}: {error}"
    for feature in features:
        yield from (f"{feature.path.name}: {problem}" for problem in lint_feature(feature, register, steps))
    yield from lint_suite(features, register, steps)


@app.command()
def criteria(
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of a requirement file.")] = False,
) -> None:
    """List every criterion of the register with method, profile and whether it has a feature yet."""
    from velero_acceptance.criteria.load import load, schema_text

    if schema:
        sys.stdout.write(schema_text())
        return
    table = Table("criterion", "method", "profile", "feature", "text", box=None)
    for criterion in load().criteria.values():
        how = criterion.verification
        table.add_row(
            criterion.id, how.method, how.profile, "planned" if criterion.planned else "yes", criterion.ears.text
        )
    console.print(table)


@app.command()
def doctor(
    target: AnyTarget = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Look at the target, write nothing, and tell which criteria can be verified there.

    Exit code 1: something that every run needs is broken. Criteria that cannot be verified there are no failure.
    """
    from velero_acceptance.core.settings import Settings
    from velero_acceptance.core.timeouts import Timeouts
    from velero_acceptance.preconditions.diagnosis import diagnose
    from velero_acceptance.preconditions.text import show

    found = diagnose(Settings.read(target=target), Timeouts.from_environment())
    if as_json:
        print(json.dumps(found.as_json(), indent=1))
    else:
        show(found, console)
    raise typer.Exit(found.exit_code)


@app.command()
def unlock(
    run: Annotated[str | None, typer.Option(help="The run that holds the lock, if you know that it is dead.")] = None,
    target: AnyTarget = None,
) -> None:
    """Remove the run lock of the target: one that has expired, or that of a run that is named."""
    from velero_acceptance.core.settings import Settings
    from velero_acceptance.drivers.kubernetes import Kubernetes
    from velero_acceptance.target.lock import unlock as unlocked
    from velero_acceptance.target.selection import environments

    for found in environments(Settings.read(target=target)):
        kubernetes = Kubernetes(found.kubeconfig, found.context)
        console.print(unlocked(kubernetes, found.velero_namespace, run, found.target))


@app.command()
def sweep(
    run: Annotated[str | None, typer.Option(help="Only this run; without it every run that left something.")] = None,
    expired: Annotated[bool, typer.Option("--expired", help="Only what is past the expiry on its label.")] = False,
    target: AnyTarget = None,
) -> None:
    """Remove what killed runs left on the target, by label and run id, but nothing of a run at work."""
    from velero_acceptance.core.settings import Settings
    from velero_acceptance.core.timeouts import Timeouts
    from velero_acceptance.target.selection import environments
    from velero_acceptance.target.sweep import sweep as swept

    count = 0
    for environment in environments(Settings.read(target=target)):
        for line in swept(environment, Timeouts.from_environment(), run, expired=expired):
            print(line)
            count += 1
    console.print(f"{count} things swept." if count else "Nothing to sweep.")


def main() -> None:
    """Run the command line; a failure is one sentence on standard error and its exit code."""
    make_importable()
    try:
        code = app(standalone_mode=False) or 0
        sys.stdout.flush()  # a full disk is found here, or by the interpreter's end, which would print a traceback
    except typer.TyperException as error:  # an unknown command or option, a missing argument
        if not error.format_message():  # no command was given, and the help is shown
            sys.exit(EXIT_REFUSED)
        _end(f"{error.format_message()} (acceptance --help lists what there is)", EXIT_REFUSED)
    except Exception as error:
        if (found := known(error)) is None:  # a bug
            raise
        _close_broken(sys.stdout)
        _end(str(found), found.exit_code)
    if code == EXIT_INTERRUPTED:
        making = sys.argv[1:2] in (["lab"], ["kind"]) and sys.argv[2:3] in (["up"], ["build"])
        _end("interrupted" + ("; what was made stays, and the next run goes on from there" if making else ""), code)
    sys.exit(code)


def _close_broken(stream: TextIO) -> None:
    """Let the interpreter not try again to write what could not be written."""
    try:
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _end(message: str, code: int) -> NoReturn:
    print(f"acceptance: {KNOWN.text(message)}", file=sys.stderr)
    sys.exit(code)
