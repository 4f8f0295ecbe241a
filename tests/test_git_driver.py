"""Changes to a repository are taken back whole, also by another process than the one that made them."""

from __future__ import annotations

import subprocess
from functools import partial
from pathlib import Path

import pytest

from fixtures.gitops.secrets import SecretsRepository
from lab.gitops import git
from velero_acceptance.checks import git_secrets
from velero_acceptance.core.errors import AcceptanceError
from velero_acceptance.drivers.git import MUTANT_BASE, Checkout
from velero_acceptance.drivers.sops import Sops


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    git("init", "--quiet", "--bare", "--initial-branch=main", str(tmp_path / "bare"))
    git("clone", "--quiet", str(tmp_path / "bare"), str(tmp_path / "work"))
    work = tmp_path / "work"
    git("checkout", "--quiet", "-B", "main", folder=work)
    (work / "a.yaml").write_text("a: 1\n")
    git("add", "--all", folder=work)
    git("commit", "--quiet", "--message=first", folder=work)
    git("push", "--quiet", "origin", "main", folder=work)
    return Checkout(work)


def remote(checkout: Checkout) -> dict[str, str]:
    bare = checkout.folder.parent / "bare"
    names = git("ls-tree", "--name-only", "main", folder=bare).split()
    return {name: git("show", f"main:{name}", folder=bare) for name in names}


def test_changes_reach_the_remote_and_are_taken_back(checkout: Checkout) -> None:
    first = checkout.head()
    commit = checkout.change({"a.yaml": "a: 2\n", "b.yaml": "b: 1\n"}, "change")
    checkout.change({"b.yaml": "b: 2\n"}, "once more")
    assert remote(checkout) == {"a.yaml": "a: 2\n", "b.yaml": "b: 2\n"}
    assert commit not in (first, checkout.head())
    # Another process: only what Git keeps is left of the first.
    assert Checkout(checkout.folder).changed()
    taken_back = Checkout(checkout.folder).take_back()
    assert taken_back == checkout.head()
    assert remote(checkout) == {"a.yaml": "a: 1\n"}
    assert not (checkout.folder / "b.yaml").exists()
    assert not checkout.changed() and checkout.take_back() is None


def test_a_change_that_was_not_committed_any_more_is_taken_back_too(checkout: Checkout) -> None:
    checkout.change({"a.yaml": "a: 2\n"}, "change")
    (checkout.folder / "a.yaml").write_text("half written")
    checkout.take_back()
    assert checkout.read("a.yaml") == "a: 1\n"


def test_the_history_keeps_what_was_taken_out(checkout: Checkout) -> None:
    checkout.change({"a.yaml": "a: secret\n"}, "change")
    checkout.take_back()
    versions = {item.content for item in checkout.history() if item.path == "a.yaml"}
    assert versions == {b"a: 1\n", b"a: secret\n"}
    messages = [item.content for item in checkout.history() if item.kind == "commit"]
    assert any(b"Take back the changes" in message for message in messages)


def test_a_forgotten_change_is_in_no_history_nor_is_what_came_on_top(checkout: Checkout) -> None:
    first, mutant = checkout.head(), Checkout(checkout.folder, MUTANT_BASE)
    mutant.change({"a.yaml": "a: secret\n", "b.yaml": "b: 1\n"}, "change")
    checkout.change({"b.yaml": "b: 2\n"}, "a scenario's own")
    checkout.take_back()
    assert checkout.read("a.yaml") == "a: secret\n" and mutant.changed()
    checkout.change({"b.yaml": "b: 3\n"}, "another, never taken back")
    assert Checkout(checkout.folder, MUTANT_BASE).forget() == first
    assert remote(checkout) == {"a.yaml": "a: 1\n"}
    assert {item.content for item in checkout.history() if item.path} == {b"a: 1\n"}
    assert not mutant.changed() and not checkout.changed() and mutant.forget() == first


def test_a_remote_that_is_away_is_said_before_anything_is_changed(tmp_path: Path, checkout: Checkout) -> None:
    checkout.require_remote()
    (tmp_path / "bare").rename(tmp_path / "away")
    with pytest.raises(AcceptanceError, match="git ls-remote in "):
        checkout.require_remote()


def test_gits_words_are_kept(tmp_path: Path, checkout: Checkout) -> None:
    subprocess.run(["rm", "-r", str(tmp_path / "bare")], check=True)
    with pytest.raises(AcceptanceError, match="git push in "):
        checkout.change({"a.yaml": "a: 2\n"}, "change")


@pytest.mark.parametrize("where", ["tag message", "commit message", "other ref", "merge"])
def test_an_age_key_is_found_wherever_git_keeps_it(checkout: Checkout, tmp_path: Path, where: str) -> None:
    key = Sops.with_new_key(tmp_path).key_file.read_text().strip()
    call = partial(git, folder=checkout.folder)
    assert git_secrets.forms_in(SecretsRepository.of(checkout).contents()) == []
    if where == "tag message":
        call("tag", "--annotate", "v1", "--message", key)
    elif where == "commit message":
        call("commit", "--quiet", "--allow-empty", "--message", key)
    else:
        call("checkout", "--quiet", "-b", "side")
        call("commit", "--quiet", "--allow-empty", "--message=side")
        if where == "merge":  # whose own change is in no other commit
            call("checkout", "--quiet", "main")
            call("commit", "--quiet", "--allow-empty", "--message=main")
            call("merge", "--quiet", "--no-ff", "--no-commit", "side")
        (checkout.folder / "keys.txt").write_text(key)
        call("add", "keys.txt")
        call("commit", "--quiet", "--message=key")
        if where == "other ref":
            call("update-ref", "refs/backup/old", "HEAD")
        call("checkout", "--quiet", "main")
        if where == "other ref":
            call("branch", "-D", "side")
        call("rm", "--quiet", "--ignore-unmatch", "keys.txt")
        if where == "merge":
            call("commit", "--quiet", "--message=without")
    (found,) = git_secrets.forms_in(SecretsRepository.of(checkout).contents())
    assert found.endswith(": age private key") and key not in found
