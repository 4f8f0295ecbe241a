"""AC-007-02, NFR-SEC-001: whether a repository's Secrets are encrypted, match the cluster, and leave no key in clear.

Nothing here returns or prints a value: findings are names of files, Secrets and keys. Source of
the format: SOPS, README ("Encryption protocol"); of the labels: Flux, kustomize-controller.
"""

import base64
import binascii
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from velero_acceptance.checks.secret_forms import forms
from velero_acceptance.core.errors import AcceptanceError, Refusal
from velero_acceptance.core.redaction import encodings
from velero_acceptance.drivers.kinds import KUSTOMIZATION, SECRET, Json, labels_of, name_of
from velero_acceptance.drivers.sops import KEY_MARK, Sops

PARTS = ("data", "stringData")
# Files to fill in and encrypt; they are never applied.
EXAMPLE = re.compile(r"\.example\.ya?ml$")
YAML = re.compile(r"\.ya?ml$")
ENCRYPTED_FILES = "*.sops.yaml"
# The rules of SOPS itself, which are not encrypted.
RULES = ".sops.yaml"
SEALED = re.compile(r"ENC\[AES256_GCM,data:[A-Za-z0-9+/]+=*,iv:[A-Za-z0-9+/]+=*,tag:[A-Za-z0-9+/]+=*,type:\w+\]")
# SOPS does not encrypt empty values.
EMPTY = frozenset({"", "null", "~"})
# A file without the word holds no Secret, and may not even be YAML (a template, say).
MENTIONS = re.compile(r"\bSecret\b|^sops:", re.M)
APPLIED_BY = ("kustomize.toolkit.fluxcd.io/namespace", "kustomize.toolkit.fluxcd.io/name")
# Shorter values are found in a history by chance; ids of keys can be whole words.
SHORTEST, SHORTEST_ID = 8, 16


@dataclass(frozen=True)
class SecretFile:
    """A Secret in a file: the keys of its values, encrypted by SOPS or in clear, and whether it has a MAC."""

    file: str
    namespace: str
    name: str
    sealed: tuple[str, ...]
    open: tuple[str, ...]
    has_mac: bool
    encrypted_regex: str

    def __str__(self) -> str:
        return f"{self.file}: Secret {self.namespace}/{self.name}"

    @property
    def problems(self) -> list[str]:
        """Why the file must not be committed, a sentence each."""
        regex = f", left out by encrypted_regex {self.encrypted_regex}" if self.encrypted_regex else ""
        found = [f"{self}: {key} is not encrypted{regex}" for key in self.open]
        if self.sealed and not self.has_mac:
            found.append(f"{self}: its values look encrypted, but SOPS's MAC is missing")
        return found


def objects(file: str, text: str) -> list[Json]:
    """Every object in a YAML file, all values as text; AcceptanceError with the line of an error, never its content."""
    try:
        # The base loader converts no value, so that none can fail, e.g. an impossible date.
        documents = list(yaml.load_all(text, Loader=yaml.BaseLoader))
        return [item for document in documents for item in _items(document)]
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark else ""
        raise AcceptanceError(f"{file} is not valid YAML{where}, so its encryption cannot be checked") from None


def secrets_in(file: str, text: str) -> list[SecretFile]:
    """The Secrets in a file; none in an example, or in a file that is not YAML. Raises as ``objects``."""
    if not YAML.search(file) or EXAMPLE.search(file) or not MENTIONS.search(text):
        return []
    return [_secret_file(file, item) for item in objects(file, text) if _is_secret(item)]


def problems(file: str, text: str) -> list[str]:
    """Why a file must not be committed, for the lint and the hook; malformed YAML is a problem too."""
    try:
        found = [problem for secret in secrets_in(file, text) for problem in secret.problems]
    except AcceptanceError as error:
        return [str(error)]
    return found or ([] if EXAMPLE.search(file) else forms_in([(file, text.encode())]))


def open_leaves(secrets: Iterable[SecretFile]) -> list[str]:
    """Every value in clear, by the names of file, Secret and key."""
    return [f"{secret}: {key}" for secret in secrets for key in secret.open]


def _items(document: Any) -> Iterator[Json]:
    if isinstance(document, list):
        for entry in document:
            yield from _items(entry)
    elif isinstance(document, dict):
        if str(document.get("kind", "")).endswith("List") and isinstance(document.get("items"), list):
            yield from _items(document["items"])
        else:
            yield document


def _is_secret(item: Json) -> bool:
    """Also when SOPS has encrypted the kind, as it does without an encrypted_regex."""
    kind = str(item.get("kind", ""))
    return kind == SECRET.kind or SEALED.fullmatch(kind) is not None


def _secret_file(file: str, item: Json) -> SecretFile:
    leaves = {key: value for part in PARTS for key, value in _leaves(item.get(part), part) if value not in EMPTY}
    metadata, sops = _mapping(item.get("metadata")), _mapping(item.get("sops"))
    return SecretFile(
        file=file,
        namespace=str(metadata.get("namespace") or ""),
        name=str(metadata.get("name") or ""),
        sealed=tuple(key for key, value in leaves.items() if SEALED.fullmatch(value)),
        open=tuple(key for key, value in leaves.items() if not SEALED.fullmatch(value)),
        has_mac=SEALED.fullmatch(str(sops.get("mac"))) is not None,
        encrypted_regex=str(sops.get("encrypted_regex") or ""),
    )


