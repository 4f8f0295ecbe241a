@AC-003-03
Feature: A completed backup holds every volume

  Completed says nothing of volumes that Velero left out. So volumes are counted, one by one.

  Scenario: Completed means that everything is there
    Given the standard application, backed up
    Then the backup is Completed, without errors and with all items
    And every mounted claim of it is in the backup
    And the copy of its status in S3 says Completed

  @passive
  Scenario: The newest backup is as complete as it says
    Given the newest backup that somebody else made
    Then it is Completed, without errors and with all items, also by its copy in S3

  @negative
  Scenario: Claims that Velero leaves out in silence are named
    # without the fault: a namespace "source" with the claim "ordinary"
    Given a namespace "source" with these claims
      | claim        | left out because                 |
      | on-host-path | its volume is a host path        |
      | unmounted    | only an init container mounts it |
      | opted-out    | an annotation excludes it        |
    When "source" is backed up
    Then Velero calls the backup Completed
    And the suite names every one of these claims as not in the backup
