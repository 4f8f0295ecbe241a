"""Velero of another release, and what an older one has left to it."""

from __future__ import annotations

from pytest_bdd import given, parsers, then

from acceptance.drivers.velero import Velero
from acceptance.evidence.recorder import Evidence
from acceptance.uploaders import KOPIA, RESTIC
from fixtures.scope import Scope
from fixtures.standard import Application
from fixtures.upgrade import Upgrade
from fixtures.watchers import Vigil


@given("a Velero that backs up with restic, and one with kopia at hand")
def both_at_hand(upgrade: Upgrade) -> None:
    """Asked for first, so that a scenario that cannot be run makes nothing."""


@given("Velero is upgraded through Git, to the release that backs up with kopia")
def upgraded(upgrade: Upgrade, application: Application, velero: Velero, vigil: Vigil, evidence: Evidence) -> None:
    evidence.observe("backed up by", velero.image())
    assert _uploaders(velero, application.backup.name) == [RESTIC.name]
    vigil.expect_restart()
    upgrade.commit()
    evidence.observe("restored by", velero.image())


@then(parsers.parse('the next backup of "{alias}" is Completed, and kopia\'s'))
def next_by_kopia(scope: Scope, velero: Velero, evidence: Evidence, alias: str) -> None:
    name = scope.backup_name("next")
    backup = velero.backup(name, labels=scope.labels, includedNamespaces=[scope.name(alias)]).require()
    assert _uploaders(velero, name) == [KOPIA.name]
    evidence.measure("errors_reported", backup.errors, artefact=str(backup.status))


def _uploaders(velero: Velero, backup: str) -> list[str]:
    return [str(volume["spec"]["uploaderType"]) for volume in velero.volume_backups(backup)]
