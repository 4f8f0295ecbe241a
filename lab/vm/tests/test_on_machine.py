"""Boots each guest, waits until it has tested the lab, and prints its figures. Slow: an hour each without KVM."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lab.vm import disk, preflight, qemu, root
from lab.vm.figures import Figures
from lab.vm.guest import EMULATED, RELEASES, VIRTUALISED, Guest
from velero_acceptance.core.errors import AcceptanceError

MOST_SECONDS = 3 * 3600
# Settings of the lab and of the suite that hold in the guest too.
PASSED_ON = ("ACCEPTANCE_LAB_", "ACCEPTANCE_TIMEOUT")


def write_settings(guest: Guest) -> None:
    """Hand the lab's settings to the guest: what suits its processors, and what was chosen here."""
    chosen = {name: value for name, value in os.environ.items() if name.startswith(PASSED_ON)}
    settings = {**(VIRTUALISED if qemu.accelerated() else EMULATED), **chosen}
    (guest.root / "root/guest.env").write_text("".join(f"{name}={value}\n" for name, value in settings.items()))


def exit_code(reports: Path) -> str:
    path = reports / "guest/exit-code"
    return path.read_text().strip() if path.exists() else "none"


@pytest.mark.timeout(MOST_SECONDS + 3600)
@pytest.mark.parametrize("release", RELEASES)
def test_the_lab_in_a_guest(release: str) -> None:
    guest = Guest(release)
    try:
        preflight.check(guest)
        root.make(guest)
        write_settings(guest)
        disk.write(guest)
        if not qemu.accelerated():
            print("There is no KVM here: the processor is emulated, which takes an hour or more")
        print(f"{release}: the guest's console is {guest.console}")
        qemu.boot(guest, MOST_SECONDS)
        reports = disk.read_results(guest)
        figures = Figures.load(reports)
    except AcceptanceError as error:
        pytest.fail(str(error), pytrace=False)
    print(*figures.lines(), sep="\n")
    assert exit_code(reports) == "0", f"look at {guest.console} and {reports}"
    guest.disk.unlink()
