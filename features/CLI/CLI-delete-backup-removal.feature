@CLI-delete-backup
Feature: velero backup delete removes a backup everywhere

  The command only asks for the deletion, and its exit code is that of the asking: it is 0 also for a
  location that is read-only, and for a backup that it could not find or read. So the object and its keys
  decide.

  @exclusive
  Scenario: Every call is answered, and its backup goes from the cluster and from S3
    Given an empty namespace "source"
    And small backups of "source", one for each call
    And an account that may do everything with Velero
    And Velero is at rest
    When the account deletes them with velero, one after the other
    Then each call says so, and its backup is gone in time, object and keys

  @exclusive @disrupt @negative
  Scenario: A backup that Velero cannot delete is not called deleted
    Given an empty namespace "source"
    And a small backup of "source"
    And an account that may do everything with Velero
    # without the fault: nothing
    And the location is read-only
    When the account deletes the small backup with velero
    Then the small backup is still there, and Velero says why

  @negative
  Scenario: Without a confirmation nothing is deleted
    Given an empty namespace "source"
    And a small backup of "source"
    And an account that may do everything with Velero
    # without the fault: the account deletes the small backup with velero
    When the account deletes the small backup with velero, and confirms nothing
    Then the output is seen to be no deletion
    And the small backup is still there, and nobody wants it deleted

  @negative
  Scenario: The deletion of a backup that does not exist does not pass for one
    Given an empty namespace "source"
    And a small backup of "source"
    And an account that may do everything with Velero
    # without the fault: the account deletes the small backup with velero
    When the account deletes a backup that does not exist with velero
    Then the output is seen to be no deletion

  @negative
  Scenario Outline: An account without the right is refused
    Given an empty namespace "source"
    And a small backup of "source"
    # without the fault: an account that may do everything with Velero
    And an account that <rights>
    When the account deletes the small backup with velero
    Then the account is refused
    And the small backup is still there, and nobody wants it deleted

    Examples:
      | rights                          |
      | may create backups and restores |
      | may only read                   |

  @negative
  Scenario: An account that may not even look deletes nothing
    Given an empty namespace "source"
    And a small backup of "source"
    # without the fault: an account that may do everything with Velero
    And an account that may do nothing
    When the account deletes the small backup with velero
    Then the output is seen to be no deletion
    And the small backup is still there, and nobody wants it deleted
