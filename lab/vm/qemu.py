"""Runs a guest in QEMU and waits until it has switched itself off."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from lab.vm import disk
from lab.vm.guest import MEMORY_MB, PROCESSORS, Guest
from velero_acceptance.core.errors import AcceptanceError

KVM = Path("/dev/kvm")
TERMINATED = "terminating on signal"
PROCESSORS_INFO = Path("/proc/cpuinfo")


def accelerated() -> bool:
    """Whether the processor runs a guest's instructions itself. The device alone does not say so."""
    flags = next(line for line in PROCESSORS_INFO.read_text().splitlines() if line.startswith("flags"))
    return os.access(KVM, os.R_OK | os.W_OK) and bool({"vmx", "svm"} & set(flags.split()))


def command(guest: Guest) -> list[str]:
    """The command line of QEMU."""
    kernel, initrd = disk.kernel(guest)
    # With QEMU's largest emulated processor Go programs end at once: what it says and what it does differ.
    hardware = ("kvm", "host") if accelerated() else ("tcg,thread=multi", "Nehalem")
    return [
        "qemu-system-x86_64",
        *("-accel", hardware[0], "-cpu", hardware[1]),
        *("-smp", str(PROCESSORS), "-m", str(MEMORY_MB)),
        *("-nodefaults", "-no-reboot", "-display", "none", "-nic", "none"),
        *("-drive", f"file={guest.disk},format=raw,if=virtio,cache=unsafe"),
        *("-device", "virtio-rng-pci"),
        *("-serial", f"file:{guest.console}", "-serial", f"unix:{guest.shell},server=on,wait=off"),
        *("-kernel", str(kernel), "-initrd", str(initrd)),
        *("-append", "root=/dev/vda rw console=ttyS0 panic=-1 systemd.journald.forward_to_console=0 quiet"),
    ]


def boot(guest: Guest, seconds: float) -> None:
    """Run the guest to its end; raises AcceptanceError when it takes longer or QEMU fails."""
    process = subprocess.Popen(
        command(guest), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        said, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        raise AcceptanceError(f"the guest has not ended after {seconds:.0f} s: look at {guest.console}") from None
    finally:
        process.kill()
        process.wait()
        guest.shell.unlink(missing_ok=True)
    words = said.decode(errors="replace").strip()[-500:]
    # Ended by a signal, QEMU says so and still returns 0.
    if process.returncode != 0 or TERMINATED in words:
        raise AcceptanceError(f"QEMU failed: {words}")
