@AC-005-04
Feature: A failed run does not stop the next one

  @exclusive
  Scenario: The next run is Completed once S3 takes its metadata again
    Given an empty namespace "source"
    And a copy of the deployed schedule for "source"
    And S3 denies Velero the metadata of "source"
    When the copy is due
    Then its run is a failure, logged and counted, and the copy stays enabled
    When S3 takes it again and the copy is due again
    Then its next run is Completed, and there were no other runs

  @exclusive
  Scenario: The next run is Completed once S3 can be reached again
    Given an empty namespace "source"
    And a copy of the deployed schedule for "source"
    And S3 is cut off
    When the copy is due
    Then its run is a failure, logged and counted, and the copy stays enabled
    When S3 can be reached again and the copy is due again
    Then its next run is Completed, and there were no other runs

  Scenario: A run that is refused is counted, though it is not logged
    Given an empty namespace "source"
    And a copy of the deployed schedule for "source"
    When a run of it is refused for want of a location
    Then it is found as a failure among the metrics

  @exclusive @negative
  Scenario: A run that fails is not taken for a recovery
    Given an empty namespace "source"
    # without the fault: nothing
    And S3 denies Velero the metadata of "source"
    When somebody makes a backup of "source" that calls itself a run of the schedule
    Then the suite does not call it a recovery

  @negative
  Scenario: A failure that is not counted is seen
    Given an empty namespace "source"
    And a copy of the deployed schedule for "source"
    # without the fault: a run of it is refused for want of a location
    When a run of it is Completed
    Then the suite does not find a failure of it among the metrics
