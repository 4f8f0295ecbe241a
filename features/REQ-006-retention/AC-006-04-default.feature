@AC-006-04
Feature: A backup without a TTL gets the default retention

  Scenario: The default retention matches the design
    Given an empty namespace "source"
    When "source" is backed up
    Then the backup is kept as long as the design says

  @exclusive @disrupt @negative
  Scenario: The suite reports another default retention of the server
    Given an empty namespace "source"
    # without the fault: nothing
    When another default retention is committed to Git
    And "source" is backed up
    Then the suite reports its retention as wrong
    And the backup is kept as long as the committed default says
