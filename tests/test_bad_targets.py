"""A target that is none, is another, or is out of order: one true sentence and the documented exit code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.bad_servers import Answer, answering, certificate
from velero_acceptance.cli.main import main
from velero_acceptance.core.waiting import poll
from velero_acceptance.drivers.kinds import Json

ROOT = Path(__file__).parents[1]
OTHER = b"<html><body>Welcome to nginx!</body></html>"


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str


Command = Callable[..., Ended]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """The command `acceptance` on the cluster of a kubeconfig."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ACCEPTANCE_TARGET", "current")
    monkeypatch.setenv("ACCEPTANCE_TIMEOUTS", '{"api_call": 2, "s3_call": 2}')
    monkeypatch.setenv("ACCEPTANCE_CURRENT__ALLOWED_CONTEXTS", '["x"]')

    def call(*arguments: str, kubeconfig: Any = None, **environment: str) -> Ended:
        path = tmp_path / "kubeconfig"
        if kubeconfig is not None:
            path.write_bytes(kubeconfig if isinstance(kubeconfig, bytes) else yaml.safe_dump(kubeconfig).encode())
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("ACCEPTANCE_CURRENT__KUBECONFIG", str(path))
        monkeypatch.setattr("sys.argv", ["acceptance", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return Ended(int(ended.value.code or 0), said.out, said.err)

    return call


def kubeconfig_of(server: Any, cluster: Json | None = None, user: Json | None = None) -> Json:
    return {
        "clusters": [{"name": "c", "cluster": {"server": server, **(cluster or {})}}],
        "users": [{"name": "u", "user": user or {}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }


def is_one_sentence(ended: Ended, says: str, code: int = 2) -> None:
    assert ended.code == code, ended
    assert ended.err.startswith("acceptance: ") and says in ended.err, ended.err
    assert len(ended.err.strip().splitlines()) == 1 and len(ended.err) < 500, ended.err


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (Answer(200, OTHER), "is no API server"),
        (Answer(302, b"", "/login"), "302"),
        (Answer(302, b"", "/"), "302"),
        (Answer(200, b""), "is no API server"),
        (Answer(200, b"[1]"), "is no API server"),
        (Answer(200, b"{}"), "is no API server"),
        (Answer(200, b'{"gitVersion": "v1', cut=True), "cannot be reached: the answer breaks off"),
        (Answer(200, b"\xff\xfe\x00"), "is no API server"),
        (Answer(500, OTHER), "500"),
        (Answer(401, OTHER), "401"),
    ],
)
def test_a_server_that_is_no_api_server(command: Command, answer: Answer, says: str) -> None:
    with answering(answer) as address:
        is_one_sentence(command("doctor", kubeconfig=kubeconfig_of(address)), says)


@pytest.mark.parametrize(
    ("name", "days", "known", "says"),
    [
        ("127.0.0.1", 1, False, "cannot be reached: certificate verify failed: self-signed certificate"),
        ("127.0.0.1", -1, True, "cannot be reached: certificate verify failed: certificate has expired"),
        ("other.example", 1, True, "cannot be reached: certificate verify failed: IP address mismatch"),
    ],
)
def test_an_api_server_with_another_certificate(
    command: Command, tmp_path: Path, name: str, days: int, known: bool, says: str
) -> None:
    made = certificate(tmp_path / "tls.pem", name=name, days=days)
    authority = {"certificate-authority": str(made)} if known else {}
    with answering(Answer(), made) as address:
        is_one_sentence(command("doctor", kubeconfig=kubeconfig_of(address, authority)), says)


def test_tls_to_a_port_without_it(command: Command) -> None:
    with answering(Answer()) as address:
        asked = kubeconfig_of(address.replace("http:", "https:"))
        is_one_sentence(command("doctor", kubeconfig=asked), "cannot be reached: wrong version number")


SERVER = "https://127.0.0.1:1"


@pytest.mark.parametrize(
    ("kubeconfig", "says"),
    [
        ([1, 2], "is no kubeconfig"),
        ("word", "is no kubeconfig"),
        (b"\x7fELF\xff\xfe\x00\x01", "is not UTF-8 text"),
        (b"a: 1\na: 2", "kubeconfig"),
        (kubeconfig_of(5), "its server is not an address"),
        (kubeconfig_of(None), "its server is not an address"),
        (kubeconfig_of("nonsense"), "its server is not an address"),
        (kubeconfig_of("ftp://127.0.0.1"), "its server is not an address"),
        (kubeconfig_of("https://127.0.0.1:port"), "its server is not an address"),
        (kubeconfig_of(SERVER, {"proxy-url": "nonsense"}), "proxy"),
        (kubeconfig_of(SERVER, {"proxy-url": 7}), "proxy"),
        (kubeconfig_of(SERVER, {"certificate-authority": "/nonexistent"}), "/nonexistent"),
        (kubeconfig_of(SERVER, {"certificate-authority": "/etc/hostname"}), "/etc/hostname"),
        (kubeconfig_of(SERVER, {"certificate-authority-data": "%%%"}), "kubeconfig"),
        (kubeconfig_of(SERVER, {}, {"tokenFile": "/nonexistent"}), "/nonexistent"),
        (
            kubeconfig_of(SERVER, {}, {"client-certificate": "/nonexistent"}),
            "/nonexistent",
        ),
        (kubeconfig_of(SERVER, {}, {"exec": {"command": "/nonexistent", "apiVersion": "v1"}}), "/nonexistent"),
        (kubeconfig_of(SERVER, {}, {"exec": {"command": "false", "apiVersion": "v1"}}), "gave no credentials"),
        (kubeconfig_of(SERVER, {}, {"exec": "sh"}), "has no command and apiVersion"),
        ({**kubeconfig_of(SERVER), "contexts": None}, "context"),
        ({**kubeconfig_of(SERVER), "contexts": "x"}, "context"),
        ({**kubeconfig_of(SERVER), "clusters": [{"name": "other"}]}, "cluster"),
        ({**kubeconfig_of(SERVER), "users": []}, "user"),
        ({**kubeconfig_of(SERVER), "contexts": [{"name": "x"}]}, "context"),
        ({**kubeconfig_of(SERVER), "current-context": ["x"]}, "context"),
    ],
)
def test_a_kubeconfig_that_is_none(command: Command, kubeconfig: Any, says: str) -> None:
    is_one_sentence(command("doctor", kubeconfig=kubeconfig), says)


def test_a_program_for_credentials_that_never_ends(command: Command) -> None:
    program = {"command": "sleep", "args": ["60"], "apiVersion": "client.authentication.k8s.io/v1"}
    ended = command("doctor", kubeconfig=kubeconfig_of(SERVER, {}, {"exec": program}))
    is_one_sentence(ended, "gave no credentials: it did not end in time")


@pytest.mark.parametrize("arguments", [("sweep",), ("unlock",), ("capacity",), ("reliability",)])
def test_every_command_refuses_a_cluster_that_is_not_there(command: Command, arguments: tuple[str, ...]) -> None:
    with answering(Answer(404)) as s3:
        environment = {**S3, "ACCEPTANCE_CURRENT__S3_ENDPOINT": s3}
        ended = command(*arguments, kubeconfig=kubeconfig_of(SERVER), **environment)
    assert ended.code == 2 and len(ended.err.splitlines()) == 1, ended


S3 = {"ACCEPTANCE_CURRENT__S3_ACCESS_KEY": "nobody", "ACCEPTANCE_CURRENT__S3_SECRET_KEY": "nothing"}


def capacity(command: Command, endpoint: str, **environment: str) -> Ended:
    known = {**S3, "ACCEPTANCE_CURRENT__S3_ENDPOINT": endpoint, **environment}
    return command("capacity", kubeconfig=kubeconfig_of(SERVER), **known)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (Answer(302, b"", "/"), "302"),
        (Answer(302, b"", "https://127.0.0.1:1/"), "302"),
        (Answer(301, b"", "/velero-backups"), "301"),
        (Answer(307, b"", "/velero-backups"), "307"),
        (Answer(500), "is out of order (500"),
        (Answer(503, OTHER), "is out of order (503"),
        (Answer(403), "check access and secret key"),
        (Answer(404), "the bucket velero-backups does not exist"),
        (Answer(400), "400"),
        (Answer(200, OTHER), "S3"),
    ],
)
def test_an_s3_that_is_none(command: Command, answer: Answer, says: str) -> None:
    with answering(answer) as address:
        is_one_sentence(capacity(command, address), says, 1 if answer.status == 200 else 2)


