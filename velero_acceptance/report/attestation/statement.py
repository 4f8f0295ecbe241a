"""Two signed in-toto statements about the files of a run, one line each in evidence.intoto.jsonl.

The first is in-toto's own test result. The second has the verdicts, and the digest of the statements of the run before
it: a chain in which no run can be altered or removed unnoticed.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict
from in_toto_attestation.predicates.test_result.v0.test_result_pb2 import TestResult
from in_toto_attestation.v1.resource_descriptor import ResourceDescriptor
from in_toto_attestation.v1.statement import Statement
from securesystemslib.dsse import Envelope
from securesystemslib.signer import CryptoSigner

from velero_acceptance.core.files import write_whole
from velero_acceptance.evidence.verdicts import NOT_GREEN, Verdict
from velero_acceptance.report.build import Report

FILE = "evidence.intoto.jsonl"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"
VERDICTS = "https://velero-acceptance.io/verdicts/v1"
# The evidence. The pages (.md, .html, .prom) can be made from it again; logs may still grow.
SIGNED = ("traceability.json", "junit.xml")
SIGNED_FOLDERS = ("evidence", "records")
WARNED = (Verdict.EXTRAPOLATED, Verdict.WAIVED)


def sign(report: Report, folder: Path, signer: CryptoSigner) -> None:
    """Sign the files in *folder* and chain them to the run before, in FILE."""
    subjects = [ResourceDescriptor(name=name, digest={"sha256": digest}).pb for name, digest in digests(folder).items()]
    statements = (
        Statement(subjects, TEST_RESULT, _test_result(report)),
        Statement(subjects, VERDICTS, _verdicts(report, previous(folder))),
    )
    write_whole(folder / FILE, "".join(_envelope(statement, signer) for statement in statements))


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file that is signed, by its path in *folder*."""
    files = [folder / name for name in SIGNED if (folder / name).is_file()]
    for below in SIGNED_FOLDERS:
        files += sorted(path for path in (folder / below).rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): digest(path) for path in files}


def digest(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def runs_beside(folder: Path) -> list[Path]:
    """The statements of every run in the same folder of reports; ``latest`` is only another name of one."""
    return [path for path in folder.parent.glob(f"*/{FILE}") if not path.parent.is_symlink()]


def previous(folder: Path) -> Path | None:
    """The newest statements of another run in the same folder of reports."""
    others = [path for path in runs_beside(folder) if path.parent.resolve() != folder.resolve()]
    return max(others, key=lambda path: path.stat().st_mtime_ns, default=None)


def _envelope(statement: Statement, signer: CryptoSigner) -> str:
    """A line of the file: the statement in a signed DSSE envelope."""
    statement.validate()
    payload = json.dumps(MessageToDict(statement.pb), sort_keys=True, separators=(",", ":")).encode()
    envelope = Envelope(payload, PAYLOAD_TYPE, {})
    envelope.sign(signer)
    return json.dumps(envelope.to_dict(), separators=(",", ":")) + "\n"


def _test_result(report: Report) -> dict[str, Any]:
    """in-toto's predicate; its tests are the criteria."""
    by = {verdict: [row.id for row in report.criteria if row.verdict is verdict] for verdict in Verdict}
    warned = [name for verdict in WARNED for name in by[verdict]]
    failed = [name for verdict in NOT_GREEN for name in by[verdict]]
    green = report.run.exit_status == 0 and not failed
    return MessageToDict(
        TestResult(
            result="FAILED" if not green else "WARNED" if warned else "PASSED",
            configuration=_configuration(report),
            passed_tests=by[Verdict.VERIFIED],
            warned_tests=warned,
            failed_tests=failed,
        )
    )


def _configuration(report: Report) -> list[Any]:
    where = ResourceDescriptor(name=f"target {report.run.target}, profile {report.run.profile}")
    commit, _, changed = report.run.commit.partition("+")
    if not commit:
        return [where.pb]
    if "." in commit:  # a release
        return [where.pb, ResourceDescriptor(name=f"velero-acceptance {commit}").pb]
    suite = ResourceDescriptor(name="velero-acceptance", digest={"gitCommit": commit})
    if changed:
        suite.pb.annotations.update({"uncommittedChanges": True})
    return [where.pb, suite.pb]


def _verdicts(report: Report, before: Path | None) -> dict[str, Any]:
    run = report.run
    chained = {"run": before.parent.name, "sha256": digest(before)} if before else None
    return {
        "run": {
            "id": run.id,
            "started": run.started,
            "seconds": run.seconds,
            "target": run.target,
            "profile": run.profile,
            "exitStatus": run.exit_status,
            "interrupted": run.interrupted,
        },
        "schemaVersion": report.schema_version,
        "verdicts": {
            row.id: {
                "verdict": row.verdict.value,
                "faultsSeeded": row.negative_proof.seeded,
                "faultsCaught": row.negative_proof.killed,
            }
            for row in report.criteria
        },
        "leftBehind": len(report.summary.leaks),
        "previous": chained,
    }
