"""Whether a context still is the cluster that it was: many clusters are called ``default``.

A cluster is identified by the SHA-256 of its CA, or by the address of its server where the kubeconfig names no CA.
"""

import hashlib
import json
import ssl
from base64 import b64decode
from contextlib import suppress
from pathlib import Path

from velero_acceptance.core.errors import Refusal
from velero_acceptance.core.files import read_text, write_whole
from velero_acceptance.core.installation import folder_of_user
from velero_acceptance.drivers.kinds import Json
from velero_acceptance.drivers.kubeconfig import AUTHORITY, only

DIGEST = "sha256:"
END = "-----END CERTIFICATE-----"


def require_known(kubeconfig: Path, context: str, allowed: str | None) -> None:
    """Raise Refusal when *context* is another cluster than the one *allowed* by the settings, or used at first.

    The first use of a context is remembered in the user's state folder.
    """
    found = identities(only(kubeconfig, context))
    if allowed is not None:
        if _normal(allowed) not in found:
            raise Refusal(
                f"the context {context} is {found[0]}, not the cluster {allowed} under [current.allowed_clusters] "
                "in acceptance.toml: correct one of them"
            )
        return
    path = folder_of_user("XDG_STATE_HOME", ".local/state") / "velero-acceptance" / "clusters.json"
    used = _used(path)
    if context not in used:
        with suppress(OSError):  # where nothing can be remembered, only the settings can tell
            write_whole(path, json.dumps({**used, context: found[0]}, indent=1, sort_keys=True) + "\n", mode=0o600)
    elif used[context] not in found:
        raise Refusal(
            f"the context {context} was another cluster ({used[context]}) when it was first used: if the suite may "
            f'touch this one, add `[current.allowed_clusters]` with `"{context}" = "{found[0]}"` to acceptance.toml'
        )


def identities(kubeconfig: Json) -> list[str]:
    """What identifies the cluster of a kubeconfig of one context: its CA, if it has one, then its server."""
    (entry,) = kubeconfig["clusters"]
    cluster, found = entry["cluster"], []
    pem = _authority(cluster)
    if END in pem:
        first = pem[: pem.index(END) + len(END)]
        with suppress(ValueError):
            found.append(
                DIGEST + hashlib.sha256(ssl.PEM_cert_to_DER_cert(first[first.index("-----BEGIN") :])).hexdigest()
            )
    return [*found, _normal(str(cluster.get("server", "")))]


def _authority(cluster: Json) -> str:
    """The CA in PEM; empty when there is none, or none that can be read: the client will say so."""
    with suppress(ValueError, Refusal):
        if data := cluster.get(f"{AUTHORITY}-data"):
            return b64decode(str(data)).decode()
        if AUTHORITY in cluster:
            return read_text(Path(cluster[AUTHORITY]))
    return ""


def _normal(identity: str) -> str:
    """An identity as `openssl x509 -fingerprint` or a kubeconfig may write it, in one form."""
    if identity.lower().startswith(DIGEST):
        return DIGEST + identity[len(DIGEST) :].replace(":", "").lower()
    return identity.rstrip("/")


def _used(path: Path) -> dict[str, str]:
    try:
        found = json.loads(read_text(path)) if path.exists() else {}
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise Refusal(f"{path} is damaged: remove it, and the clusters of all contexts are remembered again")
    return found
