"""Which clusters the suite may touch, and how it reaches the one of this run."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import SecretStr

from velero_acceptance.core.errors import AcceptanceError, Refusal
from velero_acceptance.core.files import write_whole
from velero_acceptance.core.installation import folder_of_user
from velero_acceptance.core.naming import DISRUPT_LABEL, DISRUPT_VALUE
from velero_acceptance.core.settings import CurrentTarget, Environment, S3Access, Settings, Target, TargetSettings
from velero_acceptance.corpus import uploaders
from velero_acceptance.drivers import kubeconfig as kubeconfigs
from velero_acceptance.drivers.kinds import DEPLOYMENT, NAMESPACE, labels_of
from velero_acceptance.target.identity import require_known

if TYPE_CHECKING:
    from lab.lifecycle import Lab
    from velero_acceptance.drivers.kubernetes import Kubernetes


def environment(settings: Settings, *, complete: bool = True, number: int = 1) -> Environment:
    """The environment of the run's target (lab *number* where there are several).

    Raises Refusal when it may not be touched and, unless *complete* is False, when S3's address or keys are not set.
    """
    return _current(settings, complete) if settings.target is Target.CURRENT else _own(settings, number)


def environments(settings: Settings) -> list[Environment]:
    """The environment of the run's target and of every further lab that is up; raises Refusal."""
    first = environment(settings)
    if settings.target is not Target.LAB:
        return [first]
    from lab.facts import load
    from lab.settings import LabSettings

    others = [number for number, lab in enumerate(LabSettings().all()[1:], start=2) if load(lab) is not None]
    return [first, *(environment(settings, number=number) for number in others)]


def cluster_of(target: Target, uploader: str | None = None, number: int = 1) -> Lab:
    """The lab (*number* of several) or the kind cluster, with *uploader* in place of its own."""
    chosen: dict[str, Any] = {"uploader": uploader} if uploader else {}
    if target is Target.LAB:
        from lab.lifecycle import Lab
        from lab.settings import LabSettings

        return Lab(LabSettings(**chosen).beside(number))
    from lab.kind.cluster import KindCluster
    from lab.kind.settings import KindSettings

    return KindCluster(KindSettings(**chosen))


def _own(asked: Settings, number: int) -> Environment:
    cluster = cluster_of(asked.target, number=number)
    from lab.facts import load
    from lab.settings import SYNC_FREQUENCY

    facts = load(cluster.settings)
    if facts is None:
        raise Refusal(f"the {cluster.what} is not up: run `{cluster.command}`")
    keys = facts.credentials()
    return Environment(
        **{name: value for name, value in dict(facts).items() if name in Environment.model_fields},
        target=asked.target,
        s3=S3Access(
            endpoint=facts.s3_direct_endpoint,
            access_key=SecretStr(keys.admin_access_key),
            secret_key=SecretStr(keys.admin_secret_key),
            authority=facts.authority,
        ),
        foreign_bucket=facts.other_bucket,
        gitops=facts.git_work,
        disk=cluster.state,
        cgroups=cluster.accounts,
        ledger=asked.ledger or cluster.state / "ledger.json",
        soak=cluster.state / "soak.json",
        notes={
            **facts.versions,
            "garbage collection frequency": f"{facts.garbage_collection_frequency} (design: 1h)",
            "kubelet sync period": f"{SYNC_FREQUENCY} (default: 1m)",
            "durations of the alerts": ", ".join(
                f"{short} for {long}" for long, short in facts.alert_durations.items()
            ),
            "nodes": cluster.nodes_note,
        },
    )


def with_uploader(environment: Environment, kubernetes: Kubernetes, asked: str | None) -> Environment:
    """The environment with the deployed Velero's uploader, if any; Refusal when another was *asked* for."""
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
            f"the lab was brought up with {environment.uploader} and backs up with {uploader}: "
            f"a killed run left its upgrade behind, run `{environment.target.command('sweep')}`"
        )
    if asked not in (None, uploader):
        raise Refusal(f"the deployed Velero backs up with {uploader}, not {asked}: leave --profile-uploader out")
    return environment.model_copy(update={"uploader": uploader, "oracle": environment.oracle or _program(uploader)})


def allowed_context(current: CurrentTarget) -> str:
    """The context to use, wherever kubectl's current one points; Refusal unless it is on the allow-list."""
    allowed = [*current.allowed_contexts, *current.allowed_clusters]
    if not allowed:
        raise Refusal(
            "no context is on the allow-list: write acceptance.toml with allowed_contexts under [current] "
            "(see docs/usage.md), which names every cluster that the suite may touch"
        )
    content = kubeconfigs.read(current.kubeconfig)
    context = kubeconfigs.context_of(current.kubeconfig, content, current.context)
    if context not in allowed:
        raise Refusal(
            f"the context {context} is not on the allow-list: "
            f"add it to allowed_contexts under [current] in acceptance.toml if the suite may touch that cluster"
        )
    return context


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
    """Write a kubeconfig of mode 0600 with the environment's context alone into *folder*; return its path."""
    path = folder / "kubeconfig"
    whole = kubeconfigs.only(environment.kubeconfig, environment.context)
    write_whole(path, yaml.safe_dump(whole), mode=0o600)
    return path


def _current(asked: Settings, complete: bool) -> Environment:
    current = asked.current
    context = allowed_context(current)
    require_known(current.kubeconfig, context, current.allowed_clusters.get(context))
    if complete and not (current.s3_endpoint and current.s3_access_key and current.s3_secret_key):
        raise Refusal(
            "current.s3_endpoint, current.s3_access_key and current.s3_secret_key are needed to look into the bucket: "
            "set them in acceptance.toml or as ACCEPTANCE_CURRENT__S3_ENDPOINT, …"
        )
    state = folder_of_user("XDG_STATE_HOME", ".local/state") / "velero-acceptance"
    kept = state / "clusters" / re.sub(r"[^A-Za-z0-9._-]+", "-", context)
    return Environment(
        **{name: getattr(current, name) for name in TargetSettings.model_fields if name != "context"},
        target=Target.CURRENT,
        kubeconfig=current.kubeconfig,
        context=context,
        s3=S3Access(
            endpoint=current.s3_endpoint or "",
            access_key=current.s3_access_key or SecretStr(""),
            secret_key=current.s3_secret_key or SecretStr(""),
            authority=current.s3_authority,
        ),
        promtool=_program("promtool"),
        corpus=_program("corpus"),
        velero_cli=_program("velero"),
        ledger=asked.ledger or kept / "ledger.json",
        soak=kept / "soak.json",
    )


def _program(name: str) -> Path | None:
    return Path(found) if (found := shutil.which(name)) else None
