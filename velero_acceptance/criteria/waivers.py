"""Criteria that are known not to hold, and who accepts it until when."""

from datetime import date
from pathlib import Path

from velero_acceptance.core.errors import Refusal
from velero_acceptance.core.waivers import Acceptance
from velero_acceptance.criteria.load import FOLDER, WAIVERS, Register, parse, read_yaml
from velero_acceptance.criteria.models import CriterionId


class Waiver(Acceptance):
    """One waiver: honoured up to and including the day *until* (UTC)."""

    criterion: CriterionId


Waivers = dict[str, Waiver]


def load(register: Register, folder: Path = FOLDER) -> Waivers:
    """The waivers by criterion, expired ones too; raises Refusal when the file does not fit *register*."""
    path = folder / WAIVERS
    listed = read_yaml(path)
    if not isinstance(listed, list):
        raise Refusal(f"{path} must be a list of waivers")
    found: Waivers = {}
    for waiver in (parse(Waiver, path, entry) for entry in listed):
        if waiver.criterion not in register.criteria:
            raise Refusal(f"{path}: {waiver.criterion} is not in the register")
        if waiver.criterion in found:
            raise Refusal(f"{path}: {waiver.criterion} is waived twice")
        found[waiver.criterion] = waiver
    return found


def in_force(waivers: Waivers, criterion: str, day: date) -> Waiver | None:
    """The waiver of *criterion*, if it is honoured on *day*."""
    waiver = waivers.get(criterion)
    return waiver if waiver and waiver.in_force(day) else None
