"""Commands about the target: sizes of backups, room in S3, the success rate of the schedule.

They need the settings of a run; only ``estimate --walk`` and the ledger of ``reliability`` change anything.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from velero_acceptance.core.errors import AcceptanceError, Refusal

if TYPE_CHECKING:
    from velero_acceptance.checks.storage_usage import Sizes
    from velero_acceptance.drivers.kinds import Json

console = Console(highlight=False)
AnyTarget = Annotated[
    str | None, typer.Option("--target", help="lab, kind or current; without it as a run would choose.")
]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON, sizes in bytes.")]


class TargetClients:
    """The target and the clients of its systems; raises Refusal when it may not be touched or cannot be reached."""

    def __init__(self, target: str | None) -> None:
        from velero_acceptance.core.settings import Settings
        from velero_acceptance.core.timeouts import Timeouts
        from velero_acceptance.target.selection import environment

        self.timeouts, self.settings = Timeouts.from_environment(), Settings.read(target=target)
        self.environment = place = environment(self.settings)
        # Only now: a refusal need not wait for the libraries of the drivers.
        from velero_acceptance.drivers.kubernetes import Kubernetes
        from velero_acceptance.drivers.s3 import Bucket
        from velero_acceptance.drivers.velero import Velero

        self.kubernetes = Kubernetes(place.kubeconfig, place.context, call_seconds=self.timeouts["api_call"])
        self.velero = Velero(self.kubernetes, place.velero_namespace, place.location, self.timeouts)
        self.bucket = Bucket(place.s3, place.bucket, call_seconds=self.timeouts["s3_call"])

    @cached_property
    def sizes(self) -> Sizes:
        from velero_acceptance.checks.storage_usage import Sizes

        return Sizes(self.kubernetes, self.velero, self.bucket, self.environment, self.timeouts)

    def schedule(self) -> Json:
        """The deployed schedule; raises Refusal without one."""
        from velero_acceptance.drivers.kinds import SCHEDULE

        name = self.environment.schedule
        found = self.kubernetes.get(SCHEDULE, name, self.velero.namespace)
        if found is None:
            raise Refusal(f"there is no Schedule {name} in {self.velero.namespace}: set current.schedule")
        return found


def estimate(
    namespaces: Annotated[
        list[str] | None, typer.Argument(help="Namespaces; without any those of the schedule.")
    ] = None,
    walk: Annotated[
        bool, typer.Option("--walk", help="Sum up what the kubelets do not know, by a short-lived pod on each node.")
    ] = False,
    target: AnyTarget = None,
    as_json: AsJson = False,
) -> None:
    """Estimate the next backup: every volume that it includes, with its size.

    A first backup uploads all of it. A later one uploads what is new, which cannot be known before.
    """
    from velero_acceptance.core.naming import labels
    from velero_acceptance.core.units import size

    place = TargetClients(target)
    chosen = namespaces or place.schedule()["spec"]["template"].get("includedNamespaces") or []
    found = place.sizes.estimate(chosen, walk=labels(place.settings.run_id, "estimate") if walk else None)
    if as_json:
        volumes = [{"volume": one.volume.label, "bytes": one.bytes, "source": one.source} for one in found.volumes]
        print(json.dumps({"bytes": found.known, "unknown": found.unknown, "volumes": volumes}))
        return
    print(found.table())
    rest = f", and {len(found.unknown)} volumes of unknown size (try --walk)" if found.unknown else ""
    print(f"{size(found.known):>10}  in all{rest}")


def sizes(
    names: Annotated[list[str] | None, typer.Argument(help="Backups; without any the last ten.")] = None,
    target: AnyTarget = None,
    as_json: AsJson = False,
) -> None:
    """Print the contents of finished backups, and what each added to S3.

    This holds until the repository is next maintained, which rewrites it.
    """
    from velero_acceptance.core.units import size
    from velero_acceptance.drivers.kinds import BACKUP, name_of, phase_of, time_of
    from velero_acceptance.drivers.velero import FINISHED

    place = TargetClients(target)
    known = {name_of(item): item for item in place.kubernetes.list_all(BACKUP, place.velero.namespace)}
    if missing := [name for name in names or [] if name not in known]:
        raise Refusal(f"there is no backup {missing[0]}")
    done = [item for item in known.values() if phase_of(item) in FINISHED]
    last = sorted(done, key=lambda item: time_of(item["metadata"]["creationTimestamp"]), reverse=True)[:10]
    costs = place.sizes.report([known[name] for name in names] if names else last)
    if as_json:
        print(json.dumps([{**vars(one), "ratio": one.ratio} for one in costs]))
        return
    table = Table("backup", "volumes", "added to S3", "ratio", "its own folder", box=None)
    for one in costs:
        ratio = f"{one.ratio:.1f}" if one.ratio else "–"
        table.add_row(one.backup, size(one.logical), size(one.added), ratio, size(one.metadata))
    console.print(table)


def capacity(
    limit: Annotated[float, typer.Option(help="Percent; more is a failure.", min=1, max=100)] = 80.0,
    target: AnyTarget = None,
    as_json: AsJson = False,
) -> None:
    """Print how full S3 is, if it is a MinIO and the keys are its administrator's. Exit code 1 above the limit."""
    from velero_acceptance.core.units import size
    from velero_acceptance.drivers.minio_admin import Users

    place = TargetClients(target)
    used = sum(place.bucket.keys().values())
    found = Users(place.environment.s3).capacity(place.bucket.name)
    if as_json:
        print(json.dumps({**vars(found), "percent": found.percent, "bucket": used}))
    else:
        print(f"{place.bucket.name} holds {size(used)}")
        print(f"{size(found.used)} of {size(found.total)} are used ({found.percent:.1f} %), by the {found.source}")
    if found.percent > limit:
        raise AcceptanceError(f"S3 is {found.percent:.1f} % full, the limit is {limit:g} %")


def reliability(target: AnyTarget = None, as_json: AsJson = False) -> None:
    """Print how often the schedule's own backups succeeded in the last 30 days, and record them in the ledger."""
    from velero_acceptance.checks.reliability.run_history import calendar, observe
    from velero_acceptance.criteria.load import load
    from velero_acceptance.drivers.kinds import name_of

    place = TargetClients(target)
    schedule = place.schedule()
    backups = place.velero.scheduled_backups(name_of(schedule))
    seen = observe(place.kubernetes, schedule, backups, datetime.now(UTC))
    found = calendar(place.environment.ledger, schedule["spec"]["schedule"], seen)
    percent = load().threshold("calendar_success_rate")
    above = found.above_allowance(percent)
    if as_json:
        rate = {"succeeded": found.rate.succeeded, "runs": found.rate.total, "lower_bound": found.rate.lower_bound}
        rate |= {"still_needed": found.rate.still_needed(percent), "failures_above_allowance": above}
        print(json.dumps({"since": found.since.isoformat(), "until": found.until.isoformat(), **rate}))
    else:
        print(found.table(percent))
    if above:
        raise AcceptanceError(f"{above} more runs failed than {percent:g} % of 30 days allow")


COMMANDS = (estimate, sizes, capacity, reliability)
