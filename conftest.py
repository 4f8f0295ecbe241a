"""Names the plugins; everything else is in them."""

import pytest

pytest.register_assert_rewrite("fixtures", "steps")

pytest_plugins = [
    "acceptance.plugins.run",
    "acceptance.gherkin.collector",
    "acceptance.gherkin.allure_steps",
    "acceptance.plugins.records",
    "acceptance.plugins.report",
    "fixtures.cluster",
    "fixtures.expiry",
    "fixtures.faults",
    "fixtures.left_out",
    "fixtures.oracle",
    "fixtures.scope",
    "fixtures.standard",
    "fixtures.watchers",
    "fixtures.workload",
    "steps.applications",
    "steps.backup",
    "steps.deployment",
    "steps.integrity",
    "steps.restore",
    "steps.retention",
    "steps.schedule",
    "steps.storage_location",
]
