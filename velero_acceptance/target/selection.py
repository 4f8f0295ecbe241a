"""Which clusters the suite may touch, and the environment it finds there."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import SecretStr

from velero_acceptance.core.errors import AcceptanceError, Refusal
from velero_acceptance.core.naming import DISRUPT_LABEL, DISRUPT_VALUE
from velero_acceptance.core.settings import CurrentTarget, Environment, S3Access, Settings, Target
from velero_acceptance.corpus import uploaders
from velero_acceptance.drivers.kinds import DEPLOYMENT, NAMESPACE, labels_of

if TYPE_CHECKING:
    from lab.lifecycle import Lab
    from velero_acceptance.drivers.kubernetes import Kubernetes

# What a kubeconfig may name by a path from its own folder.
FILES = frozenset({"certificate-authority", "client-certificate", "client-key", "tokenFile"})


def environment(settings: Settings, *, complete: bool = True, number: int = 1) -> Environment:
    """The environment of the run's target, of lab *number* of several; raises Refusal when it may not be touched.

    A run needs it to be *complete*: without S3's address and keys it is refused too.
    """
    if settings.target is Target.CURRENT:
        return _current(settings, complete)
    return _own(settings, number)


def environments(settings: Settings) -> list[Environment]:
    """The environment of the run's target, and of every lab that is up beside it; raises Refusal."""
    first = environment(settings)
    if settings.target is not Target.LAB:
        return [first]
    from lab.facts import load
    from lab.settings import LabSettings

    others = [number for number, lab in enumerate(LabSettings().all()[1:], start=2) if load(lab) is not None]
    return [first, *(environment(settings, number=number) for number in others)]


def cluster_of(target: Target, uploader: str | None = None, number: int = 1) -> Lab:
    """The cluster of a target that is ours to bring up and to break; with another *uploader* than its settings say.

    There may be several labs: *number* says which.
    """
    chosen: dict[str, Any] = {"uploader": uploader} if uploader else {}
    if target is Target.LAB:
        from lab.lifecycle import Lab
        from lab.settings import LabSettings

        return Lab(LabSettings(**chosen).beside(number))
    from lab.kind.cluster import KindCluster
    from lab.kind.settings import KindSettings

    return KindCluster(KindSettings(**chosen))


def _own(asked: Settings, number: int) -> Environment:
    from lab.facts import load
    from lab.settings import SYNC_FREQUENCY

    cluster = cluster_of(asked.target, number=number)
    facts = load(cluster.settings)
    if facts is None:
        raise Refusal(f"the {cluster.what} is not up: run `{cluster.command}`")
    keys = facts.credentials()
    return Environment(
        target=asked.target,
        name=facts.name,
        kubeconfig=facts.kubeconfig,
        velero_namespace=facts.velero_namespace,
        location=facts.location,
        schedule=facts.schedule,
        bucket=facts.bucket,
        prefix=facts.prefix,
        storage_class=facts.storage_class,
        s3=S3Access(
            endpoint=facts.s3_direct_endpoint,
            access_key=SecretStr(keys.admin_access_key),
            secret_key=SecretStr(keys.admin_secret_key),
            authority=facts.authority,
        ),
        toxiproxy=facts.toxiproxy,
        proxy=facts.proxy,
        prometheus=facts.prometheus,
        promtool=facts.promtool,
        alert_durations=facts.alert_durations,
        foreign_bucket=facts.other_bucket,
        gitops=facts.git_work,
        age_key=facts.age_key,
        audit_log=facts.audit_log,
        capture=facts.capture,
        s3_ports=facts.s3_ports,
        uploader=facts.uploader,
        oracle=facts.oracle,
        releases=facts.releases,
        corpus=facts.corpus,
        corpus_image=facts.corpus_image,
        velero_cli=facts.velero_cli,
        disk=cluster.state,
        cgroups=cluster.accounts,
        ledger=asked.ledger or cluster.state / "ledger.json",
        soak=cluster.state / "soak.json",
        notes={
            **facts.versions,
            "garbage collection frequency": f"{facts.garbage_collection_frequency} (design: 1h)",
            "kubelet sync period": f"{SYNC_FREQUENCY} (default: 1m)",
            "durations of the alerts": ", ".join(
                f"{given} for {real}" for real, given in facts.alert_durations.items()
            ),
            "nodes": cluster.nodes_note,
        },
    )


