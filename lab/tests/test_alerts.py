"""Every alert of gitops/ is wanted by a unit test of its own. Apart from tests/, because promtool takes its time."""

from __future__ import annotations

import pytest

from lab import debian
from lab.monitoring import APP
from velero_acceptance.drivers import promtool

RULES = promtool.rules_of(APP / "alerts.yaml")
PLACES = [(group, rule) for group, content in enumerate(RULES["groups"]) for rule in range(len(content["rules"]))]


@pytest.mark.parametrize(("group", "rule"), PLACES)
def test_without_a_rule_a_unit_test_fails(group: int, rule: int) -> None:
    debian.ensure()
    rules = promtool.rules_of(APP / "alerts.yaml")
    removed = rules["groups"][group]["rules"].pop(rule)
    judged = promtool.judge(debian.program("usr/bin/promtool"), rules, APP.parent / "alerts_test.yaml")
    assert not judged.passed and removed["alert"] in judged.words
