"""CLI-*: what is wrong with the output of a command; each check returns sentences, none when nothing is.

An exit code of 0 is not enough: `velero backup describe` returns it even if it could not read S3.
Source of the formats: velero, pkg/cmd/cli and pkg/cmd/util/output; kubectl, pkg/cmd/apply.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from velero_acceptance.drivers.command_line import CommandResult
from velero_acceptance.drivers.kinds import Json, name_of, phase_of, time_of

# How velero (1.16 and 1.18), kubectl and the API server begin an error.
ERROR = re.compile(r"^(An error occurred:|velero:|Error from server|error:|Error:)", re.M)
# What describe prints in place of what it could not read.
PLACEHOLDER = re.compile(r"<error [^\n]*|<[a-z ]* not found>")
COLUMNS = re.compile(r"\s{2,}")
FIELD = re.compile(r"( *)([A-Za-z][^:=]*):(?:\s+(.*))?")
KIND = re.compile(r"  ([^\s:]+):")
ITEM = re.compile(r"    - (\S+)")
FORBIDDEN = "forbidden"
# What describe calls the times of a Backup.
TIMES = {"Started": "startTimestamp", "Completed": "completionTimestamp", "Expiration": "expiration"}


def created(called: CommandResult, kind: str, name: str) -> list[str]:
    """Problems of ``velero backup create`` and ``velero restore create``; *kind* is Backup or Restore."""
    return [*_failure(called), *_unsaid(called, f'{kind} request "{name}" submitted successfully.')]


def deleted(called: CommandResult, name: str) -> list[str]:
    return [*_failure(called), *_unsaid(called, f'Request to delete backup "{name}" submitted successfully.')]


def applied(called: CommandResult, name: str) -> list[str]:
    """Problems of ``kubectl apply`` of a new Schedule."""
    return [*_failure(called), *_unsaid(called, f"schedule.velero.io/{name} created")]


def listed(called: CommandResult, backups: Iterable[Json], stored: Collection[str]) -> list[str]:
    """Problems of ``velero backup get``: missing or wrong rows of *backups*, and names in S3 without a row."""
    rows, found = table(called.stdout), list(_failure(called))
    for backup in backups:
        name, status = name_of(backup), backup.get("status") or {}
        expected = {
            "STATUS": phase_of(backup) or "New",
            "ERRORS": str(status.get("errors", 0)),
            "WARNINGS": str(status.get("warnings", 0)),
            "STORAGE LOCATION": str(backup["spec"].get("storageLocation", "")),
        }
        if name not in rows:
            found.append(f"{name} is not in the list")
            continue
        found += [f"{name}: {problem}" for problem in _unequal(rows[name], expected)]
    return found + [f"{name} is in S3 and not in the list" for name in sorted(set(stored) - rows.keys())]


def described(
    called: CommandResult,
    backup: Json,
    *,
    volumes: Sequence[Json],
    results: Mapping[str, Any],
    resources: Mapping[str, Sequence[str]],
) -> list[str]:
    """Problems of ``velero backup describe --details`` against the Backup, its volumes and its files in S3.

    *results* are its errors and warnings (``<backup>-results.gz``), *resources* its items
    (``<backup>-resource-list.json.gz``).
    """
    shown, text = fields(called.stdout), _plain(called.stdout)
    spec, status = backup["spec"], backup.get("status") or {}
    progress = status.get("progress") or {}
    expected = {
        "Name": name_of(backup),
        "Phase": phase_of(backup),
        "Namespaces/Included": ", ".join(spec.get("includedNamespaces") or ["*"]),
        "Storage Location": spec.get("storageLocation", ""),
        "TTL": spec.get("ttl", ""),
        "Total items to be backed up": str(progress.get("totalItems", 0)),
        "Items backed up": str(progress.get("itemsBackedUp", 0)),
    }
    found = [*_failure(called), *(f"it says {line}" for line in PLACEHOLDER.findall(called.stdout))]
    found += _unequal(shown, expected)
    for word, field in TIMES.items():
        if (written := status.get(field)) and moment(shown.get(word, "")) != time_of(written):
            found.append(f"{word} is {shown.get(word)!r}, not {written}")
    for word in ("Errors", "Warnings"):
        there = shown.get(word) not in (None, "0")
        if there != bool(status.get(word.lower())):
            found.append(f"{word} are {'shown' if there else 'not shown'}; there are {status.get(word.lower(), 0)}")
    found += [f"a message is not shown: {line[:200]}" for line in _messages(results) if _plain(line) not in text]
    found += [f"the volume {line} is not shown" for line in _volumes(volumes) if line not in text]
    stored = {(kind, name) for kind, names in resources.items() for name in names}
    missing = sorted(stored - set(items(called.stdout)))
    return found + [f"{kind} {name} is not in the list of resources" for kind, name in missing]


def logged(called: CommandResult, stored: str, backup: str, namespace: str) -> list[str]:
    """Problems of ``velero backup logs`` against the log in S3."""
    found, lines = list(_failure(called)), called.stdout.splitlines()
    if not any(f"backup={namespace}/{backup}" in line for line in lines):
        found.append(f"no line is of {namespace}/{backup}")
    if called.stdout != stored:
        found.append(f"the {len(lines)} lines shown are not the {len(stored.splitlines())} lines in S3")
    return found


def unclear(called: CommandResult, reason: str) -> list[str]:
    """Problems of how a command fails: it must exit with a code and print one error, with *reason* in it."""
    errors = len(ERROR.findall(called.stderr))
    found = [] if called.code != 0 else ["exit code 0"]
    if errors != 1:
        found.append(f"{errors} errors on standard error, not one")
    if reason not in called.stderr:
        found.append(f"it does not say {reason!r}")
    if "goroutine " in called.stderr:
        found.append("it shows a stack trace")
    if called.stdout.strip():
        found.append("it prints a result in addition to its error")
    return found


def refused(called: CommandResult) -> bool:
    """Whether the API server refused the account's request."""
    return called.code != 0 and FORBIDDEN in called.stderr


