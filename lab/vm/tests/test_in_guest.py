"""Runs in a guest: the lab comes up on a stock kernel, the first slice is verified, nothing is left behind.

Started by acceptance.service; on the machine itself these tests are skipped.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab.settings import LabSettings
from lab.tests.machine import differences
from lab.vm.figures import Figures
from lab.vm.tests.whole_machine import look
from velero_acceptance.core.installation import ROOT

MARKER = Path("/root/guest.env")
REPORTS = ROOT / "reports"
# A backup with its data, a restore of it, and a Velero that reaches S3.
FIRST_SLICE = ("AC-003-01", "AC-003-03", "AC-004-03", "AC-001-01")
RESOURCES = "NFR-RESOURCE-001"
FIGURES = Figures.of_this_system(LabSettings().nodes, LabSettings().deployment)
BEFORE: dict[str, set[str]] = {}

# A root with the system's own folders in it, and a privileged container there.
CONTAINER = Path("/srv/container")
OWN_FOLDERS, BOUND = ("dev", "proc", "run", "sys", "tmp"), ("etc", "root", "usr", "var")
NSPAWN = (
    "systemd-nspawn",
    "--quiet",
    f"--directory={CONTAINER}",
    *(f"--bind=/{name}" for name in BOUND),
    "--bind=/dev/kmsg",
    "--private-network",
    "--capability=all",
    "--system-call-filter=@keyring @privileged @raw-io bpf",
    "--property=DeviceAllow=char-* rwm",
    "--property=DeviceAllow=block-* rwm",
    "--as-pid2",
    f"--chdir={ROOT}",
    *(f"--setenv={name}" for name in os.environ if name.startswith("ACCEPTANCE_") and name != "ACCEPTANCE_RUN_ID"),
    f"--setenv=PATH={os.environ['PATH']}",
    "--setenv=HOME=/root",
)

pytestmark = [
    pytest.mark.skipif(not MARKER.exists(), reason="this is not a guest of `make vm-test`"),
    pytest.mark.timeout(4 * 3600),
]


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Keep the seconds of the body."""
    started = time.monotonic()
    try:
        yield
    finally:
        FIGURES.seconds[what] = round(time.monotonic() - started, 1)
        FIGURES.save(REPORTS)


def run(program: str, *arguments: str) -> int:
    """Run a program of the suite, whatever it prints on the console, and return its exit code."""
    # This very session is a run of the suite too; each of those below has its own name.
    environment = {name: value for name, value in os.environ.items() if name != "ACCEPTANCE_RUN_ID"}
    return subprocess.run([Path(sys.prefix) / "bin" / program, *arguments], cwd=ROOT, env=environment).returncode


def verify(*criteria: str) -> None:
    """Run the features of *criteria* and keep their verdicts."""
    with timed(", ".join(criteria)):
        code = run("pytest", "features", "--target=lab", "-m", " or ".join(criteria))
    report = json.loads((REPORTS / "latest/traceability.json").read_text())
    found = {item["id"]: item["verdict"] for item in report["criteria"] if item["id"] in criteria}
    FIGURES.verdicts.update(found)
    FIGURES.save(REPORTS)
    assert (code, found) == (0, dict.fromkeys(criteria, "VERIFIED"))


def test_the_kernel_is_stock() -> None:
    started = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    FIGURES.seconds["boot, until systemd starts this"] = round(started / os.sysconf("SC_CLK_TCK"), 1)
    assert Path("/sys/fs/cgroup/cgroup.controllers").exists(), "the guest has cgroup v2"
    BEFORE.update(look())
    FIGURES.save(REPORTS)


def test_up() -> None:
    with timed("up"):
        assert run("acceptance", "lab", "up") == 0


def test_first_slice() -> None:
    verify(*FIRST_SLICE)


def test_resources() -> None:
    verify(RESOURCES)


def test_nothing_stays_after_down() -> None:
    with timed("down"):
        assert run("acceptance", "lab", "down") == 0
    assert differences(BEFORE, look()) == []


def test_in_a_container() -> None:
    """As in a pull request's job: privileged, with namespaces of control groups, network and processes."""
    steps = ("acceptance lab up", f"pytest features --target=lab -m {FIRST_SLICE[0]}", "acceptance lab down")
    for name in (*OWN_FOLDERS, *BOUND):
        (CONTAINER / name).mkdir(parents=True, exist_ok=True)
    for name in ("bin", "lib", "lib64", "sbin"):
        (CONTAINER / name).symlink_to(f"usr/{name}")
    script = " && ".join(f"{Path(sys.prefix) / 'bin'}/{step}" for step in steps)
    with timed("up, AC-003-01 and down in a container"):
        writable = {**os.environ, "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "1"}
        done = subprocess.run([*NSPAWN, "sh", "-c", script], cwd=ROOT, env=writable)
    shutil.rmtree(CONTAINER)
    assert done.returncode == 0
    assert differences(BEFORE, look()) == []
