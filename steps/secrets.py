"""Secrets in Git: encrypted in every file and commit, and decrypted by Flux in the cluster."""

import secrets as random
from pathlib import Path

from pytest_bdd import given, then, when

from fixtures.environment.phrases import Recorder, holds, phrase, violated
from fixtures.gitops import secrets as planting
from fixtures.gitops.secrets import S3_SECRET, PlantedSecret, SecretsRepository, damage, hook_objections, plant
from velero_acceptance.checks import git_secrets
from velero_acceptance.core.errors import AcceptanceError, Blocked
from velero_acceptance.core.settings import Environment
from velero_acceptance.drivers.git import Checkout
from velero_acceptance.drivers.kinds import Json
from velero_acceptance.drivers.sops import MacMismatch, Sops
from velero_acceptance.evidence.recorder import Evidence

CONTENTS, DAMAGES = tuple(planting.CONTENTS), (*planting.DAMAGES, planting.UNDAMAGED)


@given("the repository that Flux deploys from", target_fixture="repository")
def deployed_repository(checkout: Checkout) -> SecretsRepository:
    return SecretsRepository.of(checkout)


@given("a copy of the repository that Flux deploys from", target_fixture="repository")
def copied_repository(repository_copy: Checkout) -> SecretsRepository:
    return SecretsRepository.of(repository_copy)


@then("every value of every Secret in it is encrypted")
def every_value_encrypted(repository: SecretsRepository, evidence: Evidence) -> None:
    assert repository.secrets, "the repository holds no Secret at all"
    values = sum(len(secret.sealed) + len(secret.open) for secret in repository.secrets)
    evidence.observe("values of Secrets in the repository", values, "values")
    found = git_secrets.open_leaves(repository.secrets)
    evidence.measure("plaintext_values", len(found), artefact="\n".join(found or map(str, repository.secrets)))


@then("every encrypted file can be decrypted with the age key, and its MAC is valid")
def every_file_decrypts(repository: SecretsRepository, sops: Sops, evidence: Evidence) -> None:
    files = repository.encrypted_files()
    closed = [problem for file in files if (problem := _problem(sops, file, repository.texts[file]))]
    evidence.measure("mac_failures", len(closed), artefact="\n".join(closed or files))


@when(phrase("each encrypted file has {how:Damage}", Damage=DAMAGES), target_fixture="damaged")
def damage_files(repository: SecretsRepository, how: str) -> dict[str, str]:
    """The damaged files by path; those in the repository stay as they are."""
    return {file: damage(how, repository.texts[file]) for file in repository.encrypted_files()}


@then("the suite reports that none of them can be decrypted")
def damage_reported(damaged: dict[str, str], sops: Sops, evidence: Evidence) -> None:
    """Only a wrong MAC counts: a key that does not fit would prove nothing, and is an error."""
    found = {}
    for file, text in damaged.items():
        try:
            sops.decrypt(file, text)
        except MacMismatch as error:
            found[file] = str(error)
    assert damaged and found.keys() == damaged.keys(), (
        f"decrypted although damaged: {sorted(damaged.keys() - found.keys())}"
    )
    evidence.expect_violation("mac_failures", len(found), artefact="\n".join(found.values()))


@then(holds("Velero's Secrets in the cluster are equal to the decrypted ones"))
@then(violated("the suite reports Velero's Secrets in the cluster as different"))
def cluster_equal(
    record: Recorder,
    repository: SecretsRepository,
    sops: Sops,
    live_secrets: dict[str, Json],
    evidence: Evidence,
    environment: Environment,
) -> None:
    decrypted = repository.decrypt(sops, environment.velero_namespace)
    for secret in decrypted.values():
        evidence.redactor.learn(*git_secrets.keys_of(secret).values())
    names = {S3_SECRET, *decrypted}
    found = {name: git_secrets.differences(decrypted.get(name), live_secrets.get(name)) for name in names}
    evidence.observe("commit compared with the cluster", repository.checkout.head())
    record(evidence, "secrets_differing", _wrong(found), artefact=_table(found))


@then("a Kustomization that decrypts with SOPS applied them, in the cluster and in Git")
def applied_decrypted(
    repository: SecretsRepository,
    live_secrets: dict[str, Json],
    kustomizations: list[Json],
    environment: Environment,
    evidence: Evidence,
) -> None:
    names = {S3_SECRET, *repository.velero_secrets(environment.velero_namespace)}
    declared = repository.kustomizations()
    found = {name: git_secrets.not_decrypted(live_secrets.get(name), kustomizations, declared) for name in names}
    evidence.measure("secrets_without_decryption", _wrong(found), artefact=_table(found))


