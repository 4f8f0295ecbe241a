"""The command `acceptance kind`: the target kind, brought up and taken down."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console

from acceptance.cluster_cli import cluster_app

if TYPE_CHECKING:
    from lab.kind.cluster import KindCluster


def kind_cluster(**chosen: Any) -> KindCluster:
    """The kind cluster that the environment's settings describe, with those *chosen* in place of them."""
    # Imported here: collection and lint must not pay for the lab's libraries.
    from lab.kind.cluster import KindCluster
    from lab.kind.settings import KindSettings

    return KindCluster(KindSettings(**chosen))


kind_app = cluster_app(
    kind_cluster,
    Console(highlight=False),
    what="kind cluster",
    summary="The same on a cluster that kind makes, with the machine's Docker or without one.",
)