@pytest.mark.parametrize(
    ("endpoint", "says"),
    [
        ("s3.example.org", "current.s3_endpoint: this is not an address such as https://s3.example.org"),
        ("s3://bucket", "current.s3_endpoint: this is not an address"),
        ("https://127.0.0.1:port", "current.s3_endpoint: this is not an address"),
        ("https://", "current.s3_endpoint: this is not an address"),
        ("http://127.0.0.1:1", "S3 at http://127.0.0.1:1 cannot be reached: Connection refused"),
    ],
)
def test_an_endpoint_that_is_none(command: Command, endpoint: str, says: str) -> None:
    is_one_sentence(capacity(command, endpoint), says)


@pytest.mark.parametrize("authority", ["/nonexistent", "/etc/hostname", "/etc"])
def test_an_authority_of_s3_that_is_none(command: Command, authority: str) -> None:
    ended = capacity(command, "https://127.0.0.1:1", ACCEPTANCE_CURRENT__S3_AUTHORITY=authority)
    is_one_sentence(ended, f"the authority {authority}")


def test_an_s3_with_another_certificate(command: Command, tmp_path: Path) -> None:
    with answering(Answer(), certificate(tmp_path / "tls.pem")) as address:
        says = "cannot be reached: certificate verify failed: self-signed certificate"
        is_one_sentence(capacity(command, address), says)
        is_one_sentence(capacity(command, address.replace("https", "http")), "S3")


