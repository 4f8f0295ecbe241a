@CLI-create-backup
Feature: velero backup create starts a backup

  @exclusive
  Scenario: Every call is answered, and its backup starts and arrives in S3
    Given an empty namespace "source"
    And an account that may create backups and restores
    And Velero is at rest
    When the account backs up "source" with velero, again and again
    Then each call says so, and its backup starts in time and is Completed in S3

  @negative
  Scenario Outline: What cannot become a backup is an error at once
    Given the standard application, backed up
    And an account that may create backups and restores
    # without the fault: the account asks velero for a backup with no mistake
    When the account asks velero for a backup with <mistake>
    Then the command fails and says "<reason>"
    And nothing was made by it

    Examples:
      | mistake                              | reason         |
      | a name that Kubernetes does not take | is invalid     |
      | the name of the backup that there is | already exists |
      | a location that does not exist       | not found      |

  @negative
  Scenario Outline: An account without the right is refused
    Given an empty namespace "source"
    # without the fault: an account that may create backups and restores
    And an account that <rights>
    When the account backs up "source" with velero
    Then the account is refused
    And nothing was made by it

    Examples:
      | rights         |
      | may only read  |
      | may do nothing |
