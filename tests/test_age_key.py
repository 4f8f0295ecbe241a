"""Whether an age key opens every encrypted file of a checkout: yes, not all of them, or it is no key."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.test_cli import call
from velero_acceptance.drivers.sops import Sops

SECRET = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {cloud: planted-value}\n"


@pytest.fixture
def checkout(tmp_path: Path) -> tuple[Path, Path]:
    """A key, and a folder with two files that are encrypted for it."""
    (tmp_path / "keys").mkdir()
    sops, folder = Sops.with_new_key(tmp_path / "keys"), tmp_path / "checkout"
    for name in ("a", "deep/b"):
        path = folder / f"{name}.sops.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(sops.encrypt(path.name, SECRET, "^(data|stringData)$"))
    return tmp_path / "keys/age.key", folder


def lint(key: Path, folder: Path) -> tuple[int, str]:
    done = call("lint", "--age-key", str(key), "--checkout", str(folder))
    assert "planted-value" not in done.stdout + done.stderr
    assert "AGE-SECRET-KEY-1" not in done.stdout + done.stderr
    return done.returncode, done.stdout + done.stderr


def test_the_key_opens_every_file(checkout: tuple[Path, Path]) -> None:
    (checkout[1] / ".sops.yaml").write_text("creation_rules: []\n")
    assert lint(*checkout) == (0, "The key opens every encrypted file (2).\n")


def test_a_file_that_is_for_another_key_is_named(checkout: tuple[Path, Path], tmp_path: Path) -> None:
    other = Sops.with_new_key(tmp_path).encrypt("c", SECRET, "^(data|stringData)$")
    (checkout[1] / "other.sops.yaml").write_text(other)
    code, said = lint(*checkout)
    assert code == 1
    assert "other.sops.yaml: none of the keys given opens it" in said
    assert "the key does not open 1 of 3 files: Flux would stop there" in said


def test_another_key_opens_nothing(checkout: tuple[Path, Path], tmp_path: Path) -> None:
    Sops.with_new_key(tmp_path)
    code, said = lint(tmp_path / "age.key", checkout[1])
    assert (code, said.count("none of the keys given opens it")) == (1, 2)


def test_a_file_that_was_changed_since_does_not_open(checkout: tuple[Path, Path]) -> None:
    path = checkout[1] / "a.sops.yaml"
    path.write_text(path.read_text().replace("kind: Secret", "kind: Sacred"))
    code, said = lint(*checkout)
    assert code == 1
    assert "a.sops.yaml: its MAC does not match" in said


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "cannot be read: No such file"),
        ("# created today\n", "holds no age key"),
        ("AGE-SECRET-KEY-1QQQQ\n", "holds a damaged age key"),
    ],
)
def test_what_is_no_key_is_refused(content: str | None, says: str, checkout: tuple[Path, Path], tmp_path: Path) -> None:
    key = tmp_path / "no.key"
    if content is not None:
        key.write_text(content)
    code, said = lint(key, checkout[1])
    assert (code, len(said.splitlines())) == (2, 1)
    assert says in said


def test_a_key_that_is_no_text_is_refused(checkout: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "no.key").write_bytes(b"\xff\xfe\x00")
    code, said = lint(tmp_path / "no.key", checkout[1])
    assert (code, "is no text" in said) == (2, True)


def test_a_folder_without_an_encrypted_file_passes_for_nothing(checkout: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder, says in ((tmp_path / "empty", "holds no *.sops.yaml"), (tmp_path / "none", "is no folder")):
        code, said = lint(checkout[0], folder)
        assert (code, says in said) == (2, True), said
