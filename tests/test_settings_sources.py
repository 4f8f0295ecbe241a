"""Where settings come from: a file of the project, variables; what is none is refused, and no secret is shown."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from lab.kind.settings import KindSettings
from lab.settings import LabSettings
from velero_acceptance.core.errors import Refusal
from velero_acceptance.core.settings import Settings, Target
from velero_acceptance.core.timeouts import Timeouts


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with settings, and a folder in it where somebody works."""
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "docs").mkdir()
    text = 'target = "current"\n[current]\nallowed_contexts = ["home"]\ngitops = "deployed"\nage_key = "/keys/age"\n'
    (tmp_path / "acceptance.toml").write_text(text)
    monkeypatch.chdir(tmp_path / "docs")
    return tmp_path


def test_the_file_is_found_from_a_folder_below(project: Path) -> None:
    found = Settings.read()
    assert (found.target, found.current.allowed_contexts) == (Target.CURRENT, ["home"])
    assert (found.current.gitops, found.current.age_key) == (project / "deployed", Path("/keys/age"))
    assert found.reports == Path("../reports")


def test_the_nearest_file_counts_and_none_outside_of_the_project(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "docs/acceptance.toml").write_text('target = "kind"')
    assert Settings.read().target is Target.KIND
    (project / "docs/acceptance.toml").unlink()
    (project / "docs/pyproject.toml").touch()
    assert (Settings.read().target, Settings.read().reports) == (Target.LAB, Path("reports"))
    (project / "docs/pyproject.toml").unlink()
    (project / "pyproject.toml").unlink()
    assert Settings.read().target is Target.LAB
    monkeypatch.chdir(project)
    assert Settings.read().target is Target.CURRENT


@pytest.mark.parametrize("kind", ["folder", "dangling link", "binary", "unreadable"])
def test_a_file_that_cannot_be_read_is_refused(project: Path, kind: str) -> None:
    path = project / "acceptance.toml"
    path.unlink()
    if kind == "folder":
        path.mkdir()
    elif kind == "dangling link":
        path.symlink_to("nowhere")
    elif kind == "binary":
        path.write_bytes(b"\xff\xfe")
    else:
        path.write_text("")
        path.chmod(0)
        if os.access(path, os.R_OK):
            pytest.skip("root reads everything")
    with pytest.raises(Refusal, match=r"acceptance\.toml cannot be read: "):
        Settings.read()


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("ACCEPTANCE_PROFIL", "observe", "ACCEPTANCE_PROFIL is no setting: did you mean ACCEPTANCE_PROFILE?"),
        ("acceptance_profil", "observe", "acceptance_profil is no setting: did you mean ACCEPTANCE_PROFILE?"),
        ("ACCEPTANCE_CURRENT__BUCKETT", "b", "did you mean ACCEPTANCE_CURRENT__BUCKET?"),
        ("ACCEPTANCE_QQQQQQQQQ", "b", "ACCEPTANCE_QQQQQQQQQ is no setting; docs/usage.md lists all of them"),
        ("ACCEPTANCE_CURRENT__ALLOWED_CONTEXTS", "pl4nted", "ACCEPTANCE_CURRENT__ALLOWED_CONTEXTS is not valid JSON"),
        ("ACCEPTANCE_CURRENT", '{"pl4nted', "ACCEPTANCE_CURRENT is not valid JSON"),
        ("ACCEPTANCE_CURRENT", '{"s3_secret_key": ["pl4nted"]}', "current.s3_secret_key: "),
        ("ACCEPTANCE_CURRENT__PROMETHEUS", "ftp://me:pl4nted@host", "current.prometheus: this is not an address"),
        ("ACCEPTANCE_RESULTS_ENDPOINT", "host", "results_endpoint: this is not an address"),
    ],
)
def test_a_variable_that_is_wrong_is_named_and_its_value_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, says: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(Refusal, match=re.escape(says)) as refused:
        Settings.read()
    assert "pl4nted" not in str(refused.value) and "acceptance.toml" not in str(refused.value)


@pytest.mark.parametrize("kind", [LabSettings, KindSettings])
def test_a_variable_of_the_lab_that_does_not_exist_is_refused(
    monkeypatch: pytest.MonkeyPatch, kind: type[LabSettings]
) -> None:
    prefix = str(kind.model_config["env_prefix"])
    monkeypatch.setenv(f"{prefix}NODS", "1")
    Settings.read()
    with pytest.raises(Refusal, match=f"{prefix}NODS is no setting: did you mean {prefix}NODES"):
        kind()


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-1", "0"])
def test_a_time_that_never_comes_is_no_timeout(value: str) -> None:
    with pytest.raises(Refusal, match="timeouts must be above 0 seconds and finite"):
        Timeouts.from_environment({"ACCEPTANCE_TIMEOUTS": f'{{"api_call": {value}}}'})
    with pytest.raises(Refusal, match="timeouts must be above 0 seconds and finite"):
        Timeouts.from_environment({"ACCEPTANCE_TIMEOUT_FACTOR": value})


@pytest.mark.usefixtures("project")
def test_a_user_without_a_home_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(Refusal, match="this user has no home: set HOME or KUBECONFIG"):
        Settings.read()