def _leaves(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, below in value.items():
            yield from _leaves(below, f"{path}.{key}")
    elif isinstance(value, list):
        for index, below in enumerate(value):
            yield from _leaves(below, f"{path}[{index}]")
    elif value is not None:
        yield path, str(value)


def _mapping(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


def differences(decrypted: Json | None, live: Json | None) -> list[str]:
    """How a decrypted Secret of the repository and the one in the cluster differ, by their keys."""
    if decrypted is None:
        return ["not in the repository"]
    if live is None:
        return ["not in the cluster"]
    git, cluster = contents(decrypted), contents(live)
    return [
        *(f"{key} is only in the repository" for key in sorted(git.keys() - cluster.keys())),
        *(f"{key} is only in the cluster" for key in sorted(cluster.keys() - git.keys())),
        *(f"{key} differs" for key in sorted(git.keys() & cluster.keys()) if git[key] != cluster[key]),
    ]


def contents(secret: Json) -> dict[str, bytes]:
    """The values of a Secret as Kubernetes stores them: stringData overrides data."""
    try:
        data = {key: base64.b64decode(value, validate=True) for key, value in (secret.get("data") or {}).items()}
    except (binascii.Error, ValueError):
        raise AcceptanceError(f"Secret {name_of(secret)} has a value below data that is not base64") from None
    return {**data, **{key: str(value).encode() for key, value in (secret.get("stringData") or {}).items()}}


def not_decrypted(live: Json | None, in_cluster: Sequence[Json], in_git: Sequence[Json]) -> list[str]:
    """Why a live Secret did not come from a Kustomization with decryption, by Flux's labels, the cluster and Git."""
    if live is None:
        return ["not in the cluster"]
    namespace, name = (labels_of(live).get(label, "") for label in APPLIED_BY)
    if not name:
        return ["applied by no Kustomization of Flux"]
    found = []
    for place, known in (("cluster", in_cluster), ("repository", in_git)):
        own = [k for k in known if name_of(k) == name and k["metadata"].get("namespace", namespace) == namespace]
        if not own:
            found.append(f"the Kustomization {namespace}/{name} is not in the {place}")
        elif not all(map(_decrypts, own)):
            found.append(f"the Kustomization {namespace}/{name} in the {place} has no decryption by SOPS")
    return found


def flux_kustomizations(items: Iterable[Json]) -> list[Json]:
    """Flux's Kustomizations among the objects of a repository; kustomize's own have the same kind."""
    flux = f"{KUSTOMIZATION.group}/"
    return [k for k in items if k.get("kind") == KUSTOMIZATION.kind and str(k.get("apiVersion", "")).startswith(flux)]


def _decrypts(kustomization: Json) -> bool:
    decryption = _mapping(_mapping(kustomization.get("spec")).get("decryption"))
    return decryption.get("provider") == "sops" and bool(_mapping(decryption.get("secretRef")).get("name"))


def keys_of(secret: Json) -> dict[str, str]:
    """The key material in a Secret by name: a value of one line, or what follows each = in a longer one."""
    found = {}
    for key, value in contents(secret).items():
        label, text = f"{name_of(secret)}/{key}", value.decode(errors="replace").strip()
        if "\n" not in text:
            found[label] = text
        for line in text.splitlines():
            name, equals, right = (part.strip() for part in line.partition("="))
            if equals and right:
                found[f"{label} {name}"] = right
    return {k: v for k, v in found.items() if len(v) >= (SHORTEST_ID if k.endswith("_id") else SHORTEST)}


def found_in(contents: Iterable[tuple[object, bytes]], keys: Mapping[str, str]) -> list[str]:
    """Which of the *keys* are in *contents*, in any encoding, and where: by name, never by value."""
    wanted = {name: [form.encode() for form in encodings(value)] for name, value in sorted(keys.items())}
    return [
        f"{where}: {name}"
        for where, content in contents
        for name, encoded in wanted.items()
        if any(form in content for form in encoded)
    ]


def forms_in(contents: Iterable[tuple[object, bytes]]) -> list[str]:
    """What looks like a secret in *contents*, and where: by its form, never by value."""
    return [f"{where}: {form}" for where, content in contents for form in sorted(forms(content))]


def encrypted_files(folder: Path) -> list[Path]:
    """Every file of SOPS below *folder*; raises Refusal when there is none."""
    if not folder.is_dir():
        raise Refusal(f"{folder} is no folder: name the checkout of what Flux deploys")
    found = sorted(path for path in folder.rglob(ENCRYPTED_FILES) if ".git" not in path.parts and path.name != RULES)
    if not found:
        raise Refusal(f"{folder} holds no {ENCRYPTED_FILES}: name the checkout of what Flux deploys")
    return found


def require_key(path: Path) -> None:
    """Raise Refusal unless the file at *path* holds an age key; no value is ever shown."""
    import pyrage  # only `acceptance lint --age-key` needs it

    try:
        lines = [line.strip() for line in path.read_text().splitlines()]
    except OSError as error:
        raise Refusal(f"the age key {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise Refusal(f"{path} is no text: an age key is a line that begins with {KEY_MARK}") from None
    keys = [line for line in lines if line.startswith(KEY_MARK)]
    if not keys:
        raise Refusal(f"{path} holds no age key: a line that begins with {KEY_MARK} is missing")
    try:
        for key in keys:
            pyrage.x25519.Identity.from_str(key)
    except pyrage.IdentityError:
        raise Refusal(f"{path} holds a damaged age key") from None


def unopened(files: list[Path], sops: Sops) -> list[str]:
    """The *files* that the key does not open, a sentence each."""
    found = []
    for path in files:
        try:
            sops.decrypt(str(path), path.read_text())
        except AcceptanceError as error:
            found.append(str(error))
    return found
