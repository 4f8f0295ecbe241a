@AC-006-01
Feature: A backup carries its retention

  Scenario: By hand and by schedule the retention is the design's
    Given the standard application, backed up
    And a backup made by a copy of the deployed schedule
    Then both are kept as long as the design says, counted from their start

  @passive
  Scenario: The newest run of the schedule carries the design's retention
    Given the newest run of the deployed schedule
    Then the run is kept as long as the design says, counted from its start

  @negative
  Scenario: A backup with another retention is told apart
    Given an empty namespace "source"
    # without the fault: "source" is backed up
    When "source" is backed up with a TTL of 72 hours
    Then the suite calls its retention wrong
