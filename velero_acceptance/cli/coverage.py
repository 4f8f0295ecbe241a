"""The command `acceptance coverage`: which backup holds each volume, or why none does."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from velero_acceptance.cli.target import AnyTarget, AsJson, TargetClients
from velero_acceptance.core.errors import EXIT_FAILED, Refusal

if TYPE_CHECKING:
    from velero_acceptance.checks.volume_coverage.result import CoverageResult, Row

# A file or a pipe has no width.
console = Console(highlight=False, width=None if sys.stdout.isatty() else 200)


def coverage(
    target: AnyTarget = None,
    as_json: AsJson = False,
    metrics: Annotated[
        Path | None, typer.Option(help="Also write the metrics to this file, for a textfile collector.")
    ] = None,
) -> None:
    """Print the newest backup that holds each volume with data, or why none does. Only reads.

    By the files of the backups in S3. Exit code 1: a volume is unprotected and not waived in acceptance.toml.
    """
    from velero_acceptance.checks.volume_coverage.result import cover

    if metrics is not None and (metrics.is_dir() or not metrics.parent.is_dir()):
        raise Refusal(f"{metrics} cannot be written: name a file in an existing folder")
    place = TargetClients(target)
    waivers = place.settings.coverage.waivers
    found = cover(place.kubernetes, place.velero, place.bucket, place.environment, waivers, datetime.now(UTC))
    if as_json:
        print(json.dumps(as_dict(found, place.environment.target), indent=1))
    else:
        show(found)
    for note in _exported(found, place, metrics):
        print(note, file=sys.stderr)
    raise typer.Exit(EXIT_FAILED if found.unprotected else 0)


def _exported(found: CoverageResult, place: TargetClients, path: Path | None) -> Iterator[str]:
    gateway = place.settings.pushgateway
    if path is None and gateway is None:
        return
    from velero_acceptance.report import metrics, volume_metrics

    registry = volume_metrics.registry(found, place.environment.target)
    if path is not None:
        metrics.write(registry, path)
    if gateway is not None:
        yield metrics.push(registry, place.environment.target, gateway, volume_metrics.JOB)


def show(found: CoverageResult) -> None:
    """Print the table, what is unprotected first, and a sentence for everything else that was found."""
    table = Table("volume", "kind", "newest backup", "age", "schedule", "size", "why not", box=None, pad_edge=False)
    for row in sorted(found.rows, key=lambda row: (not row.unprotected, row.protection.held is not None)):
        table.add_row(*_cells(row))
    if found.rows:
        console.print(table)
    for line in _sentences(found):
        console.print(Text(line), soft_wrap=True)


def _cells(row: Row) -> Iterator[Text]:
    from velero_acceptance.core.units import size

    volume, held = row.protection.volume, row.protection.held
    yield Text(volume.label, "bold red" if row.unprotected else "")
    yield Text(volume.kind)
    if held is None:
        yield Text("none", "red" if row.unprotected else "yellow")
        yield from (Text(cell) for cell in ("–", "–", "–"))
    else:
        yield Text(held.backup)
        yield Text(_duration(row.age or 0.0))
        yield Text(held.schedule or "–")
        yield Text("?" if held.bytes is None else size(held.bytes))
    yield Text(_why(row))


def _why(row: Row) -> str:
    finding, waiver = row.protection.finding, row.waiver
    text = f"{finding.reason}: {finding.text}" if finding else ""
    if row.protection.held and text:
        text = f"not in the newest one: {text}"
    return f"{text} ({waiver.sentence})" if waiver else text


def _sentences(found: CoverageResult) -> Iterator[str]:
    for one in found.gone:
        yield f"{one.name} is no longer on the cluster; {one.backup} holds it, {_duration(one.age)} old"
    for name, problem in found.unreadable.items():
        yield f"{name} was not read: {problem}"
    for waiver in found.expired:
        yield f"expired: {waiver.volume}, {waiver.sentence}"
    for waiver in found.unused:
        yield f"not needed: {waiver.volume}, {waiver.sentence}"
    if not found.backups:
        yield "there is no backup that is Completed or PartiallyFailed"
    waived = sum(row.waiver is not None for row in found.rows)
    counts = f"{len(found.unprotected)} unprotected, {waived} waived"
    yield f"{len(found.rows)} volumes: {counts}" if found.rows else "there is no volume with data"


def _duration(seconds: float) -> str:
    """An age for a reader."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def as_dict(found: CoverageResult, target: str) -> dict[str, Any]:
    """The coverage for programs: ages in seconds, sizes in bytes."""
    return {
        "target": target,
        "unprotected": len(found.unprotected),
        "backups": found.backups,
        "volumes": [_row_as_dict(row) for row in found.rows],
        "gone_namespaces": [{"namespace": n.name, "backup": n.backup, "age_seconds": n.age} for n in found.gone],
        "unreadable_backups": [{"backup": name, "why": why} for name, why in found.unreadable.items()],
        "expired_waivers": [waiver.model_dump(mode="json") for waiver in found.expired],
        "unused_waivers": [waiver.model_dump(mode="json") for waiver in found.unused],
    }


def _row_as_dict(row: Row) -> dict[str, Any]:
    volume, held, finding = row.protection.volume, row.protection.held, row.protection.finding
    return {
        "namespace": volume.namespace,
        "volume": volume.name,
        "kind": volume.kind,
        "protected": held is not None,
        "backup": held and held.backup,
        "age_seconds": row.age,
        "schedule": held and held.schedule,
        "bytes": held and held.bytes,
        "moved_by": held and held.moved,
        "reason": finding and finding.reason,
        "why": finding and finding.text,
        "waiver": row.waiver and row.waiver.model_dump(mode="json"),
    }
