"""What pytest loads wherever the suite is installed: nothing but --acceptance, until that is given."""

import pytest

from velero_acceptance.core.installation import IN_CHECKOUT, ROOT, feature_arguments


def pytest_addoption(parser: pytest.Parser) -> None:
    if not IN_CHECKOUT:  # whose conftest.py is the way there
        group = parser.getgroup("acceptance", "acceptance suite")
        group.addoption("--acceptance", action="store_true", help="verify Velero's backups; adds options to this help")


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config, args: list[str]) -> None:
    """Point pytest at the suite's features: their conftest.py brings everything else."""
    known = early_config.known_args_namespace
    if getattr(known, "acceptance", False):
        args[:] = feature_arguments(args)
        known.file_or_dir[:] = [argument for argument in args if argument.startswith(str(ROOT))]
