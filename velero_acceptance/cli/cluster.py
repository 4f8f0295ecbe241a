"""The commands that the embedded lab and the kind cluster share: up, down, status, kubeconfig."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.table import Table

from velero_acceptance.core.errors import AcceptanceError
from velero_acceptance.core.settings import Target
from velero_acceptance.core.waiting import Deadline
from velero_acceptance.target.selection import cluster_of

if TYPE_CHECKING:
    from lab.facts import LabFacts
    from lab.lifecycle import Lab


def facts_of(lab: Lab) -> LabFacts:
    """The facts of a lab that is up; raises AcceptanceError when there is none."""
    from lab.facts import load

    facts = load(lab.settings)
    if facts is None:
        raise AcceptanceError(f"there is no {lab.what}: run `{lab.command}`")
    return facts


def cluster_app(target: Target, console: Console, *, what: str, summary: str) -> typer.Typer:
    """The commands of the lab or the kind cluster; *what* is its name for a reader."""
    app = typer.Typer(no_args_is_help=True, help=summary)

    @app.command(help=f"Bring the {what} up: three nodes, S3 over TLS, Git, Flux, and Velero deployed from gitops/.")
    def up() -> None:
        from lab.progress import Steps

        clock = Deadline(0)
        facts = cluster_of(target).up(Steps(console))
        console.print(f"The {what} is up after {clock.elapsed:.0f} s.")
        console.print(f"export KUBECONFIG={facts.kubeconfig}", soft_wrap=True)

    @app.command(help=f"Fetch and build all that the {what} needs, and start nothing: later `up` needs no network.")
    def build() -> None:
        from lab.progress import Steps

        cluster_of(target).build(Steps(console))

    @app.command(help=f"Remove the {what}. Built programs and images stay in the cache.")
    def down() -> None:
        clock = Deadline(0)
        # The last one first: each restores the kernel settings that it found.
        there = [lab.down() for lab in reversed(cluster_of(target).all())]
        console.print(f"The {what} is down after {clock.elapsed:.0f} s." if any(there) else f"There is no {what}.")

    @app.command(help=f"Show every process of the {what}; exit code 1 when one has ended or there is none.")
    def status() -> None:
        lab = cluster_of(target)
        found = lab.status()
        if not found:
            raise AcceptanceError(f"there is no {what}: run `{lab.command}`")
        table = Table("process", "state", box=None)
        for name, state in found.items():
            table.add_row(name, state)
        console.print(table)
        if "ended" in found.values():
            raise AcceptanceError(f"a process of the {what} has ended: run `{lab.command}` to bring it up again")

    @app.command(help=f"Print the path of the kubeconfig of the {what}: export KUBECONFIG=$(…).")
    def kubeconfig() -> None:
        print(facts_of(cluster_of(target)).kubeconfig)

    return app
