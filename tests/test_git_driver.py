"""Changes to a repository are taken back whole, also by another process than the one that made them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from lab.gitops import git
from velero_acceptance.core.errors import AcceptanceError
from velero_acceptance.drivers.git import Checkout


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


def test_a_remote_that_is_away_is_said_before_anything_is_changed(tmp_path: Path, checkout: Checkout) -> None:
    checkout.require_remote()
    (tmp_path / "bare").rename(tmp_path / "away")
    with pytest.raises(AcceptanceError, match="git ls-remote in "):
        checkout.require_remote()


def test_gits_words_are_kept(tmp_path: Path, checkout: Checkout) -> None:
    subprocess.run(["rm", "-r", str(tmp_path / "bare")], check=True)
    with pytest.raises(AcceptanceError, match="git push in "):
        checkout.change({"a.yaml": "a: 2\n"}, "change")
