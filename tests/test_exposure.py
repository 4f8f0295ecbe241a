"""Who takes the secret, and where its keys show."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from fixtures.storage.credentials import S3Keys
from fixtures.storage.secret_search import _decoded
from velero_acceptance.checks import secret_exposure
from velero_acceptance.core.errors import AcceptanceError

SECRET = "velero-s3-secret"
CLOUD = "[default]\naws_access_key_id = VELERO-KEY-ID\naws_secret_access_key=a/secret+key=\nregion = us\n"
CONTAINER: dict[str, Any] = {"name": "c", "image": "x"}
ENVIRONMENT = {"name": "AWS_SHARED_CREDENTIALS_FILE", "value": "/credentials/cloud"}
MOUNT = {"name": "cloud-credentials", "mountPath": "/credentials"}
VOLUME: dict[str, Any] = {"name": "cloud-credentials", "secret": {"secretName": SECRET}}

VARIABLE = {"name": "X", "valueFrom": {"secretKeyRef": {"name": SECRET}}}


def pod(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "p", "namespace": "velero"}, "spec": {"containers": [CONTAINER], **spec}}


@pytest.mark.parametrize(
    ("spec", "how"),
    [
        ({"volumes": [VOLUME]}, "volume"),
        ({"volumes": [{"name": "v", "projected": {"sources": [{"secret": {"name": SECRET}}]}}]}, "volume"),
        ({"containers": [{**CONTAINER, "env": [VARIABLE]}]}, "environment"),
        ({"initContainers": [{**CONTAINER, "envFrom": [{"secretRef": {"name": SECRET}}]}]}, "environment"),
        ({"ephemeralContainers": [{**CONTAINER, "envFrom": [{"secretRef": {"name": SECRET}}]}]}, "environment"),
    ],
)
def test_every_way_to_take_the_secret_is_found(spec: dict[str, Any], how: str) -> None:
    assert secret_exposure.users_of(SECRET, [pod(**spec)]) == {"velero/p": how}
    assert secret_exposure.users_of("another", [pod(**spec)]) == {}


@pytest.mark.parametrize(
    ("container", "volumes", "says"),
    [
        ({"volumeMounts": [MOUNT], "env": [ENVIRONMENT]}, [VOLUME], ""),
        ({"volumeMounts": [], "env": [ENVIRONMENT]}, [VOLUME], "does not mount"),
        ({"volumeMounts": [{**MOUNT, "mountPath": "/other"}], "env": [ENVIRONMENT]}, [VOLUME], "does not mount"),
        ({"volumeMounts": [MOUNT], "env": [ENVIRONMENT]}, [{"name": "cloud-credentials", "emptyDir": {}}], "not mount"),
        ({"volumeMounts": [MOUNT], "env": []}, [VOLUME], "has no AWS_SHARED_CREDENTIALS_FILE"),
    ],
)
def test_a_missing_mount_is_red(container: dict[str, Any], volumes: list[dict[str, Any]], says: str) -> None:
    found = secret_exposure.mount_problem(pod(containers=[{**CONTAINER, **container}], volumes=volumes), "c", SECRET)
    assert (says in found) and bool(found) == bool(says)


def test_the_mode_of_the_file() -> None:
    assert secret_exposure.file_mode(pod(volumes=[VOLUME]), SECRET) == "0644"
    strict = {**VOLUME, "secret": {**VOLUME["secret"], "defaultMode": 0o400}}
    assert secret_exposure.file_mode(pod(volumes=[strict]), SECRET) == "0400"


def test_keys_are_the_values_of_the_file() -> None:
    assert secret_exposure.key_material(CLOUD) == {"VELERO-KEY-ID", "a/secret+key="}


@pytest.mark.parametrize(
    "text",
    [
        "--key=VELERO-KEY-ID",
        "https://s3/?x=a%2Fsecret%2Bkey%3D",
        base64.b64encode(b"a/secret+key=").decode(),
        *(base64.b64encode(b"x" * n + CLOUD.encode()).decode() for n in range(4)),
    ],
)
def test_a_key_in_any_form_is_found(text: str) -> None:
    assert secret_exposure.places(secret_exposure.key_material(CLOUD), {"a": text, "b": "nothing"}) == ["a"]


def test_ordinary_text_is_not_a_key() -> None:
    assert secret_exposure.places(secret_exposure.key_material(CLOUD), {"a": "velero key id, a secret key"}) == []


def test_a_secret_is_searched_in_the_clear_and_a_helm_release_unpacked() -> None:
    import gzip

    plain = {"metadata": {"name": "s"}, "data": {"x": base64.b64encode(b"VELERO-KEY-ID").decode()}}
    assert "VELERO-KEY-ID" in _decoded(plain)
    release = base64.b64encode(base64.b64encode(gzip.compress(b"VELERO-KEY-ID"))).decode()
    assert "VELERO-KEY-ID" in _decoded(
        {"metadata": {"name": "s"}, "type": "helm.sh/release.v1", "data": {"release": release}}
    )
    broken = base64.b64encode(b"no gzip").decode()
    assert "no gzip" in _decoded({"metadata": {}, "type": "helm.sh/release.v1", "data": {"release": broken}})


def test_keys_are_read_and_never_printed() -> None:
    keys = S3Keys.parse(CLOUD)
    assert (keys.access_key, keys.secret_key) == ("VELERO-KEY-ID", "a/secret+key=")
    assert "secret" not in repr(keys) and "VELERO" not in str(keys)
    with pytest.raises(AcceptanceError, match="holds no aws_access_key_id"):
        S3Keys.parse("[default]\n")
