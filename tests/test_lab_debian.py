"""Debian packages of the lab: the release is the machine's, and what fails is one sentence with nothing half made."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from lab import build, debian
from velero_acceptance.cli import main as cli
from velero_acceptance.core.errors import AcceptanceError, Refusal
from velero_acceptance.core.installation import cache_folder

pytestmark = pytest.mark.usefixtures("settings")


def release(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    (folder / "os-release").write_text(text)
    monkeypatch.setattr(debian, "OS_RELEASE", folder / "os-release")


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for programs that come first in PATH, on a Debian 12."""
    release(tmp_path, monkeypatch, "ID=debian\nVERSION_CODENAME=bookworm\n")
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin:/usr/sbin:/sbin")
    return folder


def program(path: Path, name: str, script: str) -> None:
    (path / name).write_text(f"#!/bin/sh\n{script}\n")
    (path / name).chmod(0o755)


@pytest.mark.parametrize("codename", ["bookworm", "trixie", "noble"])
def test_the_release_is_the_machines(codename: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release(tmp_path, monkeypatch, f'PRETTY_NAME="X"\nVERSION_CODENAME={codename}\n')
    assert debian.release() == codename
    assert debian.root(("a", "b")).name == f"{codename}-a-b"


@pytest.mark.parametrize("text", ['PRETTY_NAME="Fedora 42"\n', 'PRETTY_NAME="Ubuntu 22.04"\nVERSION_CODENAME=jammy\n'])
def test_another_release_is_refused(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release(tmp_path, monkeypatch, text)
    with pytest.raises(Refusal, match=r"Debian 12, Debian 13, Ubuntu 24\.04, this is (Fedora 42|Ubuntu 22\.04): use"):
        debian.release()


def test_what_a_release_splits_is_unpacked_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release(tmp_path, monkeypatch, "VERSION_CODENAME=trixie\n")
    assert debian.root(("prometheus", "runc")).name == "trixie-prometheus-runc-promtool"
    (debian.root() / "usr/bin").mkdir(parents=True)
    (debian.root() / "usr/bin/busybox").touch()
    assert debian.program("bin/busybox") == debian.root() / "usr/bin/busybox"


def test_versions_are_those_of_the_unpacked_packages(path: Path) -> None:
    documents = debian.root(("runc", "none")) / "usr/share/doc/runc"
    documents.mkdir(parents=True)
    (documents / "changelog.gz").write_bytes(gzip.compress(b"runc (1.1.5+ds1-1) bookworm; urgency=high\n"))
    assert debian.versions(("runc", "none")) == {"runc": "1.1.5+ds1-1"}
    assert path.exists()


def test_a_full_disk_while_unpacking_leaves_nothing(path: Path) -> None:
    program(path, "apt-get", '[ "$6" = download ] && echo x > runc_1_amd64.deb; exit 0')
    program(path, "dpkg-deb", 'mkdir -p "$3/usr"; echo "dpkg-deb: error: No space left on device" >&2; exit 2')
    with pytest.raises(AcceptanceError, match=r"runc_1_amd64.deb cannot be unpacked .*No space left on device"):
        debian._unpack(("runc",))
    assert list((cache_folder() / "debian").iterdir()) == []


def test_a_package_in_no_component_is_named(path: Path) -> None:
    program(path, "apt-get", 'echo "E: Unable to locate package docker-registry" >&2; exit 100')
    with pytest.raises(Refusal, match="apt has no package docker-registry: add the component"):
        debian._unpack(("docker-registry",))


def test_an_apt_that_fails_is_quoted(path: Path) -> None:
    program(path, "apt-get", 'echo "E: Failed to fetch x  404" >&2; exit 100')
    with pytest.raises(AcceptanceError, match="apt-get update failed: E: Failed to fetch"):
        debian.install({"no-such-program": "p"})


def test_an_apt_that_hangs_is_ended(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(path, "apt-get", "exec sleep 60")
    monkeypatch.setenv("ACCEPTANCE_TIMEOUTS", '{"lab_packages_fetched": 0.3}')
    with pytest.raises(AcceptanceError, match="apt-get update did not end within"):
        debian.install({"no-such-program": "p"})


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ('echo "go: cannot find GOROOT directory" >&2; exit 2', "go: cannot find GOROOT directory"),
        ("echo go version go1.19.8 linux/amd64", r"go version go1\.19\.8"),
    ],
)
def test_a_go_that_fails_or_is_too_old_is_one_sentence(
    path: Path, script: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.prefix", str(tmp_path / "environment"))
    program(path, "go", script)
    with pytest.raises(Refusal, match=rf"Go 1\.26 or later is missing, .* says: {says}.*: install it"):
        build.go_version()


def test_the_go_of_the_environment_is_used_when_the_machines_is_too_old(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "environment/bin"
    own.mkdir(parents=True)
    monkeypatch.setattr("sys.prefix", str(own.parent))
    program(path, "go", "echo go version go1.19.8 linux/amd64")
    program(own, "go", "echo go version go1.26.6 linux/amd64")
    assert (build.go_program(), build.go_version()) == (str(own / "go"), "go version go1.26.6 linux/amd64")
    program(path, "go", "echo go version go1.27.1 linux/amd64")
    assert build.go_program() == str(path / "go")


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (OSError(28, "No space left on device", "/cache/x"), "acceptance: No space left on device: /cache/x\n"),
        (OSError("odd"), "acceptance: odd\n"),
    ],
)
def test_what_the_system_refuses_is_never_a_traceback(
    error: OSError, says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(**_: object) -> None:
        raise error

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1 and capsys.readouterr().err == says
