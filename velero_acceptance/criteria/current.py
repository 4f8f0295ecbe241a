"""The register, its controls and its waivers, read once a process."""

from functools import cache

from velero_acceptance.criteria import controls, waivers
from velero_acceptance.criteria.load import Register, load


@cache
def register() -> Register:
    return load()


@cache
def mapping() -> controls.Mapping:
    return controls.load(register())


@cache
def waived() -> waivers.Waivers:
    return waivers.load(register())
