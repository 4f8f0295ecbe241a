"""Mutants: the files of ``mutants/``, each one seeded fault of the deployed system."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from velero_acceptance.core.errors import Refusal
from velero_acceptance.core.installation import ROOT

FOLDER = ROOT / "mutants"
# The fields of a mutant that change the system.
MEANS = ("git", "create", "patch", "restic", "velero", "s3", "deny", "allow", "lifecycle")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Replacement(_Strict):
    """A piece of a file, which must occur in it, and what stands there instead."""

    old: str = Field(min_length=1)
    new: str


# A merge patch (RFC 7386) of the document of the same kind and name, a new file as a whole, replacements, no file.
FileChange = dict[str, Any] | str | list[Replacement] | None


class ObjectPatch(_Strict):
    """A merge patch of an object that Flux does not manage, e.g. a node."""

    kind: str
    name: str
    namespace: str | None = None
    patch: dict[str, Any]


class Permission(_Strict):
    """What MinIO denies or allows to Velero's user, beyond the design's policy."""

    action: str = Field(pattern=r"^s3:\w+$")
    resource: str


class Mutant(_Strict):
    """One seeded fault, and what it means for the rows of the report; without *red* it must harm none."""

    id: str
    title: str
    # Where it happened to somebody, or what of the design it breaks.
    source: str = ""
    red: tuple[str, ...] = ()
    green: tuple[str, ...] = ()
    uploader: Literal["restic", "kopia"] | None = None
    # Files of the deployed repository, by path; Flux deploys them.
    git: dict[str, FileChange] = {}
    # Manifests.
    create: str = ""
    patch: tuple[ObjectPatch, ...] = ()
    # Shell scripts that node-agent and the suite start in place of restic and of velero.
    restic: str = ""
    velero: str = ""
    # Objects in the bucket, by key.
    s3: dict[str, str] = {}
    deny: tuple[Permission, ...] = ()
    allow: tuple[Permission, ...] = ()
    # Days after which a lifecycle rule of the bucket expires objects: so many that none of a run does.
    lifecycle: int | None = Field(default=None, ge=3650)

    @model_validator(mode="after")
    def _something(self) -> Mutant:
        if not self.red and not self.green:
            raise ValueError("it names no row")
        if both := set(self.red) & set(self.green):
            raise ValueError(f"{min(both)} cannot be both red and green")
        if not any(getattr(self, name) for name in MEANS):
            raise ValueError("it changes nothing")
        return self

    @property
    def rows(self) -> tuple[str, ...]:
        """Every row that it says something about."""
        return self.red + self.green

    @property
    def harmless(self) -> bool:
        """Whether every row must stay green."""
        return not self.red


def load_mutants(known: set[str], folder: Path = FOLDER) -> dict[str, Mutant]:
    """Every mutant by its id, which is the name of its file; *known* are the ids of all criteria.

    Raises Refusal with the file that is wrong, and why.
    """
    if not folder.is_dir():
        raise Refusal(f"there is no folder {folder}: mutants are part of the checkout, not of an installation")
    return {path.stem: _load(path, known) for path in sorted(folder.glob("*.yaml"))}


def _load(path: Path, known: set[str]) -> Mutant:
    try:
        content = yaml.safe_load(path.read_text())
        mutant = Mutant(id=path.stem, **content)
    except (yaml.YAMLError, TypeError) as error:
        raise Refusal(f"{path.name} is no mutant: {str(error).splitlines()[0]}") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise Refusal(f"{path.name} is no mutant: {place}{': ' if place else ''}{first['msg']}") from None
    if unknown := set(mutant.rows) - known:
        raise Refusal(f"{path.name} names {min(unknown)}, which is no criterion")
    return mutant
