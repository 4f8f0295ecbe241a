"""The rights of deploy/rbac, and which the account lacks by SelfSubjectAccessReviews, which store nothing."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import yaml

from velero_acceptance.core.installation import ROOT
from velero_acceptance.core.settings import Profile
from velero_acceptance.criteria.load import LOADER
from velero_acceptance.drivers.kinds import SELF_REVIEW, Json
from velero_acceptance.drivers.kubernetes import Kubernetes

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
