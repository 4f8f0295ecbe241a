@AC-005-04
Feature: A failed run does not stop the next one

  @exclusive
  Scenario: The next run is Completed once S3 is back
    Given an empty namespace "source"
    And a copy of the deployed schedule for "source"
    And S3 denies Velero the metadata of "source"
    When the copy is due
    Then its run is Failed, the error is logged, and the copy stays enabled
    When S3 is back and the copy is due again
    Then its next run is Completed, and there were no other runs

  @exclusive @negative
  Scenario: A run that fails is not taken for a recovery
    Given an empty namespace "source"
    # without the fault: nothing
    And S3 denies Velero the metadata of "source"
    When somebody makes a backup of "source" that calls itself a run of the schedule
    Then the suite does not call it a recovery
