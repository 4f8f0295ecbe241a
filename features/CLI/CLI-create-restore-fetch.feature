@CLI-create-restore
Feature: velero restore create starts a restore

  @exclusive
  Scenario: Every call starts a restore, which requests the backup from S3 in time and brings the settings back
    Given a backup of the standard application
    And an account that may create backups and restores
    When the account repeatedly restores the settings from the backup with velero
    Then every call succeeds in time, with the right output and effect

  @negative
  Scenario: A restore of a backup that does not exist fails immediately
    Given a backup of the standard application
    And an account that may create backups and restores
    # without the fault: the account restores the settings from the backup with velero
    When the account restores the settings from a backup that does not exist with velero
    Then the command fails with "not found"
    And the command created nothing

  @negative
  Scenario Outline: An account that <rights> is refused
    Given a backup of the standard application
    # without the fault: an account that may create backups and restores
    And an account that <rights>
    When the account restores the settings from the backup with velero
    Then the API server refuses the account
    And the command created nothing

    Examples:
      | rights        |
      | may only read |
      | has no rights |
