"""Report folders: reading one, also of an older schema, and finding the run before it."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pydantic

from velero_acceptance.core.errors import Refusal
from velero_acceptance.report.build import SCHEMA_VERSION, Report

JSON = "traceability.json"
# How many folders, the newest, are searched for the run before this one.
NEWEST = 50
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


def folder_of(run: str, reports: Path) -> Path:
    """The folder *run*: a path, or a name below *reports*; raises Refusal when there is none."""
    for folder in (Path(run), reports / run):
        if folder.is_dir():
            return folder.resolve()
    raise Refusal(f"there is no report folder {run}, here or below {reports}")


def read(folder: Path) -> Report:
    """The report in *folder*; raises Refusal when it is missing, malformed or of an unknown schema version."""
    path = folder / JSON
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        raise Refusal(f"{folder} holds no {JSON}: it is no report, or its run was killed before it had one") from None
    except OSError as error:
        raise Refusal(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise Refusal(f"{path} is not JSON: {error}") from None
    version = str(content.get("schema_version")) if isinstance(content, dict) else "none"
    if version not in (*OLDER_VERSIONS, SCHEMA_VERSION):
        raise Refusal(f"{path} has schema version {version}; this suite reads 1.0 to {SCHEMA_VERSION}")
    if version in OLDER_VERSIONS:
        content = upgrade(content, SCHEMA_VERSION)
    try:
        return Report.model_validate(content)
    except pydantic.ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise Refusal(f"{path} is malformed at {where}: {problem['msg']}") from None


def previous(report: Report, reports: Path) -> Report | None:
    """The last readable run on the same target that started before this one."""
    earlier = []
    paths = [path for path in reports.glob(f"*/{JSON}") if not path.parent.is_symlink()]
    for path in sorted(paths, key=lambda path: path.stat().st_mtime, reverse=True)[:NEWEST]:
        with suppress(Refusal):  # of an unknown version, or cut short
            run = (found := read(path.parent)).run
            if run.id != report.run.id and run.target == report.run.target and run.started < report.run.started:
                earlier.append(found)
    return max(earlier, key=lambda found: found.run.started, default=None)
