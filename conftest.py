"""Finds the plugins: the suite's own, every module of fixtures/ and every module of steps/."""

import pytest

from velero_acceptance.core.installation import modules

pytest.register_assert_rewrite("fixtures", "steps")

pytest_plugins = ["velero_acceptance.suite", *modules("fixtures"), *modules("steps")]
