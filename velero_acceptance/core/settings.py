"""The settings of a run, from options, environment and ``acceptance.toml``, in that order.

Secrets are read from the environment or from files of mode 0600, and never printed.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterable
from datetime import UTC, datetime
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, get_origin

import pydantic
from pydantic import BaseModel, ByteSize, ConfigDict, Field, SecretStr, StringConstraints
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from velero_acceptance.core import sources
from velero_acceptance.core.addresses import Address
from velero_acceptance.core.errors import Refusal
from velero_acceptance.core.installation import folder_of_user
from velero_acceptance.core.redaction import KNOWN
from velero_acceptance.core.waivers import VolumeWaiver

# Each has its own addresses on this machine.
MOST_LABS = 4
RUN_ID = r"^[a-z0-9]([a-z0-9-]{0,22}[a-z0-9])?$"


class Profile(StrEnum):
    """How much a scenario does to the cluster; each includes the ones before it."""

    OBSERVE = "observe"
    EXERCISE = "exercise"
    DISRUPT = "disrupt"
    SOAK = "soak"

    @property
    def rank(self) -> int:
        return list(Profile).index(self)


class Target(StrEnum):
    """Where the suite runs."""

    LAB = "lab"
    KIND = "kind"
    CURRENT = "current"

    def command(self, name: str, *arguments: str) -> str:
        """A command on this target, to be copied from a message, whatever target the settings name."""
        return " ".join(["acceptance", name, f"--target {self.value}", *arguments])


class S3Access(BaseModel):
    """How the suite itself reads the bucket: by an endpoint without injected faults."""

    endpoint: str
    access_key: SecretStr
    secret_key: SecretStr
    authority: Path | None = None
    region: str = "us-east-1"


class TargetSettings(BaseModel):
    """How Velero, Flux and what observes them are set up on a cluster, as far as the user can say it."""

    context: str | None = None
    velero_namespace: str = "velero"
    location: str = "default"
    schedule: str = "daily-backup"
    bucket: str = "velero-backups"
    prefix: str = ""
    storage_class: str = "openebs-hostpath"
    # The image that the suite's workloads run.
    corpus_image: str = "velero-acceptance.local/corpus:v1"
    # A bucket that Velero's key must not reach, a checkout of what Flux deploys, and the age key of its secrets.
    foreign_bucket: str | None = None
    gitops: Path | None = None
    age_key: Path | None = None
    # The namespace of Flux, and the name of its GitRepository and its first Kustomization there.
    flux_namespace: str = "flux-system"
    flux_name: str = "flux-system"
    # The command that runs tcpdump at the S3 host, and the ports of S3 there.
    capture: list[str] = []
    s3_ports: list[int] = [443]
    # The API server's audit log of Velero's objects (audit.k8s.io/v1, a JSON object a line).
    audit_log: Path | None = None
    prometheus: Address | None = None


# Longer values are shown in no message, nor are those of settings that hold a secret.
SHOWN, SECRET = 60, re.compile(r"key|secret|password|pushgateway|results")


class Environment(TargetSettings):
    """The system under test as the suite reaches it; the same for every target."""

    target: Target
    # Distinguishes the labs of one run.
    name: str = "target"
    kubeconfig: Path
    prefix: str = "velero"
    storage_class: str = "openebs-localpv-hostpath"
    s3: S3Access
    toxiproxy: str | None = None
    proxy: str = "s3"
    # promtool, and the shortened durations in the alerts by the real ones; where there are any.
    promtool: Path | None = None
    alert_durations: dict[str, str] = {}
    # What Velero backs volumes up with (corpus/uploaders.py), and the command that reads its repositories.
    uploader: str = "restic"
    oracle: Path | None = None
    # Folders of the repository that Flux can deploy instead, by the uploader of their Velero; only on the lab.
    releases: dict[str, str] = {}
    # The suite's own program and the `velero` command on this machine, where there are any.
    corpus: Path | None = None
    velero_cli: Path | None = None
    # Where the target keeps its data and, by controller, its control groups, if that is on this machine.
    disk: Path | None = None
    cgroups: dict[str, Path] = {}
    # What outlives a run: the observed runs of the schedule, and the progress of a soak.
    ledger: Path
    soak: Path
    # Shown in the report, never decided on.
    notes: dict[str, str] = {}

    def key(self, *parts: str) -> str:
        """A key below the location's prefix, if it has one; with "" as the last part, that of a folder."""
        return "/".join((*filter(None, [self.prefix.strip("/")]), *parts))


class CurrentTarget(TargetSettings):
    """The user's own cluster; every value can be set in ``acceptance.toml`` under ``[current]``."""

    model_config = ConfigDict(extra="forbid")

    kubeconfig: Path = Field(default_factory=lambda: folder_of_user("KUBECONFIG", ".kube/config"))
    allowed_contexts: list[str] = []
    # The cluster that a context has to be, by the SHA-256 of its CA or the address of its server.
    allowed_clusters: dict[str, str] = {}
    s3_endpoint: Address | None = None
    s3_authority: Path | None = None
    s3_access_key: SecretStr | None = None
    s3_secret_key: SecretStr | None = None


