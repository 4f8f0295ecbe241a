"""Who can read the S3 credentials: pods that use the Secret, and texts that contain key material."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from velero_acceptance.core.redaction import SHORTEST, encodings
from velero_acceptance.drivers.kinds import Json, name_of

CREDENTIALS = "/credentials"
FILE_VARIABLE = "AWS_SHARED_CREDENTIALS_FILE"


def users_of(secret: str, pods: Iterable[Json]) -> dict[str, str]:
    """Pods that mount *secret* or take a variable from it: ``volume`` or ``environment`` by ``namespace/name``."""
    return {
        f"{pod['metadata']['namespace']}/{name_of(pod)}": how
        for pod in pods
        if (how := _use(secret, pod["spec"])) != ""
    }


def _use(secret: str, spec: Json) -> str:
    volumes = spec.get("volumes") or []
    sources = [v.get("secret", {}).get("secretName") for v in volumes]
    sources += [s.get("secret", {}).get("name") for v in volumes for s in v.get("projected", {}).get("sources", [])]
    if secret in sources:
        return "volume"
    kinds = ("containers", "initContainers", "ephemeralContainers")
    for container in (c for kind in kinds for c in spec.get(kind) or []):
        taken = [e.get("valueFrom", {}).get("secretKeyRef", {}).get("name") for e in container.get("env") or []]
        taken += [e.get("secretRef", {}).get("name") for e in container.get("envFrom") or []]
        if secret in taken:
            return "environment"
    return ""


def mount_problem(pod: Json, container: str, secret: str) -> str:
    """What is wrong with how *container* gets its credentials; empty when nothing is."""
    found = next(c for c in pod["spec"]["containers"] if c["name"] == container)
    names = {v["name"] for v in pod["spec"]["volumes"] if v.get("secret", {}).get("secretName") == secret}
    mounted = [m for m in found["volumeMounts"] if m["name"] in names and m["mountPath"] == CREDENTIALS]
    if not mounted:
        return f"{name_of(pod)}: {container} does not mount {secret} at {CREDENTIALS}"
    values = {e["name"]: e.get("value", "") for e in found.get("env", [])}
    if not values.get(FILE_VARIABLE, "").startswith(f"{CREDENTIALS}/"):
        return f"{name_of(pod)}: {container} has no {FILE_VARIABLE} below {CREDENTIALS}"
    return ""


def file_mode(pod: Json, secret: str) -> str:
    """The mode of the credentials file in the pod's specification; Kubernetes' default is 0644."""
    volume = next(v for v in pod["spec"]["volumes"] if v.get("secret", {}).get("secretName") == secret)
    return f"{volume['secret'].get('defaultMode', 0o644):04o}"


def key_material(cloud: str) -> set[str]:
    """The values in an AWS credentials file."""
    values = (line.partition("=")[2].strip() for line in cloud.splitlines())
    return {value for value in values if len(value) >= SHORTEST}


def places(material: Iterable[str], texts: Mapping[str, str]) -> list[str]:
    """The names of the *texts* that contain any of *material*, in any encoding."""
    forms = {form for value in material for form in encodings(value)}
    return sorted(name for name, text in texts.items() if any(form in text for form in forms))


def text_of(item: Any) -> str:
    """The text of an object to search: everything in it, keys and values."""
    return json.dumps(item)
