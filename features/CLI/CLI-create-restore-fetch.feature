@CLI-create-restore
Feature: velero restore create starts a restore

  @exclusive
  Scenario: Every call is answered, and its restore asks S3 for the backup and brings what was asked for
    Given the standard application, backed up
    And an account that may create backups and restores
    When the account restores the application's settings under other names with velero, again and again
    Then each call says so, and its restore asks S3 for the backup in time and brings the settings

  @negative
  Scenario: A backup that does not exist is an error at once
    Given the standard application, backed up
    And an account that may create backups and restores
    # without the fault: the account restores the application's settings with velero
    When the account restores a backup that does not exist with velero
    Then the command fails and says "not found"
    And nothing was made by it

  @negative
  Scenario Outline: An account without the right is refused
    Given the standard application, backed up
    # without the fault: an account that may create backups and restores
    And an account that <rights>
    When the account restores the application's settings with velero
    Then the account is refused
    And nothing was made by it

    Examples:
      | rights         |
      | may only read  |
      | may do nothing |
