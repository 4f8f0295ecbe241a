"""Start one program inside the lab: join the control group and a network namespace, then exec.

Runs as ``python -I -S launch.py RECORD CGROUP NETNS PROGRAM …``; NETNS is the path of a
namespace, ``new`` for one of its own, or ``host``. It writes RECORD (pid and start time)
itself, so that the record exists even when the command that asked for it is killed.
"""

import ctypes
import os
import sys

CLONE_NEWNET = 0x40000000


def _checked(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def main() -> None:
    record, cgroup, namespace, *program = sys.argv[1:]
    with open(os.path.join(cgroup, "cgroup.procs"), "w") as members:
        members.write("0")  # 0 is the writer itself
    libc = ctypes.CDLL(None, use_errno=True)
    if namespace == "new":
        _checked(libc.unshare(CLONE_NEWNET), "a new network namespace")
    elif namespace != "host":
        descriptor = os.open(namespace, os.O_RDONLY)
        _checked(libc.setns(descriptor, CLONE_NEWNET), namespace)
        os.close(descriptor)
    with open("/proc/self/stat") as own:
        started = own.read().rpartition(")")[2].split()[19]
    with open(record + ".new", "w") as new:
        new.write(f"{os.getpid()} {started}")
    os.rename(record + ".new", record)
    os.execvp(program[0], program)


if __name__ == "__main__":
    main()
