"""pytest collects ``.feature`` files: each is a module whose tests are its scenarios.

``pytest features/``, one file, ``-k``, ``-m``, ``--lf`` and ``-n`` work, and node ids name the
file. The lint's findings are collection errors of their file.
"""

import sys
import tempfile
import types
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import pytest

from velero_acceptance.core.installation import ROOT
from velero_acceptance.criteria.current import mapping, register, waived
from velero_acceptance.gherkin.documents import FEATURES, MalformedFeature, read, read_all
from velero_acceptance.gherkin.lint import KNOWN_TAGS, Definition, definitions, lint_feature, lint_suite
from velero_acceptance.gherkin.without_faults import without_faults
from velero_acceptance.suite.door import refusing
from velero_acceptance.suite.options import option
from velero_acceptance.suite.session import OPTION, runs_features

MODULE = "from pytest_bdd import scenarios\nscenarios(feature)\n"
CONTROL_FOLDER = pytest.StashKey[Path]()


@cache
def steps() -> list[Definition]:
    """The step definitions; pytest imports all of them before it collects."""
    return definitions()


class FeatureModule(pytest.Module):
    """A feature file as a Python module with nothing but ``scenarios(<the file>)``."""

    def collect(self) -> Iterable[pytest.Item | pytest.Collector]:
        try:
            problems = list(lint_feature(read(self.path), register(), steps()))
        except MalformedFeature as error:
            problems = [str(error)]
        if problems:
            raise self.CollectError("\n".join(f"{self.path.name}: {problem}" for problem in problems))
        return super().collect()

    def _getobj(self) -> types.ModuleType:
        feature = self.path
        if option(self.config, OPTION):  # pytest-bdd reads only files
            feature = self.config.stash[CONTROL_FOLDER] / self.path.name
            feature.write_text(without_faults(self.path.read_text()))
        name = "features_" + "_".join(self.path.with_suffix("").parts[-2:]).replace("-", "_")
        module = types.ModuleType(name)
        module.__file__ = str(self.path)
        module.__dict__["feature"] = str(feature)
        sys.modules[name] = module
        # pytest-bdd binds the scenarios in the module that calls scenarios().
        exec(compile(MODULE, str(self.path), "exec"), module.__dict__)
        return module


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    if file_path.suffix != ".feature":
        return None
    # Outside of pytest's root a file that is named alone would have an empty node id.
    own = str(file_path.relative_to(ROOT)) if file_path.is_relative_to(ROOT) else None
    return FeatureModule.from_parent(parent, path=file_path, nodeid=own)


def pytest_configure(config: pytest.Config) -> None:
    with refusing():
        criteria = register().criteria
        mapping()
        waived()
    for tag in (*criteria, *sorted(KNOWN_TAGS)):
        config.addinivalue_line("markers", f"{tag}: a tag of the feature files")
    if option(config, OPTION):
        folder = tempfile.TemporaryDirectory(prefix="without-faults-")
        config.add_cleanup(folder.cleanup)
        config.stash[CONTROL_FOLDER] = Path(folder.name)


def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config) -> None:
    """Lint across the files when the whole folder is collected; the report of any run needs all of them."""
    if runs_features(config) and session.testsfailed == 0:
        with refusing(config):
            read_all()
    asked = {Path(argument.partition("::")[0]).resolve() for argument in config.args}
    if FEATURES in asked and session.testsfailed == 0:
        problems = list(lint_suite(read_all(), register(), steps()))
        if problems:
            raise pytest.UsageError("\n".join(problems))