class CoverageSettings(BaseModel):
    """The volumes that need no backup, under ``[coverage]``."""

    model_config = ConfigDict(extra="forbid")

    waivers: list[VolumeWaiver] = []


class Settings(BaseSettings):
    """The run's settings. Environment variables have the prefix ``ACCEPTANCE_``, ``__`` for levels."""

    model_config = SettingsConfigDict(env_prefix=sources.PREFIX, env_nested_delimiter="__", extra="forbid")

    target: Target = Target.LAB
    profile: Profile | None = None
    # The uploader that Velero must use. On the lab it decides which Velero is deployed.
    uploader: Literal["restic", "kopia"] | None = None
    run_id: Annotated[str, StringConstraints(pattern=RUN_ID)] = Field(
        default_factory=lambda: f"{datetime.now(UTC):%Y%m%d-%H%M}-{secrets.token_hex(2)}"
    )
    reports: Path = Field(default_factory=lambda: Path(os.path.relpath(sources.project() / "reports")))
    # Data of the timed backups and restores. Less than the register asks for gives an extrapolation.
    data_size: Annotated[ByteSize, Field(ge=64 << 20)] = ByteSize(256 << 20)
    # Size of the torture corpus's sparse file; restic writes every byte of it when it restores.
    sparse_bytes: Annotated[int, Field(ge=1 << 20)] = 256 << 20
    # Pushgateway for the metrics of a run; a SecretStr because the address may hold a password.
    pushgateway: SecretStr | None = None
    # Where a run's folder is uploaded, s3://bucket/prefix; to the target's S3 with its keys unless others are given.
    results: SecretStr | None = None
    results_endpoint: Address | None = None
    results_authority: Path | None = None
    results_access_key: SecretStr | None = None
    results_secret_key: SecretStr | None = None
    # Runs of the accelerated schedule, and the seed that their faults follow from.
    reliability_runs: Annotated[int, Field(ge=6, le=2000)] = 12
    reliability_seed: str = "velero-acceptance"
    # Labs on this machine, shared by the workers of pytest-xdist.
    labs: Annotated[int, Field(ge=1, le=MOST_LABS)] = 1
    # How long the soak takes, interruptions not counted.
    hours: Annotated[float, Field(gt=0, le=1000)] = 1.0
    # File of the schedule's observed runs, instead of the target's own.
    ledger: Path | None = None
    current: CurrentTarget = Field(default_factory=CurrentTarget)
    coverage: CoverageSettings = Field(default_factory=CoverageSettings)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  the signature is pydantic's
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003  the signature is pydantic's
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, InitSettingsSource(settings_cls, sources.from_file())

    @property
    def effective_profile(self) -> Profile:
        """The profile asked for; by default disrupt on the suite's own clusters, exercise on the user's."""
        return self.profile or (Profile.EXERCISE if self.target is Target.CURRENT else Profile.DISRUPT)

    @staticmethod
    def read(**options: Any) -> Settings:
        """The settings, overridden by the *options* that are not None; raises Refusal in one sentence."""
        fields = {**Settings.model_fields, **{f"current__{n}": f for n, f in CurrentTarget.model_fields.items()}}
        sources.refuse_unknown(sources.PREFIX, (*fields, *sources.OTHERS), sources.FOREIGN)
        sources.refuse_malformed(name for name, field in fields.items() if _is_json(field.annotation))
        try:
            return Settings(**{name: value for name, value in options.items() if value is not None})
        except pydantic.ValidationError as error:
            raise Refusal(_sentence(error.errors()[0])) from None


def _is_json(annotation: Any) -> bool:
    """Whether a setting of this type is JSON in an environment variable."""
    return annotation is CurrentTarget or get_origin(annotation) in (list, dict)


def _sentence(problem: ErrorDetails) -> str:
    """What is wrong with a setting. Its value may be a secret of the wrong type, and is shown for numbers and words."""
    *levels, name = (str(part) for part in problem["loc"])
    where = ".".join((*levels, name))
    if problem["type"] != "extra_forbidden":
        value = problem["input"]
        hidden = len(str(value)) >= SHOWN or SECRET.search(name)
        shown = "" if hidden else f", not {KNOWN.text(repr(value))}"
        return f"{where}: {problem['msg'].removeprefix('Value error, ')}{shown}"
    near = get_close_matches(name, _known(levels), n=1)
    return f"{where} is no setting" + (f": did you mean {near[0]}?" if near else "; docs/usage.md lists all of them")


def _known(levels: list[str]) -> Iterable[str]:
    """The settings where *levels* lead: a section, or an entry of a list in it."""
    if not levels:
        return Settings.model_fields
    if levels[0] != "coverage":
        return CurrentTarget.model_fields
    return (VolumeWaiver if len(levels) > 1 else CoverageSettings).model_fields
