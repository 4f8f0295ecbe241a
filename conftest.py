"""Finds the plugins: the suite's own, every module of fixtures/ and every module of steps/."""

from importlib import import_module

import pytest

from velero_acceptance.core.installation import modules

pytest.register_assert_rewrite("fixtures", "steps")

pytest_plugins = ["velero_acceptance.suite"]


def pytest_configure(config: pytest.Config) -> None:
    # By pytest_plugins each of them would be looked up among the entry points of everything that is installed.
    for name in (*modules("fixtures"), *modules("steps")):
        config.pluginmanager.register(import_module(name), name)