@when("Velero's S3 key is changed in the copy", target_fixture="repository")
def change_s3_key(repository: SecretsRepository, sops: Sops, environment: Environment) -> SecretsRepository:
    """Encrypted with the age key, so that the file can be decrypted as before."""
    secret = repository.velero_secrets(environment.velero_namespace)[S3_SECRET]
    part, _, key = secret.sealed[0].partition(".")
    sops.change(repository.checkout.folder / secret.file, (part, key), random.token_hex(20))
    return SecretsRepository.of(repository.checkout)


@then("the pre-commit hook accepts every file of it")
def hook_accepts(repository: SecretsRepository, evidence: Evidence) -> None:
    folder = repository.checkout.folder
    files = [file for file in sorted(repository.checkout.files()) if (folder / file).is_file()]
    lines = hook_objections(folder, files)
    artefact = "\n".join(lines) or f"{len(files)} files passed"
    evidence.measure("files_refused", _files(lines), artefact=artefact)


@then(
    "no file, commit or tag of it, present or past, contains a key of Velero or anything else that looks like a secret"
)
def history_clean(repository: SecretsRepository, live_secrets: dict[str, Json], evidence: Evidence) -> None:
    if S3_SECRET not in live_secrets:
        raise Blocked(f"the Secret {S3_SECRET} is not in the cluster, so there is no key to look for")
    keys = {name: value for secret in live_secrets.values() for name, value in git_secrets.keys_of(secret).items()}
    if not keys:
        raise Blocked("the Secrets of Velero in the cluster hold no key that is long enough to look for")
    contents = repository.contents()
    found = [*git_secrets.found_in(contents, keys), *git_secrets.forms_in(contents)]
    evidence.observe("versions of files of less than 1 MiB, commits and tags that were searched", len(contents))
    artefact = "\n".join(found) or f"looked for, and found nowhere: {', '.join(sorted(keys))}, and forms of secrets"
    evidence.measure("plaintext_in_history", len(found), artefact=artefact)


@given(phrase("a new file with {what:Content}", Content=CONTENTS), target_fixture="planted")
def new_file(tmp_path: Path, what: str) -> PlantedSecret:
    return plant(tmp_path, what)


@then("the pre-commit hook rejects it and shows none of its values")
def hook_rejects(planted: PlantedSecret, evidence: Evidence) -> None:
    lines = hook_objections(planted.path.parent, [planted.path.name])
    shown = git_secrets.found_in([("the hook", "\n".join(lines).encode())], planted.keys)
    assert not shown, f"the hook shows what it is to hide: {shown}"
    evidence.expect_violation("files_refused", _files(lines), artefact="\n".join(lines))


@when(phrase("{what:Content} is committed to the copy and removed again", Content=CONTENTS), target_fixture="planted")
def commit_and_remove(repository: SecretsRepository, tmp_path: Path, what: str) -> PlantedSecret:
    planted = plant(tmp_path, what)
    checkout = repository.checkout
    checkout.change({planted.path.name: planted.path.read_text()}, "A plaintext Secret")
    checkout.take_back()
    return planted


@then("the suite finds it in the history, although no file contains it")
def found_in_history(repository: SecretsRepository, planted: PlantedSecret, evidence: Evidence) -> None:
    now = SecretsRepository.of(repository.checkout)
    assert planted.path.name not in now.texts
    contents = repository.contents()
    found = [*git_secrets.found_in(contents, planted.keys), *git_secrets.forms_in(contents)]
    evidence.expect_violation("plaintext_in_history", len(found), artefact="\n".join(found))


def _problem(sops: Sops, file: str, text: str) -> str:
    """Why a file cannot be decrypted; empty when it can."""
    try:
        sops.decrypt(file, text)
    except AcceptanceError as error:
        return str(error)
    return ""


def _wrong(found: dict[str, list[str]]) -> int:
    return sum(bool(reasons) for reasons in found.values())


def _table(found: dict[str, list[str]]) -> str:
    return "\n".join(f"{name}: {', '.join(reasons) or 'as it should be'}" for name, reasons in sorted(found.items()))


def _files(lines: list[str]) -> int:
    return len({line.partition(":")[0] for line in lines})
