"""The doctor's findings about one target, and the exit code that follows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from velero_acceptance.core.errors import EXIT_FAILED, AcceptanceError, Refusal
from velero_acceptance.core.naming import DISRUPT_LABEL, DISRUPT_VALUE
from velero_acceptance.core.settings import Profile, Settings, Target
from velero_acceptance.core.timeouts import Timeouts
from velero_acceptance.criteria.load import load
from velero_acceptance.drivers.kubernetes import ApiError, Kubernetes
from velero_acceptance.drivers.velero import Velero
from velero_acceptance.gherkin.documents import read_all
from velero_acceptance.preconditions import permissions, runnable
from velero_acceptance.preconditions.findings import Finding, State, findings
from velero_acceptance.preconditions.permissions import Permission
from velero_acceptance.preconditions.probes import NEEDS, TargetProbe, missing
from velero_acceptance.preconditions.runnable import CriterionRunnability
from velero_acceptance.target.clocks import Clocks
from velero_acceptance.target.selection import environment, require_opt_in

# Needs that only S3 can answer.
OF_S3 = frozenset({"bucket_state", "s3_trace", "s3_administrator"})
SHOWN = 3


@dataclass(frozen=True)
class Diagnosis:
    """Findings, reasons by need (empty: it is met), missing permissions by profile, and what can run."""

    target: Target
    findings: list[Finding]
    needs: Mapping[str, str]
    permissions: Mapping[Profile, list[Permission]]
    runnable: list[CriterionRunnability]

    @property
    def exit_code(self) -> int:
        """1 when something is broken that every run needs; criteria that cannot run are no failure."""
        return EXIT_FAILED if any(finding.state is State.BROKEN for finding in self.findings) else 0

    def as_json(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "target": self.target,
            "exit_code": self.exit_code,
            "findings": [{"topic": f.topic, "state": f.state, "text": f.text} for f in self.findings],
            "needs": dict(self.needs),
            "rights": {profile: [str(right) for right in denied] for profile, denied in self.permissions.items()},
            "rows": [
                {
                    "criterion": row.criterion,
                    "planned": row.planned,
                    "profiles": {
                        profile: {
                            "can_run": str(found),
                            "scenarios": found.runnable,
                            "of": found.deciding,
                            "passive": found.passive,
                            "reasons": list(found.reasons),
                        }
                        for profile, found in row.profiles.items()
                    },
                }
                for row in self.runnable
            ],
        }


def diagnose(settings: Settings, timeouts: Timeouts) -> Diagnosis:
    """Examine the target of *settings*; raises Refusal when it may not be touched or is not there."""
    place = environment(settings, complete=False)
    kubernetes = Kubernetes(place.kubeconfig, place.context, call_seconds=timeouts["api_call"])
    try:
        kubernetes.version()
    except ApiError as error:
        raise Refusal(f"{error}: is the cluster up, and is {place.kubeconfig} its kubeconfig?") from None
    clocks = Clocks(kubernetes, nodes=place.target is not Target.LAB, seconds=timeouts["clocks_compared"]).start()
    velero = Velero(kubernetes, place.velero_namespace, place.location, timeouts)
    probe = TargetProbe(place, kubernetes, velero, timeouts, clocks)
    s3 = _s3_problem(probe)
    needs = {need: s3 if need in OF_S3 and s3 else _reason(need, probe) for need in NEEDS}
    denied = _denied(kubernetes, place.velero_namespace)
    refusals = {profile: s3 or _refusal(profile, probe, denied[profile]) for profile in Profile}
    found = runnable.runnability(load(), read_all(), runnable.suite_needs(), needs, refusals)
    return Diagnosis(place.target, list(findings(probe, s3)), needs, denied, found)


def _denied(kubernetes: Kubernetes, velero: str) -> dict[Profile, list[Permission]]:
    """The permissions that the account lacks for each profile; each is only checked once."""
    required = {profile: permissions.required_permissions(profile, velero) for profile in Profile}
    every = list(dict.fromkeys(right for listed in required.values() for right in listed))
    denied = set(permissions.missing_permissions(kubernetes, every))
    return {profile: [right for right in listed if right in denied] for profile, listed in required.items()}


def _s3_problem(probe: TargetProbe) -> str:
    """Why the bucket cannot be read; empty when it can."""
    access = probe.environment.s3
    if not (access.endpoint and access.access_key.get_secret_value() and access.secret_key.get_secret_value()):
        return (
            "S3 is not configured: set current.s3_endpoint in acceptance.toml, and ACCEPTANCE_CURRENT__S3_ACCESS_KEY "
            "and ACCEPTANCE_CURRENT__S3_SECRET_KEY in the environment"
        )
    try:
        probe.bucket.listing("velero-acceptance-nothing")
    except AcceptanceError as error:
        return str(error)
    return ""


def _reason(need: str, probe: TargetProbe) -> str:
    """Why the target does not meet *need*, or why that cannot be found out."""
    try:
        return missing(need, probe)
    except AcceptanceError as error:
        return str(error)


def _refusal(profile: Profile, probe: TargetProbe, denied: list[Permission]) -> str:
    """Why a run of *profile* would be refused or lacks rights; empty when it can start."""
    if profile.rank >= Profile.DISRUPT.rank and probe.environment.target is Target.CURRENT:
        try:
            require_opt_in(probe.kubernetes, probe.velero.namespace)
        except Refusal:
            return f"Velero's namespace is not labelled {DISRUPT_LABEL}={DISRUPT_VALUE}"
    if not denied:
        return ""
    more = f" and {len(denied) - SHOWN} more" if len(denied) > SHOWN else ""
    return f"the account lacks rights for {profile}: {', '.join(map(str, denied[:SHOWN]))}{more}"
