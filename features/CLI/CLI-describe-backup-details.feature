@CLI-describe-backup
Feature: velero backup describe shows what the cluster and S3 know of a backup

  The command exits with 0 also when it could not read S3, and says so in the middle of its output. So
  the whole output is compared.

  @exclusive
  Scenario: Every field, message, volume and item is shown
    Given the standard application, backed up
    And an account that may only read
    When the account describes the backup with velero, again and again
    Then each description shows its phase, namespaces, messages, retention, volumes and items, in time

  @negative
  Scenario: An account that may ask for no download sees nothing of S3
    Given the standard application, backed up
    # without the fault: an account that may only read
    And an account that may look, and ask for no download
    When the account describes the backup with velero
    Then the description is seen to lack what is in S3

  @exclusive @disrupt @negative
  Scenario: A description made without S3 does not pass for a whole one
    Given the standard application, backed up
    And an account that may only read
    # without the fault: nothing
    And S3 refuses connections
    When the account describes the backup with velero
    Then the description is seen to lack what is in S3

  @negative
  Scenario: A backup that does not exist is an error
    Given the standard application, backed up
    And an account that may only read
    # without the fault: the account describes the backup with velero
    When the account describes a backup that does not exist with velero
    Then the command fails and says "not found"

  @negative
  Scenario: An account without rights is refused
    Given the standard application, backed up
    # without the fault: an account that may only read
    And an account that may do nothing
    When the account describes the backup with velero
    Then the account is refused
