"""The suite as a container image: what is in it and what is not, and how it runs. lab/tests runs one."""

from __future__ import annotations

import errno
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lab import suite_image
from lab.oci import Image
from tests.test_cli import call
from velero_acceptance.cli.main import image as write_image
from velero_acceptance.core.errors import AcceptanceError

CALLED = ("velero", "kubectl", "restic", "corpus", "acceptance", "pytest", "sops")
MANAGERS = re.compile(r"(sh|bash|dash|busybox|apt|apt-get|dpkg|pip\d*(\.\d+)?|curl|wget)")


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """The image, with a program of this machine in place of each of the lab's."""
    folder = tmp_path_factory.mktemp("programs")
    names = ("velero", "restic", "corpus")
    programs = {name: Path(shutil.copy("/bin/true", folder / name)) for name in names}
    return suite_image.image(programs, {"ACCEPTANCE_COMMIT": "abc"})


def programs(image: Image) -> set[str]:
    return {path.rpartition("/")[2] for path in {*image.files, *image.links} if path.startswith("usr/local/bin/")}


def test_it_has_what_the_suite_calls_and_no_shell(image: Image) -> None:
    found = programs(image)
    assert {*CALLED, "python3"} <= found
    assert [name for name in found if MANAGERS.fullmatch(name)] == []
    assert {f"usr/local/bin/{name}" for name in found - {"python3"}} <= image.executables


def test_it_runs_as_nobody_and_writes_to_tmp_alone(image: Image) -> None:
    assert image.config["User"] == "65532:65532"
    assert image.folders == {"tmp": 0o1777}


def test_it_knows_what_it_was_made_of_and_who_the_authorities_are(image: Image) -> None:
    assert {"ACCEPTANCE_COMMIT=abc", "HOME=/tmp", "LOGNAME=velero-acceptance"} <= set(image.config["Env"])  # type: ignore[call-overload]
    assert "etc/ssl/certs/ca-certificates.crt" in image.files


def test_its_commands_run_its_own_python(image: Image) -> None:
    scripts = {name: text for name, text in image.files.items() if isinstance(text, str)}
    assert {"usr/local/bin/acceptance", "usr/local/bin/pytest", "usr/local/bin/sops"} <= set(scripts)
    for name, text in scripts.items():
        assert text.startswith("#!/usr/local/bin/python3\n") and sys.prefix not in text, name


def test_it_holds_the_project_and_its_libraries_but_no_tests(image: Image) -> None:
    libraries = f"usr/local/lib/{suite_image.VERSION}/site-packages"
    for path in ("app/conftest.py", "app/criteria/REQ-003-backup.yaml", "app/deploy/rbac/observe.yaml"):
        assert path in image.files, path
    assert f"{libraries}/boto3/__init__.py" in image.files and f"{libraries}/pytest/__init__.py" in image.files
    assert not [path for path in image.files if path.startswith((f"{libraries}/mypy", f"{libraries}/ruff"))]
    assert not [path for path in image.files if path.startswith("app/") and "/tests/" in path]
    assert not [path for path in image.files if "__pycache__" in path or path.endswith(".a")]


def test_a_library_that_this_machine_lacks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = f"{tmp_path}/velero:\n\tlibnone.so.1 => not found\n\tlibc.so.6 => /lib/libc.so.6 (0x0)\n"
    monkeypatch.setattr("subprocess.run", lambda *_, **__: subprocess.CompletedProcess([], 0, said.encode(), b""))
    with pytest.raises(AcceptanceError, match=r"velero needs libnone\.so\.1: install"):
        suite_image.image({})


def test_an_archive_that_does_not_fit_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(suite_image, "programs", dict)
    monkeypatch.setattr(suite_image, "image", lambda *_: Image("suite:v1", {"a": "text"}, {}))
    monkeypatch.setattr("lab.oci._add", full)
    with pytest.raises(AcceptanceError, match=r"suite\.tar cannot be written: No space left on device"):
        write_image(tmp_path / "suite.tar")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("file", "says"),
    [
        ("suite.tar", "velero, corpus, restic is not built yet: run `acceptance lab up` once"),
        ("nowhere/suite.tar", "cannot be written: name a file in an existing folder"),
        ("", "cannot be written: name a file in an existing folder"),
    ],
)
def test_what_cannot_be_made_is_refused(tmp_path: Path, file: str, says: str) -> None:
    done = call("image", str(tmp_path / file), XDG_CACHE_HOME=str(tmp_path))
    assert (done.returncode, len(done.stderr.strip().splitlines())) == (2, 1), done.stderr
    assert says in done.stderr
    assert not (tmp_path / "suite.tar").exists()
