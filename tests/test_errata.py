"""Errata: the design's original text fails where criteria/errata.yaml says so.

Here what needs no program of the lab; the others are in lab/tests/test_errata.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from fixtures.gitops import layout_mutations
from lab import gitops, registry
from lab.tests import test_errata as on_programs
from tests import gitops_tree, original
from velero_acceptance.checks import bucket, gitops_layout
from velero_acceptance.corpus.uploaders import RESTIC
from velero_acceptance.criteria.load import load
from velero_acceptance.gherkin.documents import read_all

HASH = "0123456789abcdef" * 4
RELEASE = yaml.safe_load((gitops.SOURCE / gitops.APP / "helmrelease.yaml").read_text())
# Shown by the negative scenario of a feature, because they are about a running Velero.
BY_FEATURE = {
    "E-11": ("AC-001-04", "whether there is a connection is seen only at a location that loses S3 and finds it again"),
    "E-12": ("AC-001-01", "an Available of before a restart needs a restart with S3 away"),
}


def chart_says(values: Any) -> str:
    """What the chart says of *values*; empty when it takes them."""
    schema = json.loads((registry.CHART / "values.schema.json").read_text())
    return "; ".join(error.message for error in jsonschema.Draft7Validator(schema).iter_errors(values))


def keys_say(release: Any, repository: str) -> str:
    """What AC-002-04 says of the keys that a release with its location would write; empty when they are right."""
    location = release["spec"]["values"]["configuration"]["backupStorageLocation"][0]
    prefix = f"{location['prefix']}/" if "prefix" in location else ""
    parts = ["config", f"data/01/{HASH}", *(f"{part}/{HASH}" for part in ("keys", "snapshots", "index"))]
    keys = {f"{prefix}restic/{repository}/{part}" for part in parts}
    keys |= bucket.backup_keys(prefix, "b", RESTIC) | bucket.restore_keys(prefix, "r")
    found = bucket.inspect(keys, "velero/", backup="b", restore="r", uploader=RESTIC, namespace="database", snapshots=1)
    return found.table() if found.missing or found.unexpected else ""


def layout_says(folder: Path) -> str:
    """What AC-007-04 says of the design's two places for the schedule."""
    tree = gitops_tree.copy(folder)
    layout_mutations.put_schedule_into_values(tree)
    layout_mutations.move_schedule_to_release(tree)
    found = gitops_layout.findings(tree)
    return "; ".join([f"{len(found['schedules'])} schedules", *found["order_faults"]])


ORIGINALS: dict[str, tuple[Callable[[Path], str], str]] = {
    "E-03": (
        lambda _: chart_says({**RELEASE["spec"]["values"], "deployRestic": True}),
        "'deployRestic' was unexpected",
    ),
    "E-06": (lambda _: keys_say(original.HELM_RELEASE, "database"), "missing     velero/backups/b/velero-backup.json"),
    "E-08": (lambda _: keys_say(RELEASE, "7d3c1f0a-repo-id"), "missing     velero/restic/database/config"),
    "E-10": (layout_says, "2 schedules; velero has an object of Velero next to the release"),
}


@pytest.mark.parametrize("erratum", ORIGINALS)
def test_the_original_fails(erratum: str, tmp_path: Path) -> None:
    judge, says = ORIGINALS[erratum]
    assert says in judge(tmp_path)


def test_what_the_suite_does_instead_is_taken() -> None:
    """The counter-test of the table, but for E-10: that is in test_gitops_layout.py."""
    assert chart_says(RELEASE["spec"]["values"]) == ""
    assert keys_say(RELEASE, "database") == ""


def test_every_erratum_that_deployment_storage_and_gitops_meet_is_shown() -> None:
    register = load()
    written = {tag for feature in read_all() for tag in feature.tag_line}
    criteria = [
        criterion
        for requirement in register.requirements
        if requirement.id in ("REQ-001", "REQ-002", "REQ-007")
        for criterion in requirement.criteria
        if criterion.id in written
    ]
    cited = {erratum for criterion in criteria for erratum in criterion.errata}
    assert sorted(cited - {*ORIGINALS, *on_programs.ORIGINALS, *BY_FEATURE}) == []
    for erratum in cited & set(BY_FEATURE):
        criterion, _ = BY_FEATURE[erratum]
        assert criterion in written and erratum in register.criteria[criterion].errata
        (feature,) = (feature for feature in read_all() if criterion in feature.tag_line)
        assert any(scenario.negative for scenario in feature.scenarios)


def test_every_erratum_that_is_shown_is_in_the_register() -> None:
    known = {erratum.id for erratum in load().errata}
    assert {*ORIGINALS, *on_programs.ORIGINALS, *BY_FEATURE} <= known
