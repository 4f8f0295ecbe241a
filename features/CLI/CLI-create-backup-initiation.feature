@CLI-create-backup
Feature: velero backup create starts a backup

  @exclusive
  Scenario: Every call starts a backup in time, which is Completed in S3
    Given an empty namespace "source"
    And an account that may create backups and restores
    And Velero is idle
    When the account repeatedly backs up "source" with velero
    Then every call succeeds in time, with the right output and effect

  @negative
  Scenario Outline: An invalid backup request fails immediately: <mistake>
    Given a backup of the standard application
    And an account that may create backups and restores
    # without the fault: the account requests a backup with no mistake
    When the account requests a backup with <mistake>
    Then the command fails with "<reason>"
    And the command created nothing

    Examples:
      | mistake                        | reason         |
      | a name that Kubernetes rejects | is invalid     |
      | the name of an existing backup | already exists |
      | a location that does not exist | not found      |

  @negative
  Scenario Outline: An account that <rights> is refused
    Given an empty namespace "source"
    # without the fault: an account that may create backups and restores
    And an account that <rights>
    When the account backs up "source" with velero
    Then the API server refuses the account
    And the command created nothing

    Examples:
      | rights        |
      | may only read |
      | has no rights |
