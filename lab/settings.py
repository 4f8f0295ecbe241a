"""Settings of the lab, and the names, addresses and folders that follow from them.

Every setting can be given by environment variable with the prefix ``ACCEPTANCE_LAB_``, e.g.
``ACCEPTANCE_LAB_NETWORK=10.99.0.0/24``. Durations are Go durations, as Velero takes them.
"""

from __future__ import annotations

from contextlib import suppress
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from lab.programs import RELEASES, Release
from velero_acceptance.core.errors import Refusal
from velero_acceptance.core.installation import folder_of_user
from velero_acceptance.core.settings import MOST_LABS
from velero_acceptance.core.sources import refuse_unknown

POD_NETWORK = IPv4Network("10.244.0.0/16")
SERVICE_NETWORK = IPv4Network("10.96.0.0/16")
API_SERVICE_ADDRESS = SERVICE_NETWORK[1]
DNS_SERVICE_ADDRESS = SERVICE_NETWORK[10]
STORAGE_CLASS = "openebs-localpv-hostpath"
SCHEDULED_NAMESPACES = ("monitoring", "database", "network")
BUCKET = "velero-backups"
OTHER_BUCKET = "other-service"
# How soon a pod sees a changed secret. Kubernetes' default is 1m; the report says what the lab has.
SYNC_FREQUENCY = "10s"
# Labs that a run may have side by side, and how far apart their ports are.
PORTS_APART = 10
NAME = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"
GO_DURATION = r"^(\d+(\.\d+)?(ms|s|m|h))+$"


