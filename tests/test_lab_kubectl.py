"""The lab's kubectl: what an overloaded API server says is tried again, what is wrong is not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lab.kubectl import Kubectl
from lab.settings import LabSettings
from velero_acceptance.core.errors import AcceptanceError
from velero_acceptance.core.waiting import WaitTimedOut


@pytest.fixture
def kubectl(settings: LabSettings, tmp_path: Path) -> Kubectl:
    """A kubectl that fails with the words in ``says`` as often as ``times`` holds lines, and then succeeds."""
    program = tmp_path / "kubectl"
    program.write_text(
        f'#!/bin/sh\ncd {tmp_path}\necho call >> calls\nif [ "$(wc -l < calls)" -le "$(cat times)" ]; then\n'
        '  cat says >&2; exit 1\nfi\necho \'{"kind": "Thing"}\'\n'
    )
    program.chmod(0o755)
    found = Kubectl(settings)
    found._command = [str(program)]
    return found


def failing(folder: Path, times: int, words: str) -> None:
    (folder / "times").write_text(str(times))
    (folder / "says").write_text(words)


@pytest.mark.parametrize(
    "words",
    [
        "Error from server (Timeout): request did not complete within requested timeout - context deadline exceeded",
        "Error from server: etcdserver: request timed out",
        "The connection to the server 127.0.0.1:16443 was refused - connection refused",
        "Error from server (TooManyRequests): Too many requests, please try again later",
        'Internal error occurred: failed calling webhook "x": no endpoints available for service "y"',
        "Error from server (ServiceUnavailable): the server is currently unable to handle the request",
    ],
)
def test_a_transient_error_is_retried(
    kubectl: Kubectl, tmp_path: Path, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _: None)
    failing(tmp_path, 2, words)
    kubectl.apply("kind: Thing")
    assert (tmp_path / "calls").read_text().count("call") == 3


def test_get_survives_it_too(kubectl: Kubectl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _: None)
    failing(tmp_path, 1, "net/http: TLS handshake timeout")
    assert kubectl.get("thing") == json.loads('{"kind": "Thing"}')


@pytest.mark.parametrize("words", ["error: the object is invalid", "Error from server (Forbidden): not yours"])
def test_a_lasting_error_ends_at_once(kubectl: Kubectl, tmp_path: Path, words: str) -> None:
    failing(tmp_path, 9, words)
    with pytest.raises(AcceptanceError, match=r"kubectl apply: "):
        kubectl.apply("kind: Thing")
    assert (tmp_path / "calls").read_text().count("call") == 1


def test_what_is_absent_is_none(kubectl: Kubectl, tmp_path: Path) -> None:
    failing(tmp_path, 9, 'Error from server (NotFound): things "x" not found')
    assert kubectl.get("thing", "x") is None


def test_the_deadline_is_the_tables(kubectl: Kubectl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCEPTANCE_TIMEOUTS", '{"lab_api_answers": 0.2}')
    failing(tmp_path, 9, "connection refused")
    with pytest.raises(WaitTimedOut, match=r"the API server answers kubectl apply: .*connection refused"):
        kubectl.apply("kind: Thing")


def test_a_program_that_hangs_is_ended_and_called_again(
    kubectl: Kubectl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = Path(kubectl._command[0])
    program.write_text(program.read_text().replace("cat says >&2; exit 1", "exec sleep 60"))
    failing(tmp_path, 1, "")
    monkeypatch.setenv("ACCEPTANCE_TIMEOUTS", '{"lab_kubectl_call": 0.5}')
    kubectl.apply("kind: Thing")
    assert (tmp_path / "calls").read_text().count("call") == 2
