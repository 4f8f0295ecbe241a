"""Mutants: their files, how a fault is made of one and undone, and how the rows of a run are judged."""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import Mock

import pytest
import yaml
from pydantic import ValidationError

from lab.gitops import SOURCE
from velero_acceptance.cli import mutants as command
from velero_acceptance.core.errors import Refusal
from velero_acceptance.criteria.load import load
from velero_acceptance.mutants.faults import DeployedSystem, _noticed, changed_text, merged, reverse
from velero_acceptance.mutants.models import FOLDER, MEANS, FileChange, Mutant, Replacement, load_mutants
from velero_acceptance.mutants.runs import _results

KNOWN = set(load().criteria)
FAULT = {"title": "a fault", "red": ["AC-001-01"], "s3": {"velero/notes/a": "a"}}


@pytest.fixture(scope="module")
def mutants() -> dict[str, Mutant]:
    return load_mutants(KNOWN)


def written(folder: Path, content: object) -> Path:
    (folder / "fault.yaml").write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return folder


def test_every_mutant_of_the_project_loads_and_has_a_short_name_and_a_title(mutants: dict[str, Mutant]) -> None:
    assert len(mutants) == len(list(FOLDER.glob("*.yaml"))) > 0
    for name, mutant in mutants.items():
        assert len(name) <= 40 and name == name.lower(), name
        assert mutant.title and not mutant.title.endswith("."), name
        assert mutant.source, name


def test_no_two_mutants_have_one_title(mutants: dict[str, Mutant]) -> None:
    assert max(Counter(mutant.title for mutant in mutants.values()).values()) == 1


@pytest.mark.parametrize("criterion", sorted(KNOWN))
def test_every_criterion_has_two_harmful_mutants(mutants: dict[str, Mutant], criterion: str) -> None:
    harmful = [name for name, mutant in mutants.items() if criterion in mutant.red]
    assert len(harmful) >= 2, harmful


def test_enough_mutants_are_harmless(mutants: dict[str, Mutant]) -> None:
    assert sum(mutant.harmless for mutant in mutants.values()) >= 15


def test_the_changes_of_every_mutant_fit_the_repository_that_is_deployed(mutants: dict[str, Mutant]) -> None:
    for mutant in mutants.values():
        for path, change in mutant.git.items():
            here = SOURCE / path
            text = here.read_text() if here.exists() else ""
            changed = changed_text(path, text, change)
            assert changed != text, f"{mutant.id} changes nothing in {path}"
            if path.endswith(".yaml"):
                assert all(isinstance(item, dict) for item in yaml.safe_load_all(changed or "{}")), (mutant.id, path)


