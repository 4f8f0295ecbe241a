@AC-003-01
Feature: A backup starts soon after it is created

  Scenario: An idle Velero starts a backup immediately
    Given an empty namespace "source"
    When "source" is backed up
    Then the backup started in time

  Scenario: Waiting for another backup does not count as a slow start
    Given an empty namespace "source"
    When two backups of "source" are created at the same moment
    Then both started in time, not counting the wait for each other

  @negative
  Scenario: The suite reports a backup that never starts
    Given an empty namespace "source"
    # without the fault: "source" is backed up
    When "source" is backed up to a location that does not exist
    Then the suite reports that the backup never started, with the cause