class LabSettings(BaseSettings):
    """What can be chosen about a lab; the defaults suit a machine with one lab."""

    model_config = SettingsConfigDict(env_prefix="ACCEPTANCE_LAB_", extra="ignore")
    place: ClassVar[str] = "labs"

    name: str = Field(default="lab", pattern=r"^[a-z0-9][a-z0-9-]{0,20}$")
    network: IPv4Network = IPv4Network("10.77.0.0/24")
    nodes: int = Field(default=3, ge=1, le=9)
    # What Velero backs up with, which decides its version: see lab/programs.py.
    uploader: Literal["restic", "kopia"] = "restic"
    api_port: int = Field(default=16443, ge=1, le=65535)
    s3_port: int = Field(default=19000, ge=1, le=65535)
    s3_direct_port: int = Field(default=19001, ge=1, le=65535)
    toxiproxy_port: int = Field(default=18474, ge=1, le=65535)
    prometheus_port: int = Field(default=19090, ge=1, le=65535)
    # How Velero comes onto the cluster: as the design says, or as people do it who have no GitOps.
    deployment: Literal["flux", "install"] = "flux"
    # Whether Prometheus watches it. What it looks for is named as in gitops/; unless chosen, it does so with Flux.
    prometheus: bool | None = None
    storage_class: str = Field(default=STORAGE_CLASS, pattern=NAME)
    # With Flux these five are what gitops/ says.
    velero_namespace: str = Field(default="velero", pattern=NAME)
    location: str = Field(default="default", pattern=NAME)
    schedule: str = Field(default="daily-backup", pattern=NAME)
    bucket: str = Field(default=BUCKET, pattern=NAME)
    prefix: str = Field(default="velero", pattern=rf"{NAME}|^$")
    # The design runs the garbage collector hourly; the lab shortens it and the report says so.
    garbage_collection_frequency: str = Field(default="10s", pattern=GO_DURATION)
    validation_frequency: str = Field(default="10s", pattern=GO_DURATION)

    @model_validator(mode="before")
    @classmethod
    def _known_variables(cls, values: Any) -> Any:
        refuse_unknown(str(cls.model_config["env_prefix"]), cls.model_fields)
        return values

    @field_validator("network")
    @classmethod
    def _large_enough(cls, network: IPv4Network) -> IPv4Network:
        if network.prefixlen > 27:
            raise ValueError("the network must hold at least 32 addresses (a /27 or larger)")
        if network.overlaps(POD_NETWORK) or network.overlaps(SERVICE_NETWORK):
            raise ValueError(f"the network must not overlap {POD_NETWORK} or {SERVICE_NETWORK}")
        return network

    @model_validator(mode="after")
    def _as_gitops_says(self) -> LabSettings:
        fixed = ("velero_namespace", "location", "schedule", "bucket", "prefix")
        changed = [name for name in fixed if getattr(self, name) != type(self).model_fields[name].default]
        if changed and (self.deployment == "flux" or self.monitored):
            raise ValueError(
                f"{changed[0]} is what gitops/ says: choose it with ACCEPTANCE_LAB_DEPLOYMENT=install "
                "and without Prometheus"
            )
        return self

    def beside(self, number: int) -> LabSettings:
        """The lab that stands as *number* beside this one, which is the first: of its own name, network and ports.

        Raises Refusal when there is no room for it behind what was chosen for the first.
        """
        if number == 1:
            return self
        ports = {name: port + PORTS_APART * (number - 1) for name, port in self if name.endswith("_port")}
        start = int(self.network.network_address) + (number - 1) * self.network.num_addresses
        try:
            own = {"name": f"{self.name}-{number}", "network": IPv4Network((start, self.network.prefixlen)), **ports}
            return type(self)(**{**self.model_dump(), **own})
        except ValueError:  # of addresses, and pydantic's
            raise Refusal(
                f"there is no room for a lab {number} beside {self.name}: choose a shorter name, another network "
                "or lower ports, or run with fewer workers"
            ) from None

    def all(self) -> list[LabSettings]:
        """This lab, and those that a run may have brought up beside it."""
        found = [self]
        for number in range(2, MOST_LABS + 1):
            with suppress(Refusal):  # nor can a run have brought it up
                found.append(self.beside(number))
        return found

    @property
    def group(self) -> str:
        """Under this name the lab has its control groups and its lock."""
        return self.name

    def variable(self, field: str) -> str:
        """The environment variable that gives a setting."""
        return f"{self.model_config['env_prefix']}{field.upper()}"

    @cached_property
    def state(self) -> Path:
        """The lab's folder: keys, disks, logs. It is gone after ``down``."""
        base = folder_of_user("XDG_STATE_HOME", ".local/state")
        return base / "velero-acceptance" / self.place / self.name

    @property
    def release(self) -> Release:
        """The Velero that is deployed."""
        return RELEASES[self.uploader]

    @property
    def audit_log(self) -> Path:
        """What the API server notes of requests for Velero's objects, a JSON object a line."""
        return self.state / "audit.log"

    @property
    def gateway(self) -> IPv4Address:
        return self.network[1]

    @property
    def control(self) -> IPv4Address:
        """Control plane, Git server, OCI registry and Prometheus."""
        return self.network[2]

    @property
    def s3(self) -> IPv4Address:
        """The S3 host: MinIO with toxiproxy before it."""
        return self.network[3]

    def node_address(self, index: int) -> IPv4Address:
        """Address of node *index*, counted from 1."""
        return self.network[10 + index]

    def pod_subnet(self, index: int) -> IPv4Network:
        """The addresses that node *index* gives to its pods."""
        return list(POD_NETWORK.subnets(new_prefix=24))[index]

    @property
    def node_names(self) -> list[str]:
        return [f"node{index}" for index in range(1, self.nodes + 1)]

    @property
    def monitored(self) -> bool:
        """Whether Prometheus watches it."""
        return self.deployment == "flux" if self.prometheus is None else self.prometheus

    @property
    def forwarded_ports(self) -> dict[str, int]:
        """Loopback ports of the host, by what they lead to."""
        return {
            "API server": self.api_port,
            "S3 through the fault proxy": self.s3_port,
            "S3 past the fault proxy": self.s3_direct_port,
            "toxiproxy": self.toxiproxy_port,
            **({"Prometheus": self.prometheus_port} if self.monitored else {}),
        }
