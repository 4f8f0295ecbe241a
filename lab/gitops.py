"""The lab's Git server and the repository that Flux deploys from.

The repository holds ``gitops/`` as it is in this project, plus two secrets encrypted with an
age key that exists only in the lab's state folder.
"""

from __future__ import annotations

import os
import secrets
import shutil
import sys
from pathlib import Path

import pyrage

from lab.pki import write_secret
from lab.processes import Processes
from lab.programs import DEFAULT
from lab.settings import LabSettings
from lab.storage import S3Credentials
from velero_acceptance.core import timeouts
from velero_acceptance.core.errors import AcceptanceError
from velero_acceptance.core.programs import execute

SOURCE = Path(__file__).parents[1] / "gitops"
APP = Path("kubernetes/apps/velero/app")
KUSTOMIZATIONS = Path("kubernetes/apps/velero/ks.yaml")
GIT_PORT = 8443
BACKEND = Path("/usr/lib/git-core/git-http-backend")
IDENTITY = {
    f"GIT_{role}_{part}": value
    for role in ("AUTHOR", "COMMITTER")
    for part, value in (("NAME", "lab"), ("EMAIL", "lab@git.lab"))
}


def start(settings: LabSettings, processes: Processes, git_server: Path) -> None:
    """Serve the lab's repositories over HTTPS."""
    pki = settings.state / "pki"
    processes.start(
        "git-server",
        [
            git_server,
            f"-listen={settings.control}:{GIT_PORT}",
            f"-root={settings.state / 'git'}",
            f"-backend={BACKEND}",
            f"-certificate={pki / 'git.crt'}",
            f"-key={pki / 'git.key'}",
        ],
        netns="control",
    )


def age_key(settings: LabSettings) -> Path:
    """The private age key of the lab, made on first use."""
    path = settings.state / "age.key"
    if not path.exists():
        write_secret(path, f"{pyrage.x25519.Identity.generate()}\n".encode())
    return path


def commit(settings: LabSettings) -> None:
    """Bring the lab's repository to the state of ``gitops/``; without a change nothing is committed."""
    bare, work = settings.state / "git/home.git", settings.state / "home"
    if not bare.exists():
        git("init", "--quiet", "--bare", "--initial-branch=main", str(bare))
    if not work.exists():
        git("clone", "--quiet", str(bare), str(work))
        git("checkout", "--quiet", "-B", "main", folder=work)
    shutil.copytree(SOURCE, work, dirs_exist_ok=True)
    kustomizations = work / KUSTOMIZATIONS
    kustomizations.write_text(
        kustomizations.read_text().replace(f"path: {DEFAULT.path}\n", f"path: {settings.release.path}\n")
    )
    recipient = pyrage.x25519.Identity.from_str(age_key(settings).read_text().strip()).to_public()
    rules = work / ".sops.yaml"
    rules.write_text(rules.read_text().replace("AGE_RECIPIENT", str(recipient)))
    keys = S3Credentials.of(settings)
    _encrypt(work, "velero-s3-secret", S3_ACCESS_KEY_ID=keys.access_key, S3_SECRET_ACCESS_KEY=keys.secret_key)
    _encrypt(work, "velero-repo-credentials", REPOSITORY_PASSWORD=secrets.token_urlsafe(24))
    git("add", "--all", folder=work)
    if git("status", "--porcelain", folder=work):
        git("commit", "--quiet", "--message=Velero as the design deploys it", folder=work)
    git("push", "--quiet", "origin", "main", folder=work)


def _encrypt(work: Path, name: str, **values: str) -> None:
    """Encrypt the example of secret *name* with its placeholders filled in, once a lab."""
    target = work / APP / f"{name}.sops.yaml"
    if target.exists():
        return
    text = (work / APP / f"{name}.example.yaml").read_text()
    for placeholder, value in values.items():
        text = text.replace(placeholder, value)
    sops = Path(sys.prefix) / "bin/sops"
    done = execute(
        sops,
        "--encrypt",
        "--input-type=yaml",
        "--output-type=yaml",
        f"--filename-override={target.name}",
        "/dev/stdin",
        folder=work,
        stdin=text,
        timeout=timeouts.seconds("lab_program_call"),
    )
    if done.code != 0:
        raise AcceptanceError(f"sops cannot encrypt {name}: {done.stderr.strip()}")
    target.write_bytes(done.stdout)


def git(*arguments: str, folder: Path | None = None) -> str:
    """Standard output of a git call, independent of the user's own configuration."""
    done = execute(
        "git",
        *arguments,
        folder=folder,
        environment={**os.environ, **IDENTITY, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"},
        timeout=timeouts.seconds("lab_program_call"),
    )
    if done.code != 0:
        raise AcceptanceError(f"git {arguments[0]}: {done.stderr.strip()}")
    return done.text
