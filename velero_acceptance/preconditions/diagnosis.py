"""The doctor's findings about one target, and the exit code that follows."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import yaml

from velero_acceptance.core.errors import EXIT_FAILED, AcceptanceError, Refusal
from velero_acceptance.core.installation import ROOT
from velero_acceptance.core.naming import DISRUPT_LABEL, DISRUPT_VALUE
from velero_acceptance.core.redaction import KNOWN
from velero_acceptance.core.settings import Profile, Settings, Target
from velero_acceptance.core.timeouts import Timeouts
from velero_acceptance.criteria.load import LOADER, load
from velero_acceptance.drivers.kinds import SELF_REVIEW, Json
from velero_acceptance.drivers.kubernetes import Kubernetes
from velero_acceptance.drivers.velero import Velero
from velero_acceptance.gherkin.documents import read_all
from velero_acceptance.preconditions import runnable
from velero_acceptance.preconditions.findings import Finding, State, findings
from velero_acceptance.preconditions.probes import NEEDS, TargetProbe, missing
from velero_acceptance.preconditions.runnable import CriterionRunnability
from velero_acceptance.target.clocks import Clocks
from velero_acceptance.target.selection import environment, require_opt_in

# Needs that only S3 can answer.
OF_S3 = frozenset({"bucket_state", "s3_trace", "s3_administrator"})
SHOWN = 3
# The rights that runs need. What the account lacks is asked by SelfSubjectAccessReviews, which store nothing.
FOLDER = ROOT / "deploy/rbac"
FILES = {Profile.OBSERVE: ("observe",), Profile.EXERCISE: ("observe", "exercise")}
AT_ONCE = 4


@dataclass(frozen=True)
class Permission:
    """A verb on a resource (with its part, e.g. ``pods/log``), in one namespace or in all."""

    verb: str
    group: str
    resource: str
    namespace: str = ""

    def __str__(self) -> str:
        resource = f"{self.resource}.{self.group}" if self.group else self.resource
        return f"{self.verb} {resource}" + (f" in {self.namespace}" if self.namespace else "")


def required_permissions(profile: Profile, velero: str) -> list[Permission]:
    """The permissions for a run of *profile* with Velero in the namespace *velero*; above exercise everything."""
    if profile not in FILES:
        return [Permission("*", "*", "*")]
    documents = (document for name in FILES[profile] for document in roles(name))
    return list(dict.fromkeys(right for document in documents for right in _rights(document, velero)))


def roles(name: str) -> list[Json]:
    """The ClusterRole and the Role of a file of deploy/rbac."""
    documents = yaml.load_all((FOLDER / f"{name}.yaml").read_text(), LOADER)
    return [document for document in documents if document["kind"] in ("ClusterRole", "Role")]


def missing_permissions(kubernetes: Kubernetes, rights: list[Permission]) -> list[Permission]:
    """Those of *rights* that the account lacks."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(lambda right: _allowed(kubernetes, right), rights))
    return [right for right, allowed in zip(rights, answers, strict=True) if not allowed]


def _rights(role: Json, velero: str) -> Iterator[Permission]:
    namespace = velero if role["kind"] == "Role" else ""
    for rule in role["rules"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                yield from (Permission(verb, group, resource, namespace) for verb in rule["verbs"])


def _allowed(kubernetes: Kubernetes, right: Permission) -> bool:
    resource, _, part = right.resource.partition("/")
    asked = {"verb": right.verb, "group": right.group, "resource": resource}
    asked |= {key: value for key, value in (("subresource", part), ("namespace", right.namespace)) if value}
    review = {"metadata": {}, "spec": {"resourceAttributes": asked}}
    return bool(kubernetes.create(SELF_REVIEW, review)["status"]["allowed"])


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
    kubernetes.version()
    clocks = Clocks(kubernetes, nodes=place.target is not Target.LAB, seconds=timeouts["clocks_compared"]).start()
    velero = Velero(kubernetes, place.velero_namespace, place.location, timeouts)
    probe = TargetProbe(place, kubernetes, velero, timeouts, clocks)
    s3 = _s3_problem(probe)
    needs = {need: s3 if need in OF_S3 and s3 else _reason(need, probe) for need in NEEDS}
    denied = _denied(kubernetes, place.velero_namespace)
    refusals = {profile: s3 or _refusal(profile, probe, denied[profile]) for profile in Profile}
    found = runnable.runnability(load(), read_all(), runnable.suite_needs(), needs, refusals)
    shown = [replace(finding, text=KNOWN.text(finding.text)) for finding in findings(probe, s3)]
    return Diagnosis(place.target, shown, needs, denied, found)


def _denied(kubernetes: Kubernetes, velero: str) -> dict[Profile, list[Permission]]:
    """The permissions that the account lacks for each profile; each is only checked once."""
    required = {profile: required_permissions(profile, velero) for profile in Profile}
    every = list(dict.fromkeys(right for listed in required.values() for right in listed))
    denied = set(missing_permissions(kubernetes, every))
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
        return KNOWN.text(missing(need, probe))
    except AcceptanceError as error:
        return KNOWN.text(str(error))


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
