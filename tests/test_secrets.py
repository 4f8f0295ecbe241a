"""The checks of Secrets in Git, each going red; with the real SOPS and an age key of our own."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fixtures.gitops.secrets import DAMAGES, PLANTS, SecretsRepository, damage, hook_objections, plant
from velero_acceptance.checks import git_secrets
from velero_acceptance.core.errors import AcceptanceError
from velero_acceptance.drivers.git import ENVIRONMENT, Checkout
from velero_acceptance.drivers.kinds import Json
from velero_acceptance.drivers.sops import MacMismatch, Sops

ALL = "^(data|stringData)$"
KEY = "S3cr3t-K3y-0f-Velero/+x="
PLAIN = f"""apiVersion: v1
kind: Secret
metadata:
  name: velero-s3-secret
  namespace: velero
type: Opaque
stringData:
  cloud: |
    [default]
    aws_access_key_id = lab-velero-0123456789ab
    aws_secret_access_key = {KEY}
  other: second value
"""
CONFIG_MAP = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: beside}\ndata: {open: as it may be}\n"


@pytest.fixture
def sops(tmp_path: Path) -> Sops:
    return Sops.with_new_key(tmp_path)


@pytest.fixture
def encrypted(sops: Sops) -> str:
    return sops.encrypt("x", PLAIN, ALL)


def found(text: str, file: str = "x.sops.yaml") -> list[str]:
    return git_secrets.open_leaves(git_secrets.secrets_in(file, text))


# -- values --------------------------------------------------------------------------------


def test_an_encrypted_secret_has_no_problem(encrypted: str) -> None:
    (secret,) = git_secrets.secrets_in("x.sops.yaml", encrypted)
    assert secret.sealed == ("stringData.cloud", "stringData.other")
    assert (secret.open, secret.problems) == ((), [])


def test_every_value_in_the_clear_is_named_and_none_is_shown() -> None:
    assert [line.rpartition(" ")[2] for line in found(PLAIN)] == ["stringData.cloud", "stringData.other"]
    shown = "\n".join(git_secrets.problems("x.yaml", PLAIN))
    assert "x.yaml: Secret velero/velero-s3-secret: stringData.cloud is not encrypted" in shown
    assert KEY not in shown and "second value" not in shown


def test_a_regex_that_leaves_a_value_open_is_named(sops: Sops) -> None:
    half = sops.encrypt("x", PLAIN, "^cloud$")
    (sentence,) = git_secrets.problems("x.sops.yaml", half)
    assert sentence.endswith("stringData.other is not encrypted, left out by encrypted_regex ^cloud$")
    both = PLAIN + "data:\n  more: dmFsdWU=\n"
    assert found(sops.encrypt("x", both, "^stringData$")) == ["x.sops.yaml: Secret velero/velero-s3-secret: data.more"]


def test_every_document_and_every_list_is_looked_into(encrypted: str) -> None:
    assert len(found(f"{encrypted}---\n{PLAIN}")) == 2
    assert len(found(f"{CONFIG_MAP}---\n{PLAIN}")) == 2
    indented = "".join(f"    {line}\n" for line in PLAIN.splitlines())
    assert len(found(f"apiVersion: v1\nkind: List\nitems:\n  -\n{indented}")) == 2
    assert len(found(f"-\n{indented}")) == 2


def test_a_multi_document_file_of_sops_has_no_problem(sops: Sops) -> None:
    assert git_secrets.problems("x.sops.yaml", sops.encrypt("x", f"{PLAIN}---\n{PLAIN}", ALL)) == []


@pytest.mark.parametrize(
    "text", [CONFIG_MAP, CONFIG_MAP.replace("ConfigMap", "ExternalSecret"), "", "a: 1\n", "- Secret"]
)
def test_other_kinds_are_ignored(text: str) -> None:
    assert git_secrets.secrets_in("x.yaml", text) == []


def test_examples_and_other_files_are_ignored() -> None:
    assert git_secrets.secrets_in("x.example.yaml", PLAIN) == [] == git_secrets.secrets_in("README.md", PLAIN)
    assert found(PLAIN, "example.yaml") and found(PLAIN, "x.yml")


def test_a_secret_whose_kind_is_encrypted_too_is_a_secret(sops: Sops) -> None:
    (secret,) = git_secrets.secrets_in("x.sops.yaml", sops.encrypt("x", PLAIN, ".*"))
    assert len(secret.sealed) == 2 and secret.problems == []


def test_values_without_content_need_no_encryption(sops: Sops) -> None:
    text = sops.encrypt("x", 'kind: Secret\nmetadata: {name: a}\nstringData: {a: "", b: null, c: text}\n', ALL)
    assert git_secrets.problems("x.yaml", text) == []
    assert git_secrets.problems("x.yaml", "kind: Secret\nmetadata: {name: token}\n") == []


@pytest.mark.parametrize(
    "value", ["ENC[no]", "ENC[AES256_GCM,data:QQ==,iv:QQ==,tag:QQ==,type:str] and more", "2026-13-45", "12", "[a, b]"]
)
def test_what_only_looks_encrypted_is_open(value: str) -> None:
    assert found(f"kind: Secret\nmetadata: {{name: a}}\nstringData:\n  k: {value}\n")


def test_a_missing_mac_is_a_problem(encrypted: str, sops: Sops) -> None:
    without = "".join(line for line in encrypted.splitlines(True) if not line.startswith("    mac:"))
    assert "MAC is missing" in git_secrets.problems("x.sops.yaml", without)[0]
    with pytest.raises(MacMismatch, match="x: its MAC does not match"):
        sops.decrypt("x", without)


@pytest.mark.parametrize(
    "text", [f"{PLAIN}  bad: [\n", f"{PLAIN}\tpassword: {KEY}\n", f"{PLAIN}\x00", f"{PLAIN}  *{KEY}"]
)
def test_malformed_yaml_is_one_sentence_without_its_content(text: str) -> None:
    (sentence,) = git_secrets.problems("x.yaml", text)
    assert sentence.startswith("x.yaml is not valid YAML") and "\n" not in sentence and KEY not in sentence


def test_a_template_that_names_no_secret_need_not_be_yaml() -> None:
    assert git_secrets.problems("x.yaml", "{{ if .x }}\nkind: Deployment\n{{ end }}") == []


# -- SOPS ----------------------------------------------------------------------------------


def test_what_was_encrypted_is_decrypted_and_not_printed(sops: Sops, encrypted: str) -> None:
    plain = sops.decrypt("x", encrypted)
    assert KEY in plain.get_secret_value() and KEY not in repr(plain)
    (secret,) = git_secrets.objects("x", plain.get_secret_value())
    assert git_secrets.contents(secret)["other"] == b"second value"


@pytest.mark.parametrize("how", DAMAGES)
def test_no_damage_passes(sops: Sops, encrypted: str, how: str) -> None:
    damaged = damage(how, encrypted)
    assert abs(len(damaged.splitlines()) - len(encrypted.splitlines())) <= 1 and damaged != encrypted
    with pytest.raises(MacMismatch):
        sops.decrypt("x", damaged)


def test_damage_is_not_done_to_a_comment_which_sops_lets_pass(sops: Sops) -> None:
    text = sops.encrypt("x", PLAIN.replace("  cloud:", "  # a note\n  cloud:"), ALL)
    assert "#ENC[" in text
    for how in DAMAGES:
        with pytest.raises(MacMismatch):
            sops.decrypt("x", damage(how, text))


def test_a_plaintext_value_that_was_added_is_not_shown(sops: Sops, encrypted: str) -> None:
    with pytest.raises(MacMismatch) as caught:
        sops.decrypt("x", encrypted.replace("    other:", f"    added: {KEY}\n    other:"))
    assert str(caught.value) == "x: a value cannot be decrypted"


def test_a_changed_name_breaks_the_mac(sops: Sops, encrypted: str) -> None:
    with pytest.raises(MacMismatch, match="MAC does not match"):
        sops.decrypt("x", encrypted.replace("name: velero-s3-secret", "name: other"))


def test_another_key_and_a_plain_file_are_told_apart_from_damage(encrypted: str, tmp_path: Path, sops: Sops) -> None:
    (tmp_path / "other").mkdir()
    for who, text, says in (
        (Sops.with_new_key(tmp_path / "other"), encrypted, "x: none of the keys given opens it"),
        (sops, PLAIN, "x: it is not a file of SOPS"),
    ):
        with pytest.raises(AcceptanceError) as caught:
            who.decrypt("x", text)
        assert not isinstance(caught.value, MacMismatch) and str(caught.value) == says


def test_a_key_file_without_a_key_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("# nothing\n")
    with pytest.raises(AcceptanceError, match="holds no age key"):
        Sops(tmp_path / "empty").encrypt("x", PLAIN, ALL)


def test_a_file_without_encrypted_values_cannot_be_damaged() -> None:
    with pytest.raises(AcceptanceError, match="no encrypted value"):
        damage("a value added", PLAIN)


# -- the cluster ---------------------------------------------------------------------------


def live(**change: str) -> Json:
    values = {"cloud": "[default]\n", "other": "second", **change}
    labels = dict(zip(git_secrets.APPLIED_BY, ("flux-system", "velero"), strict=True))
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    return {"metadata": {"name": "s", "labels": labels}, "data": data}


GIT: Json = {"metadata": {"name": "s"}, "stringData": {"cloud": "[default]\n"}, "data": {"other": "c2Vjb25k"}}


def test_equal_contents_are_equal_wherever_they_stand() -> None:
    assert git_secrets.differences(GIT, live()) == []


@pytest.mark.parametrize(
    ("git", "cluster", "says"),
    [
        (GIT, live(other="third"), "other differs"),
        (GIT, live(cloud="[default]"), "cloud differs"),
        (GIT, live(more="m"), "more is only in the cluster"),
        ({**GIT, "data": {"other": "c2Vjb25k", "new": "bmV3"}}, live(), "new is only in the repository"),
        (None, live(), "not in the repository"),
        (GIT, None, "not in the cluster"),
    ],
)
def test_every_difference_is_named(git: Json | None, cluster: Json | None, says: str) -> None:
    assert git_secrets.differences(git, cluster) == [says]


def test_data_that_is_not_base64_is_one_sentence() -> None:
    with pytest.raises(AcceptanceError, match="not base64"):
        git_secrets.differences({"metadata": {"name": "s"}, "data": {"a": "%%"}}, live())


def kustomization(**change: Any) -> Json:
    spec = {"decryption": {"provider": "sops", "secretRef": {"name": "sops-age"}}}
    metadata = {"name": "velero", "namespace": "flux-system"}
    return {
        "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
        "kind": "Kustomization",
        "metadata": metadata,
        "spec": spec,
        **change,
    }


def test_a_secret_through_a_decrypting_kustomization_is_fine() -> None:
    without_namespace = kustomization(metadata={"name": "velero"})
    assert git_secrets.not_decrypted(live(), [kustomization()], [without_namespace]) == []


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"decryption": None},
        {"decryption": {"provider": "sops"}},
        {"decryption": {"provider": "other", "secretRef": {"name": "k"}}},
        {"decryption": {"secretRef": {"name": "k"}}},
        {"decryption": {"provider": "sops", "secretRef": {}}},
    ],
)
def test_each_missing_part_of_the_decryption_is_seen(spec: Json) -> None:
    wrong = kustomization(spec=spec)
    assert "in the cluster has no" in git_secrets.not_decrypted(live(), [wrong], [kustomization()])[0]
    assert "in the repository has no" in git_secrets.not_decrypted(live(), [kustomization()], [wrong])[0]


def test_a_secret_from_elsewhere_is_seen() -> None:
    by_hand = {**live(), "metadata": {"name": "s"}}
    assert git_secrets.not_decrypted(by_hand, [kustomization()], [kustomization()]) == [
        "applied by no Kustomization of Flux"
    ]
    assert git_secrets.not_decrypted(None, [], []) == ["not in the cluster"]
    other = kustomization(metadata={"name": "velero", "namespace": "elsewhere"})
    assert len(git_secrets.not_decrypted(live(), [other], [])) == 2


def test_kustomizations_of_flux_are_not_those_of_kustomize() -> None:
    own = kustomization(apiVersion="kustomize.config.k8s.io/v1beta1")
    assert git_secrets.flux_kustomizations([own, kustomization(), {"kind": "Secret"}]) == [kustomization()]


# -- the history ---------------------------------------------------------------------------


def test_keys_are_the_values_of_a_secret_by_name() -> None:
    (secret,) = git_secrets.objects("x", PLAIN)
    assert git_secrets.keys_of(secret) == {
        "velero-s3-secret/cloud aws_access_key_id": "lab-velero-0123456789ab",
        "velero-s3-secret/cloud aws_secret_access_key": KEY,
        "velero-s3-secret/other": "second value",
    }


def test_words_are_not_taken_for_keys() -> None:
    text = PLAIN.replace("lab-velero-0123456789ab", "velero").replace("second value", "short")
    assert list(git_secrets.keys_of(git_secrets.objects("x", text)[0])) == [
        "velero-s3-secret/cloud aws_secret_access_key"
    ]


@pytest.mark.parametrize("around", [("", ""), ("a", "b"), ("ab", "bc"), ("abc", "x"), ("[default]\nkey = ", "\n")])
def test_a_key_is_found_in_the_clear_and_in_every_base64(around: tuple[str, str]) -> None:
    text = KEY.join(around)
    for form in (text, base64.b64encode(text.encode()).decode()):
        contents = [("a.yaml", b"a"), ("b.yaml", f"  cloud: {form}\n".encode())]
        assert git_secrets.found_in(contents, {"k": KEY, "l": "not there"}) == ["b.yaml: k"]


def test_another_key_is_not_found() -> None:
    encoded = base64.b64encode(f"x{KEY[:-1]}y".encode()).decode()
    assert git_secrets.found_in([("a", f"{KEY[:-1]}\n{encoded}\n".encode())], {"k": KEY}) == []


@pytest.fixture
def checkout(tmp_path: Path, encrypted: str) -> Checkout:
    """A repository as it is deployed from, with a remote."""
    folder = tmp_path / "deployed"
    subprocess.run(["git", "init", "--quiet", "--initial-branch=main", folder], check=True)
    (folder / "velero-s3-secret.sops.yaml").write_text(encrypted)
    (folder / "ä.yaml").write_text(CONFIG_MAP)
    git = ["git", "-C", str(folder)]
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "--quiet", "--message=first"], check=True, env={**os.environ, **ENVIRONMENT})
    return Checkout(folder)


def test_a_key_that_was_taken_out_again_is_found_in_the_copy_alone(checkout: Checkout, tmp_path: Path) -> None:
    copy = checkout.clone(tmp_path / "origin.git", bare=True).clone(tmp_path / "copy")
    planted = plant(tmp_path, "a base64-encoded Secret")
    assert git_secrets.found_in(SecretsRepository.of(copy).contents(), planted.keys) == []
    copy.change({"planted.yaml": planted.path.read_text()}, "plaintext")
    assert found(SecretsRepository.of(copy).texts["planted.yaml"])
    copy.take_back()
    assert "planted.yaml" not in SecretsRepository.of(copy).texts
    assert len(git_secrets.found_in(SecretsRepository.of(copy).contents(), planted.keys)) == 2
    assert git_secrets.found_in(SecretsRepository.of(checkout).contents(), planted.keys) == []


def test_a_key_changed_in_git_alone_is_noticed(checkout: Checkout, sops: Sops) -> None:
    before = SecretsRepository.of(checkout).decrypt(sops, "velero")["velero-s3-secret"]
    sops.change(checkout.folder / "velero-s3-secret.sops.yaml", ("stringData", "cloud"), "[default]")
    after = SecretsRepository.of(checkout).decrypt(sops, "velero")["velero-s3-secret"]
    data = {key: base64.b64encode(value).decode() for key, value in git_secrets.contents(before).items()}
    assert git_secrets.differences(after, {"metadata": before["metadata"], "data": data}) == ["cloud differs"]


def test_a_repository_knows_its_files_and_shows_none(checkout: Checkout) -> None:
    repository = SecretsRepository.of(checkout)
    assert repository.encrypted_files() == ["velero-s3-secret.sops.yaml"] and "ä.yaml" in repository.texts
    assert "ä.yaml" not in repr(repository) and repository.velero_secrets("elsewhere") == {}
    (checkout.folder / "ä.yaml").unlink()
    with pytest.raises(AcceptanceError, match="cannot be read"):
        SecretsRepository.of(checkout)


# -- the lint and the hook -----------------------------------------------------------------


def lint(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [f"{sys.prefix}/bin/acceptance", "lint", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("what", PLANTS)
def test_the_hook_refuses_plaintext_and_shows_none(tmp_path: Path, what: str) -> None:
    planted = plant(tmp_path, what)
    lines = hook_objections(tmp_path, ["planted.yaml"])
    assert lines and all(line.startswith("planted.yaml: ") for line in lines)
    assert git_secrets.found_in([("the hook", "\n".join(lines).encode())], planted.keys) == []


def test_the_hook_lets_encrypted_files_and_examples_pass(checkout: Checkout) -> None:
    (checkout.folder / "x.example.yaml").write_text(PLAIN)
    (checkout.folder / "README.md").write_text("An age key begins with AGE-SECRET-KEY-1.\n")
    assert hook_objections(checkout.folder, [*checkout.files(), "x.example.yaml", "README.md"]) == []


def test_the_hook_that_does_not_work_is_no_refusal(tmp_path: Path) -> None:
    with pytest.raises(AcceptanceError, match=r"exit code 2: acceptance: missing\.yaml cannot be read"):
        hook_objections(tmp_path, ["missing.yaml"])


def test_the_lint_says_it_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(PLAIN)
    done = lint("--secrets", "x.yaml", folder=tmp_path)
    assert (done.returncode, done.stderr) == (1, "acceptance: 2 problems\n")
    done = lint("x.yaml", folder=tmp_path)
    assert done.returncode == 2 and "use `acceptance lint --secrets" in done.stderr
    done = lint("--secrets", folder=tmp_path)
    assert (done.returncode, done.stdout) == (0, "Every Secret is encrypted.\n")
