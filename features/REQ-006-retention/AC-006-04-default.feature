@AC-006-04
Feature: A backup without a TTL gets the default retention

  Scenario: The default is the design's
    Given an empty namespace "source"
    When "source" is backed up
    Then the backup is kept as long as the design says

  @exclusive @disrupt @negative
  Scenario: Another default of the server is another retention
    Given an empty namespace "source"
    # without the fault: nothing
    When another default retention is committed to Git
    And "source" is backed up
    Then the suite calls its retention wrong
    And its retention is the one that was committed
