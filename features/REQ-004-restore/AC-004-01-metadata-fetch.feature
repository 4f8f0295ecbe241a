@AC-004-01
Feature: A restore fetches its metadata soon after it is created

  Scenario: S3 receives the request for the metadata in time
    Given a backup of the standard application
    When the backup is restored into "copy" while S3 requests are traced
    Then the restore started in time
    And S3 received the request for the backup's metadata in time

  @long
  Scenario: A backup whose Backup object was deleted is synced from the bucket and can be restored
    Given an empty namespace "source"
    And a small backup of "source"
    When the Backup object is deleted while the bucket keeps its data
    Then Velero syncs the Backup object from the bucket
    And the synced backup can be restored into "copy"

  @negative
  Scenario: The suite reports a restore of a backup that does not exist
    Given a backup of the standard application
    # without the fault: the backup is restored into "copy"
    When a backup that does not exist is restored
    Then the suite reports that the restore never started, with the cause
