"""What a row consists of: when this changes, its mutants have to be caught again."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import sys
from collections.abc import Iterable, Iterator, Sequence

from velero_acceptance.core.installation import make_importable, modules
from velero_acceptance.criteria.current import register
from velero_acceptance.criteria.load import Register
from velero_acceptance.gherkin.documents import FeatureText, read_all
from velero_acceptance.gherkin.lint import Definition, definitions


def digests() -> dict[str, str]:
    """The digest of each criterion of the suite."""
    make_importable()
    for name in modules("steps"):
        importlib.import_module(name)
    return digests_of(register(), read_all(), definitions())


def digests_of(register: Register, features: Iterable[FeatureText], steps: Sequence[Definition]) -> dict[str, str]:
    """For each criterion the SHA-256 of its text and limits, its scenarios, and the functions of their steps."""
    of_criteria = {name: [criterion.model_dump_json()] for name, criterion in register.criteria.items()}
    for feature in features:
        parts = [f"{scenario.name} {scenario.steps}" for scenario in feature.scenarios]
        parts += sorted(set(_sources(feature, steps)))
        for name in feature.tags & of_criteria.keys():
            of_criteria[name] += parts
    return {name: hashlib.sha256("\n".join(parts).encode()).hexdigest() for name, parts in of_criteria.items()}


def _sources(feature: FeatureText, steps: Sequence[Definition]) -> Iterator[str]:
    for scenario in feature.scenarios:
        for step in scenario.steps:
            for definition in steps:
                if definition.fits(step):
                    module, _, function = definition.where.rpartition(".")
                    yield inspect.getsource(getattr(sys.modules[module], function))
