"""Whether a report folder is as signed: signatures, the digest of every file, the chain to earlier runs."""

import json
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import FormatError, VerificationError
from securesystemslib.signer import SSlibKey

from velero_acceptance.core.errors import Refusal
from velero_acceptance.report.attestation.statement import (
    FILE,
    PAYLOAD_TYPE,
    SIGNED,
    SIGNED_FOLDERS,
    TEST_RESULT,
    VERDICTS,
    digest,
    digests,
    runs_beside,
)


class AlteredEvidence(Exception):
    """Something is not as signed; the message says what."""


@dataclass
class Findings:
    """Which run it is, the number of verified files and of runs in the chain, and what is wrong with them."""

    run: str = ""
    files: int = 0
    runs: int = 0
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def verify(folder: Path, key: SSlibKey) -> Findings:
    """Verify *folder*; raises Refusal when it was never signed."""
    found = Findings()
    if not (folder / FILE).is_file():
        raise Refusal(f"{folder} is not signed: it holds no {FILE}")
    try:
        statements = _statements(folder, key)
    except AlteredEvidence as altered:
        found.problems.append(str(altered))
        return found
    # Both statements are about the same files; a file must be right for each.
    found.problems += dict.fromkeys(problem for statement in statements for problem in _files(folder, statement))
    found.files = len(statements[0]["subject"])
    found.problems += _links(folder)
    run = statements[1]["predicate"]["run"]
    found.run = _described(run, str(statements[0]["predicate"]["result"]))
    if run["id"] != folder.name:
        found.problems.append(f"the folder {folder.name} holds the run {run['id']}: it was renamed, or is a copy")
    _chain(folder, statements, key, found)
    return found


def _statements(folder: Path, key: SSlibKey) -> list[Any]:
    """Both statements of a run, their signatures verified; raises AlteredEvidence."""
    try:
        lines = (folder / FILE).read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise AlteredEvidence(f"{folder.name}: {FILE} cannot be read: {error}") from None
    found = [_statement(f"{folder.name}: statement {number}", line, key) for number, line in enumerate(lines, 1)]
    if [statement.get("predicateType") for statement in found] != [TEST_RESULT, VERDICTS]:
        raise AlteredEvidence(f"{folder.name}: {FILE} does not hold exactly the two statements of a run")
    return found


def _statement(what: str, line: str, key: SSlibKey) -> Any:
    try:
        envelope = Envelope.from_dict(json.loads(line))
    except (ValueError, KeyError, TypeError, FormatError):
        raise AlteredEvidence(f"{what} is not a DSSE envelope") from None
    try:
        envelope.verify([key], 1)
    except VerificationError:
        raise AlteredEvidence(f"{what} was altered, or was signed with another key than the one given") from None
    if envelope.payload_type != PAYLOAD_TYPE:
        raise AlteredEvidence(f"{what} is not an in-toto statement")
    return json.loads(envelope.payload)


def _described(run: Any, result: str) -> str:
    """A run as its signer described it: id, start, length, target, profile, result."""
    how = "interrupted" if run["interrupted"] else result
    started = f"started {run['started']}, {run['seconds']:.0f} s"
    return f"run {run['id']}: {how}, target {run['target']}, profile {run['profile']}, {started}"


def _links(folder: Path) -> list[str]:
    """Links among the evidence: a link has no digest, and what it leads to can change."""
    places = (folder / name for name in (*SIGNED, *SIGNED_FOLDERS))
    paths = (path for place in places for path in (place, *sorted(place.rglob("*"))))
    return [f"{path.relative_to(folder)} is a link, and no part of the evidence" for path in paths if path.is_symlink()]


def _files(folder: Path, statement: Any) -> list[str]:
    """Signed files that are missing or altered, and files that were added."""
    signed = {subject["name"]: subject["digest"]["sha256"] for subject in statement["subject"]}
    there = digests(folder)
    problems = [f"{name} is not among the signed files" for name in SIGNED[:1] if name not in signed]
    for name, expected in signed.items():
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            problems.append(f"{name} is not a path in a report folder")
        elif not (folder / path).is_file():
            problems.append(f"{name} is missing")
        elif there.get(name, "") != expected and digest(folder / path) != expected:
            problems.append(f"{name} was altered after it was signed")
    return problems + [f"{name} was added after the run was signed" for name in there if name not in signed]


def _chain(folder: Path, statements: list[Any], key: SSlibKey, found: Findings) -> None:
    """Follow the chain of earlier runs as far as their folders exist."""
    found.runs = 1
    while before := statements[1]["predicate"].get("previous"):
        beside = runs_beside(folder)
        path = next((path for path in beside if digest(path) == before["sha256"]), None)
        if path is None and before["run"] in {path.parent.name for path in beside}:
            found.problems.append(f"the statements of {before['run']} are not those that {folder.name} was chained to")
            return
        if path is None:
            found.notes.append(f"{before['run']}, the run before {folder.name}, is not here: the chain ends there")
            return
        folder = path.parent
        try:
            statements = _statements(folder, key)
        except AlteredEvidence:  # not altered, since its digest is right
            found.notes.append(f"{folder.name} was signed with another key: the chain ends there")
            return
        found.runs += 1