def test_manifests_of_every_mutant_name_their_kind_and_themselves(mutants: dict[str, Mutant]) -> None:
    for mutant in mutants.values():
        for item in filter(None, yaml.safe_load_all(mutant.create)):
            assert item["kind"] and item["metadata"]["name"], mutant.id


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"red": []}, "it names no row"),
        ({"green": ["AC-001-01"]}, "AC-001-01 cannot be both red and green"),
        ({"s3": {}}, "it changes nothing"),
        ({"colour": "red"}, "colour: Extra inputs are not permitted"),
        ({"red": ["AC-999-01"]}, "names AC-999-01, which is no criterion"),
        ({"deny": [{"action": "PutObject", "resource": "a"}]}, "deny.0.action: "),
        ({"lifecycle": 1}, "lifecycle: "),
    ],
)
def test_a_wrong_file_is_refused_with_its_name_and_the_reason(
    tmp_path: Path, change: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(Refusal) as refused:
        load_mutants(KNOWN, written(tmp_path, {**FAULT, **change}))
    assert str(refused.value).startswith("fault.yaml ") and sentence in str(refused.value)


@pytest.mark.parametrize("content", ["", "- a list", "title: [", "title: a fault\nred: AC-001-01"])
def test_a_file_that_is_no_mutant_at_all_is_refused(tmp_path: Path, content: str) -> None:
    with pytest.raises(Refusal, match=r"^fault\.yaml is no mutant: "):
        load_mutants(KNOWN, written(tmp_path, content))


def test_without_a_checkout_there_are_no_mutants(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="part of the checkout"):
        load_mutants(KNOWN, tmp_path / "mutants")


def test_every_means_alone_makes_a_mutant() -> None:
    examples: dict[str, object] = {
        "git": {"a": None},
        "create": "kind: Pod",
        "patch": [{"kind": "Node", "name": "node1", "patch": {}}],
        "restic": "exit 1",
        "velero": "exit 1",
        "s3": {"a": "b"},
        "deny": [{"action": "s3:GetObject", "resource": "a"}],
        "allow": [{"action": "s3:GetObject", "resource": "a"}],
        "lifecycle": 3650,
    }
    assert set(examples) == set(MEANS)
    for name, value in examples.items():
        assert not Mutant.model_validate({"id": "a", "title": "a", "red": ["AC-001-01"], name: value}).harmless
    with pytest.raises(ValidationError, match="it changes nothing"):
        Mutant.model_validate({"id": "a", "title": "a", "red": ["AC-001-01"], "source": "x"})


def test_a_mutant_without_red_rows_is_harmless() -> None:
    mutant = Mutant.model_validate({"id": "a", "title": "a", "green": ["AC-001-01"], "s3": {"a": "b"}})
    assert mutant.harmless and mutant.rows == ("AC-001-01",)


def test_a_merge_patch_adds_replaces_and_removes() -> None:
    content = {"kept": 1, "replaced": {"a": 1, "b": [1, 2]}, "removed": 1}
    change = {"replaced": {"b": [3], "c": {"d": None}}, "removed": None, "added": 4}
    assert merged(content, change) == {"kept": 1, "replaced": {"a": 1, "b": [3], "c": {}}, "added": 4}
    assert content["removed"] == 1, "the content itself stays"


def test_a_merge_patch_replaces_what_is_no_object() -> None:
    assert merged([1], {"a": 1}) == {"a": 1}
    assert merged({"a": 1}, [1]) == [1]
    assert merged(None, {"a": {"b": 1}}) == {"a": {"b": 1}}


@pytest.mark.parametrize(
    "change",
    [
        {"metadata": {"labels": {"a": "2", "new": "1"}}},
        {"metadata": {"annotations": {"new": "1"}}, "spec": {"taints": [{"key": "a"}]}},
        {"metadata": {"labels": {"a": None}}},
        {"spec": None},
    ],
)
def test_the_reverse_of_a_patch_restores_the_content(change: dict[str, Any]) -> None:
    before = {"metadata": {"labels": {"a": "1", "b": "1"}}, "spec": {"podCIDR": "10.0.0.0/24"}}
    assert merged(merged(before, change), reverse(before, change)) == before


def test_a_change_of_a_file_may_be_a_text_nothing_or_replacements() -> None:
    assert changed_text("a.yaml", "old", "new") == "new"
    assert changed_text("a.yaml", "old", None) is None
    pieces = [Replacement(old="a", new="b"), Replacement(old="bc", new="d")]
    assert changed_text("a.yaml", "a: ac\n", pieces) == "b: d\n"


def test_a_replacement_that_does_not_fit_is_refused() -> None:
    with pytest.raises(Refusal, match=r"^a\.yaml does not contain 'b'$"):
        changed_text("a.yaml", "a", [Replacement(old="b", new="c")])


TWO = "kind: A\nmetadata: {name: one}\nspec: {a: 1}\n---\nkind: A\nmetadata: {name: two}\nspec: {a: 1}\n"


def test_a_patch_changes_the_document_of_its_kind_and_name() -> None:
    change = {"kind": "A", "metadata": {"name": "two"}, "spec": {"b": 2}}
    found = list(yaml.safe_load_all(changed_text("a.yaml", TWO, change) or ""))
    assert [item["spec"] for item in found] == [{"a": 1}, {"a": 1, "b": 2}]


@pytest.mark.parametrize(
    ("change", "count"), [({"kind": "A", "spec": {}}, 2), ({"kind": "B"}, 0), ({"metadata": {"name": "three"}}, 0)]
)
def test_a_patch_that_means_no_document_or_several_is_refused(change: dict[str, Any], count: int) -> None:
    with pytest.raises(Refusal, match=f"a.yaml has {count} documents"):
        changed_text("a.yaml", TWO, change)


def test_new_post_renderers_come_with_a_new_value_of_the_chart() -> None:
    assert _noticed({"spec": {"postRenderers": [1], "values": {"a": 1}}}, "fault") == {
        "spec": {"postRenderers": [1], "values": {"a": 1, "global": {"mutant": "fault"}}}
    }
    others: list[FileChange] = [{"spec": {"values": {}}}, {}, "text", None, [Replacement(old="a", new="b")]]
    for other in others:
        assert _noticed(other, "fault") == other


def row(verdict: str, *outcomes: str) -> dict[str, Any]:
    scenarios = [{"outcome": outcome} for outcome in outcomes]
    return {"id": "AC-001-01", "verdict": verdict, "reason": "because", "scenarios": scenarios}


@pytest.mark.parametrize(
    ("found", "seen"),
    [
        (row("FAILED", "passed", "failed", "skipped"), "red"),
        (row("VERIFIED", "passed", "passed"), "green"),
        # Its controls were left out, so that the verdict alone would not do.
        (row("INCONCLUSIVE", "passed", "skipped"), "green"),
        (row("EXTRAPOLATED", "passed"), "green"),
        (row("BLOCKED", "passed", "blocked"), "blocked"),
        (row("INCONCLUSIVE", "inconclusive"), "inconclusive"),
        (row("NOT-RUN"), "not-run"),
        (row("NOT-RUN", "skipped"), "not-run"),
        (row("INCONCLUSIVE", "interrupted", "passed"), "inconclusive"),
    ],
)
def test_a_row_is_red_green_or_neither(found: dict[str, Any], seen: str) -> None:
    mutant = Mutant.model_validate({"id": "fault", **FAULT})
    (result,) = _results(mutant, [found])
    assert (result.expected, result.seen, result.right) == ("red", seen, seen == "red")


def test_only_a_green_row_is_right_where_it_is_to_stay_green() -> None:
    mutant = Mutant.model_validate({"id": "fault", "title": "a", "green": ["AC-001-01"], "s3": {"a": "b"}})
    assert [next(iter(_results(mutant, [row(*found)]))).right for found in (("VERIFIED", "passed"), ("FAILED",))] == [
        True,
        False,
    ]


def test_a_fault_is_undone_when_the_command_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    undone: list[str] = []

    def judge(mutant: Mutant, *_: object) -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            undone.append(mutant.id)

    monkeypatch.setattr("velero_acceptance.mutants.runs.judge_mutant", judge)
    system = cast(DeployedSystem, SimpleNamespace(environment=SimpleNamespace(uploader="restic")))
    # That of the tests' own pytest would interrupt, too.
    before = signal.signal(signal.SIGTERM, Mock(side_effect=AssertionError("not interrupted")))
    try:
        with pytest.raises(KeyboardInterrupt):
            command._run([Mutant.model_validate({"id": "a", **FAULT})], ["a"], system, record=False)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert undone == ["a"]
