@AC-001-01
Feature: Velero reaches S3 after a restart

  A location can still be Available from before the restart, and Available does not prove write access. So Velero has
  to validate it again, and a backup has to arrive in S3.

  @exclusive @disrupt
  Scenario: Velero validates the location again after a restart
    Given an empty namespace "source"
    When Velero is restarted
    Then Velero validates the location in time
    When "source" is backed up
    Then the backup is stored in S3

  @exclusive @disrupt @negative
  Scenario: A location that is Available from before the restart does not count
    Given an empty namespace "source"
    # without the fault: nothing
    And S3 refuses connections
    When Velero is restarted
    Then the suite reports that Velero has not validated the location as Available
    When "source" is backed up
    Then the suite reports that the backup is not stored in S3
    When S3 accepts connections again
    Then the location becomes Available again
