"""Files and streams out of order: the register, waivers, a full disk under standard output."""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
from datetime import date
from pathlib import Path

import pytest

from tests.api_server import client, serving
from tests.test_cli import COMMAND, ROOT
from velero_acceptance.core.errors import Refusal
from velero_acceptance.criteria import waivers
from velero_acceptance.criteria.load import FOLDER, load
from velero_acceptance.target.lock import RunLock, live_holder

REGISTER = "REQ-004-restore.yaml"


@pytest.fixture
def register(tmp_path: Path) -> Path:
    """A copy of the register."""
    return Path(shutil.copytree(FOLDER, tmp_path / "criteria"))


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        (b"value: 100", b"value: .nan", "finite number"),
        (b"value: 100", b"value: .inf", "finite number"),
        (b"value: 100", b"value: 100, value: 0", "the key value occurs twice"),
        (b"title:", b"title: first\ntitle:", "the key title occurs twice"),
        (b"title:", b"# \xff\xfe\ntitle:", "it is not UTF-8 text"),
    ],
)
def test_a_register_that_says_nothing_or_two_things(register: Path, before: bytes, after: bytes, says: str) -> None:
    path = register / REGISTER
    assert before in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(before, after, 1))
    with pytest.raises(Refusal, match=says) as refused:
        load(register)
    assert REGISTER in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize(("by", "why"), [("", "known"), ("Ann", ""), ("Ann", "  ")])
def test_nobody_and_nothing_waive_no_criterion(tmp_path: Path, by: str, why: str) -> None:
    entry = f'- {{criterion: AC-003-01, by: "{by}", until: {date.max}, why: "{why}"}}'
    (tmp_path / "waivers.yaml").write_text(entry)
    with pytest.raises(Refusal, match=f"malformed at {'why' if by else 'by'}"):
        waivers.load(load(), tmp_path)


@pytest.mark.parametrize("command", [("criteria",), ("criteria", "--schema"), ("report", "controls"), ("--version",)])
def test_a_full_disk_under_the_output_is_one_sentence(command: tuple[str, ...]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([COMMAND, *command], cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr == "acceptance: No space left on device\n"


def test_a_name_that_is_too_long_is_refused() -> None:
    done = subprocess.run(
        [COMMAND, "report", "html", "x" * 300], cwd=ROOT, env=os.environ, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2 and done.stderr.startswith("acceptance: File name too long: xxx")


def test_a_user_without_a_name_can_hold_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found: 1234")

    monkeypatch.setattr(getpass, "getuser", nameless)
    with serving() as server:
        cluster = client(server, tmp_path)
        RunLock(cluster, "velero", "mine").acquire()
        holder = live_holder(cluster, "velero")
    assert holder is not None and holder.owner.startswith(f"{os.getuid()}@")
