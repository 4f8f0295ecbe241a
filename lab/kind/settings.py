"""Settings of the kind cluster: those of the lab, with the prefix ``ACCEPTANCE_KIND_``."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from lab.settings import LabSettings

CONTROL_PLANE, ADD_ONS_WORKER, WORKER = "control-plane", "worker", "worker2"


class KindSettings(LabSettings):
    """What can be chosen about a kind cluster; the defaults suit a machine that also has a lab."""

    model_config = SettingsConfigDict(env_prefix="ACCEPTANCE_KIND_", extra="ignore")
    place: ClassVar[str] = "kind"

    name: str = Field(default="acceptance", pattern=r"^[a-z0-9][a-z0-9-]{0,20}$")
    network: IPv4Network = IPv4Network("10.79.0.0/24")
    # kind-config.yaml says which.
    nodes: Literal[3] = 3
    # From gitops/, and so as gitops/ says.
    deployment: Literal["flux"] = "flux"
    prometheus: Literal[True] = True
    api_port: int = Field(default=17443, ge=1, le=65535)
    s3_port: int = Field(default=17000, ge=1, le=65535)
    s3_direct_port: int = Field(default=17001, ge=1, le=65535)
    toxiproxy_port: int = Field(default=17474, ge=1, le=65535)
    prometheus_port: int = Field(default=17090, ge=1, le=65535)

    @property
    def group(self) -> str:
        return f"kind.{self.name}"  # no name of a lab has a dot

    @property
    def audit_log(self) -> Path:
        return self.audit / "audit.log"

    @property
    def audit(self) -> Path:
        """The folder of the audit log and its policy, which the control plane's node mounts."""
        return self.state / "audit"

    @property
    def claim(self) -> Path:
        """Exists from before the first node on: what has the cluster's name in Docker is then ours."""
        return self.state / "claimed"

    @property
    def created(self) -> Path:
        """Exists when kind has created the cluster to the end."""
        return self.state / "created"

    @property
    def node_names(self) -> list[str]:
        """None: kind's nodes are containers, their addresses and certificates are not the lab's to give."""
        return []

    @property
    def workers(self) -> list[str]:
        """Names of the nodes that carry workloads; the first also carries the add-ons."""
        return [self.container(role) for role in (ADD_ONS_WORKER, WORKER)]

    def container(self, role: str) -> str:
        """Name of the container and node of a role, as kind makes it."""
        return f"{self.name}-{role}"

    @property
    def node_addresses(self) -> IPv4Network:
        """The part of the network that Docker gives to nodes; the other has the lab's own hosts."""
        return list(self.network.subnets(prefixlen_diff=1))[1]

    @property
    def docker_network(self) -> str:
        """Name of the Docker network that the nodes and the S3 host share."""
        return f"velero-acceptance-{self.name}"
