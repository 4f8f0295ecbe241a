"""The tree that Flux deploys from, as it is once the secrets are encrypted, and what it renders to."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from lab.gitops import APP, SOURCE
from velero_acceptance.drivers import kustomize
from velero_acceptance.drivers.kinds import Json

OVERLAYS = sorted(path.parent.name for path in (SOURCE / "overlays").glob("*/kustomization.yaml"))
VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)(?::=([^}]*))?\}")
# What a cluster must set, because it has no default.
REQUIRED = {"S3_URL": "https://s3.example.org"}


def copy(target: Path) -> Path:
    """``gitops/`` in *target*, with a stand-in for each secret that only exists once it is encrypted."""
    shutil.copytree(SOURCE, target, dirs_exist_ok=True)
    for example in (target / APP).glob("*.example.yaml"):
        secret = yaml.safe_load(example.read_text())
        secret["stringData"] = dict.fromkeys(secret["stringData"], "ENC[AES256_GCM,data:,type:str]")
        name = example.name.replace(".example.", ".sops.")
        example.with_name(name).write_text(yaml.safe_dump(secret))
    return target


def build(folder: Path) -> list[Json]:
    """What a folder renders to; fails when it does not render."""
    built = kustomize.build(folder)
    assert built.error == ""
    return built.items


def rendered(folder: Path) -> dict[str, Json]:
    """What a folder renders to beside Secrets, by kind; fails when there are two of one kind."""
    others = [item for item in build(folder) if item["kind"] != "Secret"]
    assert len({item["kind"] for item in others}) == len(others)
    return {item["kind"]: item for item in others}


def variables(item: Json) -> dict[str, str | None]:
    """Variables of Flux in an object, with their defaults; None where there is none."""
    return {match[1]: match[2] for match in VARIABLE.finditer(_text(item))}


def substituted(item: Json, settings: Mapping[str, str]) -> Any:
    """The object as Flux applies it: variables from *settings*, else their defaults."""
    return yaml.safe_load(VARIABLE.sub(lambda match: settings.get(match[1], match[2] or ""), _text(item)))


def _text(item: Json) -> str:
    # A line broken inside a variable would hide it.
    return yaml.safe_dump(item, width=1_000_000)
