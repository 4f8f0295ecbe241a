"""A lab that stands for somebody's own cluster: other names everywhere, Velero by `velero install`, and no Flux."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml
from pydantic import SecretStr

from lab.facts import LabFacts, load
from lab.lifecycle import Lab
from lab.settings import LabSettings
from velero_acceptance.core.waiting import poll
from velero_acceptance.drivers.command_line import token_kubeconfig
from velero_acceptance.drivers.kinds import Json, phase_of
from velero_acceptance.preconditions.diagnosis import FOLDER

ROOT = Path(__file__).parents[2]
# Not the design's, which the main lab has.
UPLOADER = "kopia"
SETTINGS = {
    "ACCEPTANCE_LAB_NAME": "home",
    "ACCEPTANCE_LAB_NETWORK": "10.79.0.0/24",
    "ACCEPTANCE_LAB_API_PORT": "27443",
    "ACCEPTANCE_LAB_S3_PORT": "27000",
    "ACCEPTANCE_LAB_S3_DIRECT_PORT": "27001",
    "ACCEPTANCE_LAB_TOXIPROXY_PORT": "27474",
    "ACCEPTANCE_LAB_DEPLOYMENT": "install",
    "ACCEPTANCE_LAB_UPLOADER": UPLOADER,
    "ACCEPTANCE_LAB_STORAGE_CLASS": "fast-local",
    "ACCEPTANCE_LAB_VELERO_NAMESPACE": "backup-system",
    "ACCEPTANCE_LAB_LOCATION": "home-s3",
    "ACCEPTANCE_LAB_SCHEDULE": "nightly",
    "ACCEPTANCE_LAB_BUCKET": "home-backups",
    "ACCEPTANCE_LAB_PREFIX": "",
}
VELERO, CONTEXT = "backup-system", "account"
# What its owner has there: an application with a volume, in a namespace that the schedule backs up.
APPLICATION = """
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: records, namespace: database}
spec: {accessModes: [ReadWriteOnce], storageClassName: fast-local, resources: {requests: {storage: 1Gi}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: records, namespace: database}
spec:
  selector: {matchLabels: {app: records}}
  template:
    metadata: {labels: {app: records}}
    spec:
      containers:
        - name: records
          image: IMAGE
          imagePullPolicy: IfNotPresent
          args: [hold]
          volumeMounts: [{name: v, mountPath: /v}]
      volumes: [{name: v, persistentVolumeClaim: {claimName: records}}]
"""


@dataclass
class Home:
    """The cluster and its owner, who may do everything there."""

    lab: Lab
    facts: LabFacts
    folder: Path

    @staticmethod
    def up(folder: Path) -> Home:
        """Bring it up, with an application in it that its schedule has backed up once."""
        command("lab", "up")
        lab = Lab(LabSettings())
        facts = load(lab.settings)
        assert facts is not None
        home = Home(lab, facts, folder)
        home.lab.kubectl.apply(APPLICATION.replace("IMAGE", facts.corpus_image))
        home.kubectl("wait", "--for=condition=Available", "--timeout=300s", "-n", "database", "deployment/records")
        home.run_schedule()
        return home

    def kubectl(self, *arguments: str) -> str:
        """What kubectl prints for its owner."""
        return self.lab.kubectl.run(*arguments)

    def items(self, *arguments: str) -> list[Json]:
        """The objects that kubectl gets."""
        return list(json.loads(self.kubectl("get", "--output=json", *arguments))["items"])

    def run_schedule(self) -> None:
        """As if it were two in the morning: the schedule makes a backup, and that is completed."""
        yesterday = (datetime.now(UTC) - timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
        change = json.dumps({"status": {"lastBackup": yesterday}})
        self.kubectl("patch", "schedules.velero.io", "nightly", "-n", VELERO, "--type=merge", f"--patch={change}")
        poll(
            lambda: [phase_of(item) for item in self.items("backups.velero.io", "-n", VELERO)],
            until=lambda phases: phases == ["Completed"],
            event="the schedule's backup is completed",
            timeout=400,
            interval=1,
        )

    def account(self, name: str) -> Path:
        """A kubeconfig of the account that deploy/rbac/NAME.yaml makes, applied as docs/usage.md says."""
        for file in dict.fromkeys(("observe", name)):
            self.lab.kubectl.apply(
                (FOLDER / f"{file}.yaml").read_text().replace("namespace: velero", f"namespace: {VELERO}")
            )
        token = self.kubectl("create", "token", f"velero-acceptance-{name}", "-n", VELERO, "--duration=2h").strip()
        path = self.folder / f"{name}.kubeconfig"
        path.write_text(yaml.safe_dump(token_kubeconfig(self.facts.kubeconfig, None, SecretStr(token))))
        return path

    @property
    def context(self) -> str:
        """The context of its owner's kubeconfig."""
        return str(yaml.safe_load(self.facts.kubeconfig.read_text())["current-context"])

    def settings(self, folder: Path, kubeconfig: Path, context: str = CONTEXT) -> None:
        """Write the acceptance.toml that docs/usage.md shows, for this cluster."""
        current = {
            "kubeconfig": kubeconfig,
            "context": context,
            "velero_namespace": VELERO,
            "location": "home-s3",
            "schedule": "nightly",
            "bucket": "home-backups",
            "prefix": "",
            "storage_class": "fast-local",
            "s3_endpoint": self.facts.s3_direct_endpoint,
            "s3_authority": self.facts.authority,
        }
        lines = [f'{key} = "{value}"' for key, value in current.items()]
        text = ['target = "current"', "[current]", f'allowed_contexts = ["{context}"]', *lines]
        (folder / "acceptance.toml").write_text("\n".join(text) + "\n")

    def call(self, folder: Path, *program: str) -> subprocess.CompletedProcess[str]:
        """Run a program of the suite in *folder*, which has an acceptance.toml, with the suite's own least S3 keys."""
        environment = self._environment()
        return subprocess.run(program, cwd=folder, env=environment, capture_output=True, text=True, timeout=900)

    def start(self, folder: Path, *program: str) -> subprocess.Popen[str]:
        """Start a program as :meth:`call` runs one; what it says is not kept."""
        nowhere = subprocess.DEVNULL
        return subprocess.Popen(program, cwd=folder, env=self._environment(), stdout=nowhere, stderr=nowhere, text=True)

    def _environment(self) -> dict[str, str]:
        keys = self.facts.credentials()
        tools = [self.facts.oracle.parent, self.facts.corpus.parent, self.facts.velero_cli.parent]
        plain = {name: value for name, value in os.environ.items() if not name.startswith("ACCEPTANCE_LAB_")}
        return {
            **plain,
            # Its own memory of clusters: the next one of that name has another authority.
            "XDG_STATE_HOME": str(self.folder / "state"),
            "PATH": ":".join([*map(str, tools), f"{sys.prefix}/bin", os.environ["PATH"]]),
            "KUBECONFIG": str(self.facts.kubeconfig),
            "ACCEPTANCE_CURRENT__S3_ACCESS_KEY": keys.suite_access_key,
            "ACCEPTANCE_CURRENT__S3_SECRET_KEY": keys.suite_secret_key,
        }

    def requests_of(self, account: str) -> list[tuple[str, str]]:
        """What an account of deploy/rbac has asked the API server for, by its audit log: verb and resource."""
        user = f"system:serviceaccount:{VELERO}:velero-acceptance-{account}"
        entries = (json.loads(line) for line in self.facts.audit_log.read_text().splitlines() if user in line)
        return [
            (entry["verb"], (entry.get("objectRef") or {}).get("resource", entry["requestURI"]))
            for entry in entries
            if entry["user"]["username"] == user
        ]

    def own_objects(self) -> list[str]:
        """Objects of the suite that are still there."""
        kinds = "namespaces,backups.velero.io,restores.velero.io,schedules.velero.io,persistentvolumes,leases"
        names = [item["metadata"]["name"] for item in self.items(kinds, "--all-namespaces")]
        return [name for name in names if name.startswith(("acc-", "velero-acceptance"))]


def command(*arguments: str) -> str:
    """What ``acceptance …`` prints; it has to succeed."""
    done = subprocess.run(
        [Path(sys.prefix) / "bin/acceptance", *arguments], capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def report(folder: Path) -> Any:
    """The report that a run left."""
    return json.loads((folder / "reports/latest/traceability.json").read_text())
