"""Objects judged by the custom resource definitions of the programs the lab has built.

Stands in for the API server where there is none: it knows types, required fields, enumerations
and patterns, and takes a field that is not defined for a fault, because the API server would
drop it. Rules in CEL are not evaluated.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import jsonschema
import yaml

from lab import registry
from lab.build import binaries, go_program
from velero_acceptance.drivers.kinds import Json

OPERATOR = "github.com/prometheus-operator/prometheus-operator@v0.85.0"
OPERATED = ("podmonitors", "probes", "prometheusrules", "servicemonitors")
KEEP, EITHER = "x-kubernetes-preserve-unknown-fields", "x-kubernetes-int-or-string"


class Definitions:
    """Custom resource definitions, by group and kind."""

    def __init__(self, items: Iterable[Json]) -> None:
        self._specs = {(item["spec"]["group"], item["spec"]["names"]["kind"]): item["spec"] for item in items}

    def defines(self, item: Json) -> bool:
        """Whether *item* is of a kind that is defined here, in whatever version."""
        return (item["apiVersion"].partition("/")[0], item["kind"]) in self._specs

    def problems(self, item: Json) -> list[str]:
        """Why the API server would not take *item* as it is; empty when it would."""
        group, _, version = item["apiVersion"].partition("/")
        versions = {v["name"]: v for v in self._specs[group, item["kind"]]["versions"] if v["served"]}
        if version not in versions:
            return [f"{item['apiVersion']} is not served, only {', '.join(versions)}"]
        schema = strict(versions[version]["schema"]["openAPIV3Schema"])
        errors = jsonschema.Draft202012Validator(schema).iter_errors(item)
        return [f"{error.json_path}: {error.message}" for error in errors]


def strict(schema: Json) -> Json:
    """A structural schema of Kubernetes as JSON Schema that refuses what is not defined."""
    found = {key: value for key, value in schema.items() if not key.startswith("x-kubernetes-")}
    if schema.get(EITHER):
        found.pop("type", None)
        found["anyOf"] = [{"type": "integer"}, {"type": "string"}]
    if schema.get("nullable"):
        found["type"] = [schema["type"], "null"]
    for name in ("items", "additionalProperties"):
        if isinstance(schema.get(name), dict):
            found[name] = strict(schema[name])
    if "properties" in schema:
        found["properties"] = {name: strict(value) for name, value in schema["properties"].items()}
        if not schema.get(KEEP):
            found.setdefault("additionalProperties", False)
    return found


@cache
def flux() -> Definitions:
    """The definitions of Flux, from the sources its controllers were built from."""
    folder = binaries()["source-controller"].parent
    return Definitions(yaml.safe_load(path.read_text()) for path in folder.glob("*.yaml"))


@cache
def velero() -> Definitions:
    """The definitions that the Velero that was built installs."""
    return Definitions(yaml.safe_load_all(registry.definitions_of(binaries()["velero"])))


@cache
def operator() -> Definitions:
    """The definitions of the Prometheus operator, from its module: nothing of it is built."""
    done = subprocess.run(
        [go_program(), "mod", "download", "-json", OPERATOR], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    folder = Path(json.loads(done.stdout)["Dir"]) / "example/prometheus-operator-crd"
    files = (folder / f"monitoring.coreos.com_{plural}.yaml" for plural in OPERATED)
    return Definitions(yaml.load(path.read_text(), _Text) for path in files)


class _Text(yaml.SafeLoader):
    """Takes a lone equals sign, to which YAML 1.1 gave a meaning, for text."""


_Text.add_constructor("tag:yaml.org,2002:value", lambda _, node: node.value)


def failure(program: str, *arguments: str | Path) -> str:
    """What a program that the lab has built says when it fails; empty when it does not."""
    done = subprocess.run([binaries()[program], *arguments], capture_output=True, text=True, timeout=60)
    return done.stdout + done.stderr if done.returncode else ""
