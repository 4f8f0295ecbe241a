@AC-003-01
Feature: A backup starts soon after it is asked for

  Scenario: Velero at rest starts a backup at once
    Given an empty namespace "source"
    When "source" is backed up
    Then the backup started in time

  Scenario: A backup that waits for another is not a slow one
    Given an empty namespace "source"
    When two backups of "source" are asked for at the same moment
    Then both started in time, not counting the wait for the other

  @negative
  Scenario: A backup that never starts is not called quick
    Given an empty namespace "source"
    # without the fault: "source" is backed up
    When "source" is backed up to a location that does not exist
    Then the backup never started, and Velero says why
