@CLI-list-backups
Feature: velero backup get lists every backup

  Velero makes an object in the cluster of each backup in S3, and the command lists these objects. So
  the list is compared with both.

  @exclusive
  Scenario: The list is what the cluster and S3 hold
    Given the standard application, backed up
    And an account that may only read
    When the account lists the backups with velero, again and again
    Then each list holds every backup of the cluster and of S3, with its status, in time

  @negative
  Scenario: A backup that S3 holds and the list lacks is noticed
    Given an empty namespace "source"
    And a small backup of "source"
    And an account that may only read
    # without the fault: nothing
    And the object of the small backup is lost
    When the account lists the backups with velero
    Then the list is seen to lack the small backup

  @negative
  Scenario: A backup that does not exist is an error
    Given an account that may only read
    # without the fault: the account lists the backups with velero
    When the account asks velero to list a backup that does not exist
    Then the command fails and says "not found"

  @negative
  Scenario: An account without rights is refused
    # without the fault: an account that may only read
    Given an account that may do nothing
    When the account lists the backups with velero
    Then the account is refused
