"""The criteria of this run, read once a process: the register, the controls it is mapped to, and the waivers."""

from __future__ import annotations

from functools import cache

from velero_acceptance.criteria import controls, waivers
from velero_acceptance.criteria.load import Register, load


@cache
def register() -> Register:
    """The register, read once a process."""
    return load()


@cache
def mapping() -> controls.Mapping:
    """The controls that criteria give evidence for, read once a process."""
    return controls.load(register())


@cache
def waived() -> waivers.Waivers:
    """The waivers, read once a process."""
    return waivers.load(register())
