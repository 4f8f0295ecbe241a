"""Guests of `make vm-test`, without booting one."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.vm import disk, preflight, qemu, root
from lab.vm.figures import Figures
from lab.vm.guest import RELEASES, Guest
from velero_acceptance.core.errors import AcceptanceError, Refusal


@pytest.fixture
def guest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Guest:
    """A guest whose tree has nothing but a kernel."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    found = Guest(RELEASES[0])
    boot = found.root / "boot"
    boot.mkdir(parents=True)
    for name in ("vmlinuz-6.1.0-50-amd64", "initrd.img-6.1.0-50-amd64"):
        (boot / name).touch()
    return found


# -- refusals -------------------------------------------------------------------------------


def test_another_user_than_root_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(Refusal, match="run as root") as caught:
        preflight.refuse_other_user()
    assert caught.value.exit_code == 2


def test_too_little_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "meminfo"
    info.write_text("MemTotal:       24500000 kB\nMemAvailable:    2048000 kB\n")
    monkeypatch.setattr(preflight, "MEMORY_INFO", info)
    with pytest.raises(Refusal, match="needs 9216 MB of memory, 2000 MB are available"):
        preflight.refuse_little_memory()


def test_enough_memory_is_fine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "meminfo"
    info.write_text("MemAvailable:    16000000 kB\n")
    monkeypatch.setattr(preflight, "MEMORY_INFO", info)
    preflight.refuse_little_memory()


def test_a_full_disk_is_refused(guest: Guest) -> None:
    with pytest.raises(Refusal, match=r"GB free, a guest needs \d+ GB: make room"):
        preflight.refuse_full_disk(guest, needed=10**18)


def test_a_disk_that_will_be_replaced_counts_as_room(guest: Guest, monkeypatch: pytest.MonkeyPatch) -> None:
    guest.disk.write_bytes(b"x" * 2**20)
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 0}))
    preflight.refuse_full_disk(guest, needed=2**20)


def test_what_is_missing_is_named_and_installed(
    guest: Guest, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    installed: list[str] = []
    for name in ("refuse_other_user", "refuse_little_memory"):
        monkeypatch.setattr(preflight, name, lambda: None)
    monkeypatch.setattr(preflight, "refuse_full_disk", lambda _: None)
    monkeypatch.setattr("shutil.which", lambda name: None if name.startswith("qemu") else f"/bin/{name}")
    monkeypatch.setattr("lab.debian.install", lambda packages: installed.extend(packages.values()))
    preflight.check(guest)
    assert "qemu-system-x86" in installed
    assert capsys.readouterr().out == "Installing qemu-system-x86 for the guest\n"


# -- QEMU -----------------------------------------------------------------------------------


def test_without_kvm_the_processor_is_emulated(guest: Guest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qemu, "accelerated", lambda: False)
    command = qemu.command(guest)
    assert command[command.index("-accel") + 1] == "tcg,thread=multi"
    assert command[command.index("-cpu") + 1] == "Nehalem"


def test_a_device_without_a_processor_that_helps_is_no_kvm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device = tmp_path / "kvm"
    device.touch()
    information = tmp_path / "cpuinfo"
    monkeypatch.setattr(qemu, "KVM", device)
    monkeypatch.setattr(qemu, "PROCESSORS_INFO", information)
    information.write_text("flags\t\t: fpu sse2\n")
    assert not qemu.accelerated()
    information.write_text("flags\t\t: fpu vmx sse2\n")
    assert qemu.accelerated()
    device.unlink()
    assert not qemu.accelerated()


def test_the_newest_kernel_of_the_tree_is_booted(guest: Guest) -> None:
    kernel, initrd = disk.kernel(guest)
    assert (kernel.name, initrd.name) == ("vmlinuz-6.1.0-50-amd64", "initrd.img-6.1.0-50-amd64")


def test_a_qemu_that_fails_is_quoted(guest: Guest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qemu, "command", lambda _: ["sh", "-c", "echo no such machine; exit 1"])
    with pytest.raises(AcceptanceError, match="QEMU failed: no such machine"):
        qemu.boot(guest, 10)


def test_a_qemu_that_was_ended_has_not_passed(guest: Guest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qemu, "command", lambda _: ["echo", "qemu: terminating on signal 15 from pid 1"])
    with pytest.raises(AcceptanceError, match="QEMU failed: qemu: terminating on signal 15"):
        qemu.boot(guest, 10)


def test_a_guest_that_does_not_end_is_ended(guest: Guest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qemu, "command", lambda _: ["sleep", "60"])
    with pytest.raises(AcceptanceError, match=r"has not ended after 0 s: look at .*console.log"):
        qemu.boot(guest, 0.1)


# -- its files ------------------------------------------------------------------------------


def test_the_units_of_the_tree(guest: Guest, monkeypatch: pytest.MonkeyPatch) -> None:
    (guest.root / "etc/ssl/certs").mkdir(parents=True)
    monkeypatch.setattr(root, "AUTHORITIES", Path("/etc/hostname"))
    root._configure(guest.root)
    units = guest.root / "etc/systemd/system"
    assert (units / "multi-user.target.wants/acceptance.service").readlink().name == "acceptance.service"
    assert (units / "timers.target").readlink() == Path("/dev/null")


def test_a_failing_program_is_quoted() -> None:
    with pytest.raises(AcceptanceError, match="sh failed: no space"):
        root.run("sh", "-c", "echo no space >&2; exit 1")


def test_a_guest_without_figures_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(AcceptanceError, match="ended before it had figures"):
        Figures.load(tmp_path)


def test_figures_come_back_as_they_were(tmp_path: Path) -> None:
    figures = Figures("Debian 12", "6.1.0", 1, "flux", {"up": 400.4}, {"AC-003-01": "VERIFIED"})
    figures.save(tmp_path)
    assert Figures.load(tmp_path) == figures
    assert figures.lines() == [
        "Debian 12, Linux 6.1.0, 1 node(s), Velero by flux",
        "  up: 400 s",
        "  AC-003-01: VERIFIED",
    ]
