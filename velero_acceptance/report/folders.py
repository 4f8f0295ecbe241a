"""Report folders: one is opened or refused in one sentence, and the run before it is found."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pydantic

from velero_acceptance.core.errors import Refusal
from velero_acceptance.report.build import SCHEMA_VERSION, Report
from velero_acceptance.report.migration import OLDER_VERSIONS, upgrade

JSON = "traceability.json"
# How many folders are looked at for the run before this one, newest first.
LOOKED_AT = 50


def folder_of(run: str, reports: Path) -> Path:
    """The folder that *run* names: a path, or a name below *reports*; raises Refusal when there is none."""
    for folder in (Path(run), reports / run):
        if folder.is_dir():
            return folder.resolve()
    raise Refusal(f"there is no report folder {run}, here or below {reports}")


def read(folder: Path) -> Report:
    """The report in *folder*; raises Refusal when it is missing, malformed or of another schema version."""
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
    """The last run on the same target that started before this one, as far as its folder can be read."""
    earlier = (
        found
        for found in _reports(reports)
        if found.run.id != report.run.id
        and found.run.target == report.run.target
        and found.run.started < report.run.started
    )
    return max(earlier, key=lambda found: found.run.started, default=None)


def _reports(reports: Path) -> Iterator[Report]:
    """The newest readable reports, in no particular order."""
    found = [path for path in reports.glob(f"*/{JSON}") if not path.parent.is_symlink()]
    for path in sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)[:LOOKED_AT]:
        with suppress(Refusal):  # of another version, or cut short
            yield read(path.parent)
