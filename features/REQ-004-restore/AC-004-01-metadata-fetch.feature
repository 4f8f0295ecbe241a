@AC-004-01
Feature: A restore fetches its metadata soon after it is asked for

  Scenario: The S3 server sees the request in time
    Given the standard application, backed up
    When it is restored as "copy"
    Then the restore started in time
    And S3 was asked for the metadata of the backup in time

  @long
  Scenario: A backup that the cluster has forgotten is found in the bucket, and restored
    Given an empty namespace "source"
    And a completed small backup of "source"
    When the Backup object is deleted, while the bucket keeps its data
    Then Velero makes the Backup object again from the bucket
    And it can be restored as "copy"

  @negative
  Scenario: A restore of nothing fetches nothing
    Given the standard application, backed up
    # without the fault: the backup of "standard" is restored as "copy"
    When a backup that does not exist is restored
    Then the restore never started, and Velero says why