def table(text: str) -> dict[str, dict[str, str]]:
    """The rows of a table of `velero … get` by name, each by column; empty when there is no header."""
    lines = text.splitlines()
    header = COLUMNS.split(lines[0].strip()) if lines else []
    if "NAME" not in header:
        return {}
    rows = (dict(zip(header, COLUMNS.split(line.strip()), strict=False)) for line in lines[1:] if line.strip())
    return {row["NAME"]: row for row in rows}


def moment(text: str) -> datetime | None:
    """A time as Go prints it, ``2026-11-24 03:23:59 +0000 UTC``; None for anything else."""
    try:
        return datetime.strptime(" ".join(text.split()[:3]), "%Y-%m-%d %H:%M:%S %z")
    except ValueError:
        return None


def fields(text: str) -> dict[str, str]:
    """The fields of a `velero … describe` by path, ``Namespaces/Included``; the first of each."""
    found: dict[str, str] = {}
    path: list[str] = []
    for line in text.splitlines():
        if match := FIELD.fullmatch(line):
            path = [*path[: len(match[1]) // 2], match[2]]
            found.setdefault("/".join(path), (match[3] or "").strip())
    return found


def items(text: str) -> Iterator[tuple[str, str]]:
    """The kind and the name of every item in the resource list of a `velero … describe --details`."""
    kind = ""
    for line in text.splitlines():
        if match := KIND.fullmatch(line):
            kind = match[1]
        elif match := ITEM.fullmatch(line):
            yield kind, match[1]


def _failure(called: CommandResult) -> Iterator[str]:
    if called.code != 0:
        yield f"exit code {called.code}"
    yield from (f"it complains: {line}" for line in called.stderr.splitlines() if "error" in line.lower())


def _unsaid(called: CommandResult, sentence: str) -> list[str]:
    return [] if sentence in called.stdout.splitlines() else [f"it does not say: {sentence}"]


def _unequal(shown: Mapping[str, str], expected: Mapping[str, str]) -> list[str]:
    return [f"{key} is {shown.get(key)!r}, not {value!r}" for key, value in expected.items() if shown.get(key) != value]


def _messages(results: Mapping[str, Any]) -> Iterator[str]:
    """Every error and warning in the results of a backup."""
    for result in results.values():
        yield from result.get("velero") or []
        yield from result.get("cluster") or []
        for messages in (result.get("namespaces") or {}).values():
            yield from messages


def _volumes(volumes: Sequence[Json]) -> Iterator[str]:
    """The volumes as describe shows them, those of one pod in one line."""
    pods: dict[str, list[str]] = {}
    for volume in volumes:
        pod = volume["spec"]["pod"]
        pods.setdefault(f"{pod['namespace']}/{pod['name']}", []).append(volume["spec"]["volume"])
    yield from (f"{pod}: {', '.join(sorted(names))}" for pod, names in pods.items())


def _plain(text: str) -> str:
    """Text without line breaks and indentation: describe indents the lines of a message."""
    return " ".join(text.split())
