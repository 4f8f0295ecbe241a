@CLI-list-backups
Feature: velero backup get lists every backup

  The command lists the Backup objects in the cluster, which Velero syncs from S3. So the suite compares the list with
  both.

  @exclusive
  Scenario: Every list holds all backups of the cluster and of S3, with their status, in time
    Given a backup of the standard application
    And an account that may only read
    When the account repeatedly lists the backups with velero
    Then every call succeeds in time, with the right output and effect

  @negative
  Scenario: The suite reports a backup that is in S3 and not in the list
    Given an empty namespace "source"
    And a small backup of "source"
    And an account that may only read
    # without the fault: nothing
    And the object of the small backup is missing
    When the account lists the backups with velero
    Then the suite reports that the list lacks the small backup

  @negative
  Scenario: A backup that does not exist is an error
    Given an account that may only read
    # without the fault: the account lists the backups with velero
    When the account lists a backup that does not exist with velero
    Then the command fails with "not found"

  @negative
  Scenario: An account that has no rights is refused
    # without the fault: an account that may only read
    Given an account that has no rights
    When the account lists the backups with velero
    Then the API server refuses the account
