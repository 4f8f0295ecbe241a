@AC-005-04
Feature: A failed run does not stop the next one

  @exclusive
  Scenario: The next run is Completed once S3 takes its metadata again
    Given an empty namespace "source"
    And a copy of the deployed schedule for "source"
    And S3 denies Velero write access to the metadata of "source"
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

  Scenario: While a run is at work no other is begun
    Given a namespace "source" with an empty volume
    And a copy of the deployed schedule for "source"
    When the copy is due again while its run is at work
    Then no other run of it was begun
    And the report says what becomes of runs that wait in the queue

  @negative
  Scenario: A run that is refused is counted, and seen not to be logged
    Given an empty namespace "source"
    And a copy of the deployed schedule for "source"
    # without the fault: a run of it is Completed
    When a run of it is refused for want of a location
    Then it is found as a failure among the metrics, and as none in the log

  @exclusive @negative
  Scenario: A run that fails is not taken for a recovery
    Given an empty namespace "source"
    # without the fault: nothing
    And S3 denies Velero write access to the metadata of "source"
    When somebody makes a backup of "source" that calls itself a run of the schedule
    Then the suite does not call it a recovery

  @negative
  Scenario: A failure that is not counted is seen
    Given an empty namespace "source"
    And a copy of the deployed schedule for "source"
    # without the fault: a run of it is refused for want of a location
    When a run of it is Completed
    Then the suite does not find a failure of it among the metrics
