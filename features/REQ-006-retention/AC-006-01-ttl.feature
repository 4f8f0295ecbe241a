@AC-006-01
Feature: A backup carries its retention

  Scenario: Manual and scheduled backups have the retention of the design
    When the standard application is backed up
    And a copy of the deployed schedule creates a backup
    Then both are kept as long as the design says, counted from their start

  @passive
  Scenario: The newest run of the schedule has the retention of the design
    Given the newest run of the deployed schedule
    Then the run is kept as long as the design says, counted from its start

  @negative
  Scenario: The suite reports a backup with another retention
    Given an empty namespace "source"
    # without the fault: "source" is backed up
    When "source" is backed up with a TTL of 72 hours
    Then the suite reports its retention as wrong
