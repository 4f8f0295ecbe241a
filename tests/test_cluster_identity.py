"""A context that is another cluster than it was is refused: many clusters are called ``default``."""

from __future__ import annotations

import hashlib
import re
import ssl
from base64 import b64encode
from pathlib import Path

import pytest
import yaml

from tests.bad_servers import certificate
from velero_acceptance.core.errors import Refusal
from velero_acceptance.core.settings import CurrentTarget, Settings, Target
from velero_acceptance.target.selection import environment


class Machine:
    """A kubeconfig whose context ``default`` is one cluster or another."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / "config"

    def becomes(self, server: str, authority: str = "", *, data: bool = False) -> str:
        """Let it be the cluster at *server* with the CA of that name; return the digest of that."""
        cluster, digest = {"server": server}, ""
        if authority:
            pem = self.folder / authority
            text = (pem if pem.exists() else certificate(pem)).read_text()
            text = text[: text.index("-----BEGIN PRIVATE")]
            digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(text)).hexdigest()
            if data:
                cluster["certificate-authority-data"] = b64encode(text.encode()).decode()
            else:
                cluster["certificate-authority"] = authority
        content = {
            "clusters": [{"name": "c", "cluster": cluster}],
            "contexts": [{"name": "default", "context": {"cluster": "c"}}],
            "current-context": "default",
        }
        self.path.write_text(yaml.safe_dump(content))
        return digest

    def use(self, **clusters: str) -> None:
        contexts = [] if clusters else ["default"]
        current = CurrentTarget(kubeconfig=self.path, allowed_contexts=contexts, allowed_clusters=clusters)
        environment(Settings(target=Target.CURRENT, current=current), complete=False)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize("data", [True, False])
def test_another_cluster_of_that_name_is_refused_with_the_line_to_add(machine: Machine, data: bool) -> None:
    machine.becomes("https://10.0.0.1:6443", "home", data=data)
    machine.use()
    machine.use()
    digest = machine.becomes("https://10.0.0.1:6443", "work", data=data)  # also at the same address
    line = f'add `[current.allowed_clusters]` with `"default" = "sha256:{digest}"` to acceptance.toml'
    with pytest.raises(Refusal, match=re.escape(line)):
        machine.use()
    machine.use(default=f"sha256:{digest}")


def test_the_same_cluster_at_another_address_is_the_same(machine: Machine) -> None:
    machine.becomes("https://10.0.0.1:6443", "home")
    machine.use()
    machine.becomes("https://127.0.0.1:16443", "home", data=True)
    machine.use()


def test_without_a_ca_the_address_counts(machine: Machine) -> None:
    machine.becomes("https://home:6443")
    machine.use()
    machine.becomes("https://work:6443")
    with pytest.raises(Refusal, match=re.escape("was another cluster (https://home:6443)")):
        machine.use()


@pytest.mark.parametrize("form", ["address", "address/", "digest", "openssl"])
def test_the_settings_may_say_which_cluster_it_is(machine: Machine, form: str) -> None:
    digest = machine.becomes("https://10.0.0.1:6443", "home")
    colons = ":".join(digest[i : i + 2] for i in range(0, 64, 2)).upper()
    forms = {
        "address": "https://10.0.0.1:6443",
        "address/": "https://10.0.0.1:6443/",
        "digest": f"sha256:{digest}",
        "openssl": f"sha256:{colons}",
    }
    machine.use(default=forms[form])
    assert not (machine.folder / "state").exists(), "what the settings say needs no memory"
    machine.becomes("https://10.0.0.2:6443", "work")
    with pytest.raises(Refusal, match=r"under \[current\.allowed_clusters\] in acceptance\.toml: correct one of them"):
        machine.use(default=forms[form])


def test_a_damaged_memory_is_refused(machine: Machine) -> None:
    machine.becomes("https://home:6443")
    machine.use()
    (machine.folder / "state/velero-acceptance/clusters.json").write_text("{")
    with pytest.raises(Refusal, match="is damaged: remove it"):
        machine.use()
