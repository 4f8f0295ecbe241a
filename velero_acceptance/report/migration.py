"""Read reports of older schemas: before 2.0 some measurements had other names (CHANGELOG.md lists them)."""

import json
from pathlib import Path
from typing import Any

OLDER_VERSIONS = ("1.0", "1.1", "1.2", "2.0")
# Names of measurements by their names before schema 2.0.
RENAMED: dict[str, str] = json.loads(Path(__file__).with_name("renamed_measurements.json").read_text())


def upgrade(report: dict[str, Any], version: str) -> dict[str, Any]:
    """The content of a traceability.json of an older schema as it would be written today."""
    return {**_renamed(report), "schema_version": version}


def _renamed(node: Any) -> Any:
    if isinstance(node, list):
        return [_renamed(item) for item in node]
    if not isinstance(node, dict):
        return node
    found = {key: _renamed(value) for key, value in node.items()}
    if isinstance(name := found.get("name"), str) and "value" in found:  # a measurement or a threshold
        found["name"] = RENAMED.get(name, name)
    return found
