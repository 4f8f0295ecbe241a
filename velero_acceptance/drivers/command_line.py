"""`velero` and `kubectl` as people run them, each call as one account of the cluster.

Flags name the cluster and the account; the user's own settings (``~/.config/velero/config.json``, ``KUBECONFIG``)
are not read.
"""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import yaml
from pydantic import SecretStr

from velero_acceptance.core.files import write_whole
from velero_acceptance.core.installation import program
from velero_acceptance.core.programs import execute
from velero_acceptance.drivers import kubeconfig as kubeconfigs
from velero_acceptance.drivers.kinds import Json
from velero_acceptance.drivers.kubeconfig import AUTHORITY

# Address and identity of a server; everything else in a kubeconfig could be a credential.
ABOUT_SERVER = ("server", AUTHORITY, f"{AUTHORITY}-data", "tls-server-name", "insecure-skip-tls-verify", "proxy-url")


@dataclass(frozen=True)
class CommandResult:
    """What a command printed and returned, when it started, and the seconds it took."""

    command: str
    code: int
    # An error can quote a signed address of S3; the redactor removes it from everything that is written.
    stdout: str = field(repr=False)
    stderr: str = field(repr=False)
    began: datetime
    seconds: float

    def __str__(self) -> str:
        ending = f"exit code {self.code} after {self.seconds:.2f} s"
        return "\n".join(part for part in (f"$ {self.command}", self.stdout, self.stderr, ending) if part)


@dataclass(frozen=True)
class Program:
    """A program, the flags of every call, and the timeout of a call in seconds."""

    path: Path
    flags: tuple[str, ...]
    home: Path
    timeout: float

    def call(self, *arguments: str) -> CommandResult:
        """Run it without a terminal or input, whatever it returns; raises AcceptanceError when it does not end."""
        command = " ".join([self.path.name, *arguments])
        began, started = datetime.now(UTC), time.monotonic()
        environment = {**os.environ, "HOME": str(self.home)}
        done = execute(self.path, *self.flags, *arguments, timeout=self.timeout, what=command, environment=environment)
        return CommandResult(command, done.code, done.text, done.stderr, began, time.monotonic() - started)


class VeleroCli:
    """The `velero` command. *authority* has signed S3's certificate; None: an authority that the system trusts."""

    def __init__(self, program: Program, location: str, authority: Path | None) -> None:
        self._program, self._location = program, location
        self._cacert = (f"--cacert={authority}",) if authority else ()

    def create_backup(
        self, name: str, *, namespace: str, labels: Mapping[str, str], location: str | None = None
    ) -> CommandResult:
        """``velero backup create``; it returns once the Backup exists."""
        where = f"--storage-location={location or self._location}"
        scope = f"--include-namespaces={namespace}"
        return self._program.call("backup", "create", name, scope, where, _labels(labels))

    def list_backups(self) -> CommandResult:
        return self._program.call("backup", "get")

    def get_backup(self, name: str) -> CommandResult:
        return self._program.call("backup", "get", name)

    def describe(self, backup: str) -> CommandResult:
        """``velero backup describe --details``. It exits with 0 even if it could not read S3."""
        return self._program.call("backup", "describe", backup, "--details", *self._cacert)

    def create_restore(
        self, name: str, *, backup: str, labels: Mapping[str, str], mapping: Mapping[str, str], resources: str
    ) -> CommandResult:
        """``velero restore create`` for the *resources* of a backup; it returns once the Restore exists."""
        mapped = ",".join(f"{source}:{target}" for source, target in mapping.items())
        chosen = (f"--include-resources={resources}", f"--namespace-mappings={mapped}")
        return self._program.call("restore", "create", name, f"--from-backup={backup}", *chosen, _labels(labels))

    def delete_backup(self, name: str, *, confirm: bool = True) -> CommandResult:
        """``velero backup delete``; it returns once the deletion is requested. Without *confirm* it asks for one."""
        return self._program.call("backup", "delete", name, *(["--confirm"] if confirm else []))

    def logs(self, backup: str) -> CommandResult:
        """``velero backup logs``: the log in S3."""
        return self._program.call("backup", "logs", backup, *self._cacert)


class KubectlCli:
    def __init__(self, program: Program) -> None:
        self._program = program

    def apply(self, manifest: Path) -> CommandResult:
        return self._program.call("apply", f"--filename={manifest}")


def velero_program(path: Path, kubeconfig: Path, namespace: str, *, timeout: float) -> Program:
    """`velero` with the identity of *kubeconfig*, whose folder is its home."""
    # It colours its output even without a terminal.
    flags = (f"--kubeconfig={kubeconfig}", f"--namespace={namespace}", "--colorized=false")
    return Program(path, flags, kubeconfig.parent, timeout)


def kubectl_program(kubeconfig: Path, namespace: str, *, timeout: float) -> Program:
    """`kubectl` with the identity of *kubeconfig*, whose folder is its home."""
    flags = (f"--kubeconfig={kubeconfig}", f"--namespace={namespace}", "--cache-dir=/dev/null")
    return Program(program("kubectl"), flags, kubeconfig.parent, timeout)


def write_token_kubeconfig(path: Path, known: Path, context: str | None, token: SecretStr) -> None:
    """Write a kubeconfig of mode 0600 for the server of *known*: its address, its authority, *token*, nothing else."""
    write_whole(path, yaml.safe_dump(token_kubeconfig(known, context, token)), mode=0o600)


def token_kubeconfig(known: Path, context: str | None, token: SecretStr) -> Json:
    """The content of such a kubeconfig; raises Refusal when *known* has no such context."""
    (entry,) = kubeconfigs.only(known, context)["clusters"]
    cluster = {key: value for key, value in entry["cluster"].items() if key in ABOUT_SERVER}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "target", "cluster": cluster}],
        "users": [{"name": "account", "user": {"token": token.get_secret_value()}}],
        "contexts": [{"name": "account", "context": {"cluster": "target", "user": "account"}}],
        "current-context": "account",
    }


def _labels(labels: Mapping[str, str]) -> str:
    return "--labels=" + ",".join(f"{name}={value}" for name, value in labels.items())
