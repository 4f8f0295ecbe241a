"""Which clusters the suite may touch, and the environment it finds there."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import yaml
from pydantic import SecretStr

from acceptance.errors import Refusal
from acceptance.settings import CurrentTarget, Environment, S3Access, Settings, Target


def environment(settings: Settings) -> Environment:
    """The environment of the run's target; raises Refusal when it may not be touched or is incomplete."""
    return _lab(settings) if settings.target is Target.LAB else _current(settings)


def _lab(asked: Settings) -> Environment:
    from lab.cgroups import Cgroups
    from lab.facts import load
    from lab.settings import SYNC_FREQUENCY, LabSettings

    settings = LabSettings()
    facts = load(settings)
    if facts is None:
        raise Refusal("the lab is not up: run `acceptance lab up`")
    keys = facts.credentials()
    return Environment(
        target=Target.LAB,
        kubeconfig=facts.kubeconfig,
        bucket=facts.bucket,
        storage_class=facts.storage_class,
        s3=S3Access(
            endpoint=facts.s3_direct_endpoint,
            access_key=SecretStr(keys.admin_access_key),
            secret_key=SecretStr(keys.admin_secret_key),
            authority=facts.authority,
        ),
        toxiproxy=facts.toxiproxy,
        proxy=facts.proxy,
        foreign_bucket=facts.other_bucket,
        gitops=facts.git_work,
        age_key=facts.age_key,
        audit_log=facts.audit_log,
        capture=facts.capture,
        s3_ports=facts.s3_ports,
        restic=facts.restic,
        corpus=facts.corpus,
        corpus_image=facts.corpus_image,
        velero_cli=facts.velero_cli,
        disk=settings.state,
        cgroups=Cgroups(settings.name).cpu,
        ledger=asked.ledger or settings.state / "ledger.json",
        soak=settings.state / "soak.json",
        notes={
            **facts.versions,
            "garbage collection frequency": f"{facts.garbage_collection_frequency} (design: 1h)",
            "kubelet sync period": f"{SYNC_FREQUENCY} (default: 1m)",
            "nodes": "3, namespaces of one machine",
        },
    )


def state_folder() -> Path:
    """Where the suite keeps what it must not lose ($XDG_STATE_HOME)."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "velero-acceptance"


def allowed_context(current: CurrentTarget) -> str:
    """The context to use; raises Refusal unless it stands on the allow-list.

    Nobody runs a test against the wrong cluster by a forgotten ``kubectl config use-context``.
    """
    try:
        content = yaml.safe_load(current.kubeconfig.read_text()) or {}
    except OSError as error:
        raise Refusal(
            f"the kubeconfig {current.kubeconfig} cannot be read ({error.strerror}): set KUBECONFIG"
        ) from None
    except yaml.YAMLError:
        raise Refusal(f"the kubeconfig {current.kubeconfig} is not valid YAML") from None
    context = current.context or content.get("current-context")
    if not context:
        raise Refusal(f"the kubeconfig {current.kubeconfig} has no current context: set current.context")
    if context not in current.allowed_contexts:
        raise Refusal(
            f"the context {context} is not on the allow-list: "
            f"add it to allowed_contexts under [current] in acceptance.toml if the suite may write to that cluster"
        )
    return str(context)


def _current(asked: Settings) -> Environment:
    current = asked.current
    context = allowed_context(current)
    if current.s3_endpoint is None or current.s3_access_key is None or current.s3_secret_key is None:
        raise Refusal(
            "current.s3_endpoint, current.s3_access_key and current.s3_secret_key are needed to look into the bucket: "
            "set them in acceptance.toml or as ACCEPTANCE_CURRENT__S3_ENDPOINT, …"
        )
    kept = state_folder() / "clusters" / re.sub(r"[^A-Za-z0-9._-]+", "-", context)
    return Environment(
        target=Target.CURRENT,
        kubeconfig=current.kubeconfig,
        context=context,
        velero_namespace=current.velero_namespace,
        location=current.location,
        schedule=current.schedule,
        bucket=current.bucket,
        prefix=current.prefix,
        storage_class=current.storage_class,
        s3=S3Access(
            endpoint=current.s3_endpoint,
            access_key=current.s3_access_key,
            secret_key=current.s3_secret_key,
            authority=current.s3_authority,
        ),
        foreign_bucket=current.foreign_bucket,
        gitops=current.gitops,
        age_key=current.age_key,
        flux_namespace=current.flux_namespace,
        flux_name=current.flux_name,
        audit_log=current.audit_log,
        capture=current.capture,
        s3_ports=current.s3_ports,
        restic=_program("restic"),
        corpus=_program("corpus"),
        corpus_image=current.corpus_image,
        velero_cli=Path(found) if (found := shutil.which("velero")) else None,
        ledger=asked.ledger or kept / "ledger.json",
        soak=kept / "soak.json",
    )


def _program(name: str) -> Path:
    found = shutil.which(name)
    if found is None:
        raise Refusal(f"{name} is missing in PATH: `acceptance lab up` builds or unpacks it, or install it")
    return Path(found)