def with_uploader(environment: Environment, kubernetes: Kubernetes, asked: str | None) -> Environment:
    """The environment with the uploader of the Velero that is deployed; raises Refusal when another was *asked* for.

    Without a Velero it stays as it is: every scenario will say so.
    """
    deployment = kubernetes.get(DEPLOYMENT, "velero", environment.velero_namespace)
    if deployment is None:
        return environment
    (container, *_) = deployment["spec"]["template"]["spec"]["containers"]
    try:
        uploader = uploaders.of_server(container.get("args", []), container["image"]).name
    except AcceptanceError as error:
        raise Refusal(str(error)) from None
    if environment.target is Target.LAB and uploader != environment.uploader:
        raise Refusal(
            f"the lab was made with {environment.uploader} and backs up with {uploader}: "
            "a killed run has left an upgrade behind, run `acceptance sweep`"
        )
    if asked not in (None, uploader):
        raise Refusal(f"the deployed Velero backs up with {uploader}, not {asked}: leave --profile-uploader out")
    oracle = environment.oracle or _program(uploader)
    return environment.model_copy(update={"uploader": uploader, "oracle": oracle})


def state_folder() -> Path:
    """Where the suite keeps what it must not lose ($XDG_STATE_HOME)."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "velero-acceptance"


def allowed_context(current: CurrentTarget) -> str:
    """The context to use; raises Refusal unless it stands on the allow-list.

    Nobody runs a test against the wrong cluster by a forgotten ``kubectl config use-context``.
    """
    if not current.allowed_contexts:
        raise Refusal(
            "no context is on the allow-list: write acceptance.toml with allowed_contexts under [current] "
            "(see docs/usage.md), which names every cluster that the suite may touch"
        )
    if os.pathsep in str(current.kubeconfig):
        raise Refusal(f"KUBECONFIG names several files ({current.kubeconfig}): set current.kubeconfig to one of them")
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
            f"add it to allowed_contexts under [current] in acceptance.toml if the suite may touch that cluster"
        )
    return str(context)


def require_opt_in(kubernetes: Kubernetes, namespace: str) -> None:
    """Raise Refusal unless Velero's namespace is labelled as one whose cluster may be disrupted."""
    found = kubernetes.get(NAMESPACE, namespace)
    if found is None:
        raise Refusal(f"Velero's namespace {namespace} does not exist: set current.velero_namespace")
    if labels_of(found).get(DISRUPT_LABEL) != DISRUPT_VALUE:
        raise Refusal(
            "this cluster has not agreed to be disrupted: choose --profile exercise, or, if Velero and S3 may fail "
            f"for some time, `kubectl label namespace {namespace} {DISRUPT_LABEL}={DISRUPT_VALUE}`"
        )


def private_kubeconfig(environment: Environment, folder: Path) -> Path:
    """A kubeconfig of mode 0600 in *folder* that knows the environment's context and no other."""
    content = yaml.safe_load(environment.kubeconfig.read_text())
    here = environment.kubeconfig.absolute().parent
    context = next((c for c in content.get("contexts") or [] if c["name"] == environment.context), None)
    if context is None:
        raise Refusal(f"the kubeconfig {environment.kubeconfig} has no context {environment.context}")
    kept = {"clusters": context["context"].get("cluster"), "users": context["context"].get("user")}
    entries = {
        kind: [_absolute(dict(entry), here) for entry in content.get(kind) or [] if entry["name"] == name]
        for kind, name in kept.items()
    }
    path = folder / "kubeconfig"
    path.touch(mode=0o600)
    whole = {"apiVersion": "v1", "kind": "Config", **entries, "contexts": [context], "current-context": context["name"]}
    path.write_text(yaml.safe_dump(whole))
    return path


def _absolute(entry: dict[str, Any], folder: Path) -> dict[str, Any]:
    """A cluster or user whose files are named from the root, not from the kubeconfig's folder."""
    kind = next(key for key in entry if key != "name")
    values = {key: str(folder / value) if key in FILES else value for key, value in (entry[kind] or {}).items()}
    return {**entry, kind: values}


def _current(asked: Settings, complete: bool) -> Environment:
    current = asked.current
    context = allowed_context(current)
    if complete and not (current.s3_endpoint and current.s3_access_key and current.s3_secret_key):
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
            endpoint=current.s3_endpoint or "",
            access_key=current.s3_access_key or SecretStr(""),
            secret_key=current.s3_secret_key or SecretStr(""),
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
        prometheus=current.prometheus,
        promtool=_program("promtool"),
        corpus=_program("corpus"),
        corpus_image=current.corpus_image,
        velero_cli=_program("velero"),
        ledger=asked.ledger or kept / "ledger.json",
        soak=kept / "soak.json",
    )


def _program(name: str) -> Path | None:
    return Path(found) if (found := shutil.which(name)) else None