def test_a_server_that_drips_is_bounded(command: Command) -> None:
    with answering(Answer(200, b" " * 100, drips=0.3)) as address:
        ended = command("doctor", kubeconfig=kubeconfig_of(address), ACCEPTANCE_TIMEOUTS='{"api_call": 0.6}')
    is_one_sentence(ended, "does not answer within")


@pytest.mark.parametrize("token", ["opaque-pl4nted-token", "eyJhbGciOiJub25l.eyJpc3MiOiJr.c2lnbmF0dXJl"])
def test_a_server_that_quotes_the_token_does_not_show_it(command: Command, token: str) -> None:
    with answering(Answer(403, b'{"message": "no: Bearer %s"}' % token.encode())) as address:
        ended = command("doctor", kubeconfig=kubeconfig_of(address, {}, {"token": token}))
    is_one_sentence(ended, "[redacted]")
    assert token not in ended.err


def test_a_password_in_an_address_is_not_shown(command: Command) -> None:
    ended = capacity(command, "http://me:pl4nted-password@127.0.0.1:1")
    is_one_sentence(ended, "cannot be reached")
    assert "pl4nted-password" not in ended.err
    ended = command("doctor", kubeconfig=kubeconfig_of("http://me:pl4nted-password@127.0.0.1:1"))
    assert ended.code == 2 and "pl4nted-password" not in ended.err


@pytest.mark.parametrize(
    ("answer", "says"),
    [(Answer(200, OTHER), "is no API server"), (None, "certificate verify failed: self-signed certificate")],
)
def test_a_run_refuses_them_too(tmp_path: Path, answer: Answer | None, says: str) -> None:
    made = None if answer else certificate(tmp_path / "tls.pem")
    with answering(answer or Answer(), made) as address:
        (tmp_path / "kubeconfig").write_text(yaml.safe_dump(kubeconfig_of(address)))
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "features/REQ-006-retention/AC-006-01-ttl.feature", "--target=current"],
            cwd=ROOT,
            env={
                **os.environ,
                **S3,
                "ACCEPTANCE_REPORTS": str(tmp_path / "reports"),
                "ACCEPTANCE_CURRENT__KUBECONFIG": str(tmp_path / "kubeconfig"),
                "ACCEPTANCE_CURRENT__ALLOWED_CONTEXTS": '["x"]',
                "ACCEPTANCE_CURRENT__S3_ENDPOINT": "https://127.0.0.1:1",
            },
            capture_output=True,
            text=True,
            timeout=60,
        )
    said = done.stdout + done.stderr
    assert done.returncode == 4 and says in said and "Traceback" not in said, said
    assert not (tmp_path / "reports").exists()


def test_an_interrupted_doctor_made_nothing(tmp_path: Path) -> None:
    with answering(Answer(200, b" " * 100, drips=1)) as address:
        (tmp_path / "kubeconfig").write_text(yaml.safe_dump(kubeconfig_of(address)))
        environment = {
            **os.environ,
            "ACCEPTANCE_CURRENT__KUBECONFIG": str(tmp_path / "kubeconfig"),
            "ACCEPTANCE_CURRENT__ALLOWED_CONTEXTS": '["x"]',
        }
        command = [f"{sys.prefix}/bin/acceptance", "doctor", "--target", "current"]
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)
        remembered = tmp_path / "state/velero-acceptance/clusters.json"
        poll(remembered.exists, until=bool, event="the doctor has begun", timeout=30, interval=0.1)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    assert (process.returncode, said) == (130, "acceptance: interrupted\n")
