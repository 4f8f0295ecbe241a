from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import SecretStr

from velero_acceptance.core.errors import Refusal
from velero_acceptance.core.settings import CurrentTarget, Environment, Profile, S3Access, Settings, Target
from velero_acceptance.target.selection import allowed_context, environment, private_kubeconfig


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Path:
    path = tmp_path / "config"
    context = {"name": "production", "context": {"cluster": "c"}}
    cluster = {"name": "c", "cluster": {"server": "https://c"}}
    content = {"current-context": "production", "contexts": [context], "clusters": [cluster]}
    path.write_text(yaml.safe_dump(content))
    return path


def test_a_context_that_is_not_on_the_list_is_refused(kubeconfig: Path) -> None:
    with pytest.raises(Refusal, match="no context is on the allow-list: write acceptance"):
        allowed_context(CurrentTarget(kubeconfig=kubeconfig))
    with pytest.raises(Refusal, match="the context production is not on the allow-list"):
        allowed_context(CurrentTarget(kubeconfig=kubeconfig, allowed_contexts=["home"]))


def test_a_listed_context_may_be_used(kubeconfig: Path) -> None:
    assert allowed_context(CurrentTarget(kubeconfig=kubeconfig, allowed_contexts=["production"])) == "production"
    assert allowed_context(CurrentTarget(kubeconfig=kubeconfig, context="home", allowed_contexts=["home"])) == "home"


@pytest.mark.parametrize(
    ("content", "says"), [(None, "cannot be read"), ("{", "not valid YAML"), ("", "no current context")]
)
def test_an_unusable_kubeconfig_is_refused(tmp_path: Path, content: str | None, says: str) -> None:
    path = tmp_path / "config"
    if content is not None:
        path.write_text(content)
    with pytest.raises(Refusal, match=says):
        allowed_context(CurrentTarget(kubeconfig=path, allowed_contexts=["production"]))


def test_the_current_target_wants_s3_credentials(kubeconfig: Path) -> None:
    current = CurrentTarget(kubeconfig=kubeconfig, allowed_contexts=["production"])
    with pytest.raises(Refusal, match=r"current\.s3_endpoint"):
        environment(Settings(target=Target.CURRENT, current=current))


def test_the_current_target_can_do_without_the_programs(kubeconfig: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who needs one that is missing is BLOCKED."""
    keys: dict[str, Any] = {"s3_access_key": SecretStr("a"), "s3_secret_key": SecretStr("b")}
    current = CurrentTarget(kubeconfig=kubeconfig, allowed_contexts=["production"], s3_endpoint="https://s3", **keys)
    monkeypatch.setenv("PATH", "/nowhere")
    found = environment(Settings(target=Target.CURRENT, current=current))
    assert (found.oracle, found.corpus, found.velero_cli) == (None, None, None)


def test_the_run_has_a_kubeconfig_of_its_own(tmp_path: Path) -> None:
    """Only the context that is allowed, files by their whole path, and nobody else can read it."""
    content = {
        "clusters": [
            {"name": n, "cluster": {"server": f"https://{n}", "certificate-authority": "ca.crt"}} for n in "ab"
        ],
        "users": [{"name": n, "user": {"token": f"token-{n}", "client-key": "/keys/k"}} for n in "ab"],
        "contexts": [{"name": n, "context": {"cluster": n, "user": n}} for n in "ab"],
        "current-context": "b",
    }
    source = tmp_path / "config"
    source.write_text(yaml.safe_dump(content))
    access = S3Access(endpoint="e", access_key=SecretStr("a"), secret_key=SecretStr("b"))
    found = Environment(
        target=Target.CURRENT, kubeconfig=source, context="a", s3=access, corpus_image="x", ledger=source, soak=source
    )
    (folder := tmp_path / "private").mkdir()
    path = private_kubeconfig(found, folder)
    assert path.stat().st_mode & 0o777 == 0o600
    kept = yaml.safe_load(path.read_text())
    assert [entry["name"] for kind in ("clusters", "users", "contexts") for entry in kept[kind]] == ["a", "a", "a"]
    assert kept["current-context"] == "a" and "token-b" not in path.read_text()
    assert kept["clusters"][0]["cluster"]["certificate-authority"] == f"{tmp_path}/ca.crt"
    assert kept["users"][0]["user"]["client-key"] == "/keys/k"
    with pytest.raises(Refusal, match="has no context c"):
        private_kubeconfig(found.model_copy(update={"context": "c"}), folder)


def test_a_lab_that_is_not_up_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with pytest.raises(Refusal, match="the lab is not up"):
        environment(Settings())


def test_settings_from_options_environment_and_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "acceptance.toml").write_text('target = "current"\n[current]\nallowed_contexts = ["home"]\n')
    assert Settings.read().target is Target.CURRENT
    assert Settings.read().current.allowed_contexts == ["home"]
    monkeypatch.setenv("ACCEPTANCE_TARGET", "lab")
    assert Settings.read().target is Target.LAB
    assert Settings.read(target="current", profile=None).target is Target.CURRENT


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('tarhget = "current"', "tarhget is no setting: did you mean target?"),
        ('[curent]\ncontext = "home"', "curent is no setting: did you mean current?"),
        ('[current]\nbuckett = "b"', "current.buckett is no setting: did you mean bucket?"),
        ("zzz = 1", "zzz is no setting; docs/usage.md lists all of them"),
    ],
)
def test_a_setting_that_does_not_exist_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "acceptance.toml").write_text(text)
    with pytest.raises(Refusal, match=re.escape(says)):
        Settings.read()


def test_a_secret_of_the_wrong_type_is_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "acceptance.toml").write_text('[current]\ns3_secret_key = ["very-secret"]')
    with pytest.raises(Refusal, match=r"current\.s3_secret_key: ") as refused:
        Settings.read()
    assert "very-secret" not in str(refused.value)


def test_a_broken_settings_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "acceptance.toml").write_text("target = ")
    with pytest.raises(Refusal, match=r"acceptance\.toml cannot be read"):
        Settings.read()


def test_only_the_own_lab_is_disrupted_by_default() -> None:
    assert Settings(target=Target.LAB).effective_profile is Profile.DISRUPT
    assert Settings(target=Target.CURRENT).effective_profile is Profile.EXERCISE


def test_secrets_are_not_printed() -> None:
    assert "hidden" not in repr(CurrentTarget(s3_secret_key=SecretStr("hidden")))


@pytest.mark.parametrize(
    ("prefix", "file", "folder"),
    [
        ("velero", "velero/backups/b/f", "velero/backups/b/"),
        ("", "backups/b/f", "backups/b/"),
        ("a/b/", "a/b/backups/b/f", "a/b/backups/b/"),
    ],
)
def test_keys_are_below_the_prefix_if_there_is_one(prefix: str, file: str, folder: str) -> None:
    place, access = Path("/nowhere"), S3Access(endpoint="e", access_key=SecretStr("a"), secret_key=SecretStr("b"))
    found = Environment(
        target=Target.CURRENT, kubeconfig=place, prefix=prefix, s3=access, corpus_image="x", ledger=place, soak=place
    )
    assert (found.key("backups", "b", "f"), found.key("backups", "b", "")) == (file, folder)
    assert found.key("") == (f"{prefix.strip('/')}/" if prefix else "")
