@AC-005-04
Feature: A failed run does not stop the next one

  @exclusive
  Scenario: The next run is Completed once S3 accepts its metadata again
    Given an empty namespace "source"
    And a copy of the deployed schedule for "source"
    And S3 denies Velero write access to the metadata of "source"
    When the copy is due
    Then its run fails, the failure is logged and counted, and the copy stays enabled
    When S3 grants Velero write access again
    And the copy is due again
    Then its next run is Completed, and there were no other runs

  @exclusive
  Scenario: The next run is Completed once S3 is reachable again
    Given an empty namespace "source"
    And a copy of the deployed schedule for "source"
    And S3 becomes unreachable right after a validation of the location
    When the copy is due
    Then its run fails, the failure is logged and counted, and the copy stays enabled
    When S3 accepts connections again
    Then the location becomes Available again
    When the copy is due again
    Then its next run is Completed, and there were no other runs

  Scenario: No other run starts while a run is in progress
    Given a namespace "source" with an empty volume
    And a copy of the deployed schedule for "source"
    When the copy is due again while its run is in progress
    Then the copy started no other run
    And the report shows what happens to runs that wait in the queue

  @negative
  Scenario: The suite reports a rejected run as counted but not logged
    Given an empty namespace "source"
    And a copy of the deployed schedule for "source"
    # without the fault: a run of the copy is Completed
    When a run of the copy is rejected because its location does not exist
    Then the suite finds the failure in the metrics and reports it as missing from the log

  @exclusive @negative
  Scenario: A failed run does not count as a recovery
    Given an empty namespace "source"
    # without the fault: nothing
    And S3 denies Velero write access to the metadata of "source"
    When "source" is backed up manually, with the label of the deployed schedule
    Then the suite reports that the schedule has not recovered

  @negative
  Scenario: The suite reports a failure that is missing from the metrics
    Given an empty namespace "source"
    And a copy of the deployed schedule for "source"
    # without the fault: a run of the copy is rejected because its location does not exist
    When a run of the copy is Completed
    Then the suite reports that the metrics count no failure of the copy
