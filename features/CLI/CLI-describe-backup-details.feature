@CLI-describe-backup
Feature: velero backup describe shows what the cluster and S3 know of a backup

  The command exits with 0 even if it could not read S3, and mentions that in the middle of its output. So the suite
  compares the whole output.

  @exclusive
  Scenario: Every description shows phase, namespaces, messages, retention, volumes and items in time
    Given a backup of the standard application
    And an account that may only read
    When the account repeatedly describes the backup with velero
    Then every call succeeds in time, with the right output and effect

  @negative
  Scenario: The suite reports the description for an account that cannot request downloads
    Given a backup of the standard application
    # without the fault: an account that may only read
    And an account that may read but not request downloads
    When the account describes the backup with velero
    Then the suite reports that the description lacks what is in S3

  @exclusive @disrupt @negative
  Scenario: The suite reports a description made without S3
    Given a backup of the standard application
    And an account that may only read
    # without the fault: nothing
    And S3 refuses connections
    When the account describes the backup with velero
    Then the suite reports that the description lacks what is in S3

  @negative
  Scenario: A backup that does not exist is an error
    Given a backup of the standard application
    And an account that may only read
    # without the fault: the account describes the backup with velero
    When the account describes a backup that does not exist with velero
    Then the command fails with "not found"

  @negative
  Scenario: An account that has no rights is refused
    Given a backup of the standard application
    # without the fault: an account that may only read
    And an account that has no rights
    When the account describes the backup with velero
    Then the API server refuses the account
