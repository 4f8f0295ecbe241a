@CLI-delete-backup
Feature: velero backup delete removes a backup from the cluster and from S3

  The command only requests the deletion, and its exit code only says whether it could: it is 0 for a read-only location,
  and for a backup that the command could not find or read. So the suite looks for the object and the keys.

  @exclusive
  Scenario: Every call removes its backup from the cluster and from S3 in time
    Given an empty namespace "source"
    And small backups of "source", one for each call
    And an account that has full access to Velero
    And Velero is idle
    When the account deletes each of them with velero
    Then every call succeeds in time, with the right output and effect

  @exclusive @disrupt @negative
  Scenario: The suite reports a backup that Velero cannot delete
    Given an empty namespace "source"
    And a small backup of "source"
    And an account that has full access to Velero
    # without the fault: nothing
    And the location is read-only
    When the account deletes the small backup with velero
    Then the suite reports the small backup as not deleted, with the cause that Velero names

  @negative
  Scenario: Nothing is deleted without a confirmation
    Given an empty namespace "source"
    And a small backup of "source"
    And an account that has full access to Velero
    # without the fault: the account deletes the small backup with velero
    When the account deletes the small backup with velero, without confirming it
    Then the suite reports that the output confirms no deletion
    And the small backup is unchanged, and its deletion was not requested

  @negative
  Scenario: The suite reports the deletion of a backup that does not exist
    Given an empty namespace "source"
    And a small backup of "source"
    And an account that has full access to Velero
    # without the fault: the account deletes the small backup with velero
    When the account deletes a backup that does not exist with velero
    Then the suite reports that the output confirms no deletion

  @negative
  Scenario Outline: An account that <rights> is refused
    Given an empty namespace "source"
    And a small backup of "source"
    # without the fault: an account that has full access to Velero
    And an account that <rights>
    When the account deletes the small backup with velero
    Then the API server refuses the account
    And the small backup is unchanged, and its deletion was not requested

    Examples:
      | rights                          |
      | may create backups and restores |
      | may only read                   |

  @negative
  Scenario: An account that cannot even read backups deletes nothing
    Given an empty namespace "source"
    And a small backup of "source"
    # without the fault: an account that has full access to Velero
    And an account that has no rights
    When the account deletes the small backup with velero
    Then the suite reports that the output confirms no deletion
    And the small backup is unchanged, and its deletion was not requested
