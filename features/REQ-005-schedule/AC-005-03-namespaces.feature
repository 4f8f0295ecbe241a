@shares-schedule-run
@AC-005-03
Feature: The daily backup holds the namespaces of the design and no others

  What a backup was asked to hold and what it holds may differ. The suite reads what it holds, from the bucket.

  @disrupt
  Scenario: A run holds exactly the namespaces of the design
    Given a backup of the standard application
    When the deployed schedule runs
    Then the resource list and the archive of the run hold the design's namespaces and no others
    And the run holds the data of every PVC in its namespaces
    And the run holds no data of other namespaces

  Scenario: The size of a run can be estimated before it
    Given an estimate of all the volumes that the deployed schedule backs up
    When the deployed schedule runs
    Then the run holds as much data as estimated
    And the report shows how much data the run added to S3

  @negative
  Scenario: The suite reports an estimate that misses a volume
    # without the fault: an estimate of all the volumes that the deployed schedule backs up
    Given an estimate of all but one of the volumes that the deployed schedule backs up
    When the deployed schedule runs
    Then the suite reports that the run holds more data than estimated

  @passive
  Scenario: The newest run held exactly the namespaces of the design
    Given the newest run of the deployed schedule
    Then the resource list and the archive of the run hold the design's namespaces and no others
    And the run holds the data of every PVC in its namespaces

  @negative
  Scenario: The suite reports a missing and an unexpected namespace
    Given an empty namespace "plain"
    # without the fault: the deployed schedule runs
    When "plain" and a namespace that does not exist are backed up
    Then the suite reports the missing namespace, and "plain" as unexpected

  @negative
  Scenario: The suite reports PVCs whose data a run of the schedule leaves out
    # without the fault: a namespace "guest" with an ordinary PVC
    Given a namespace "guest" with five PVCs: on a host path, of an init container only, excluded by annotation, of a pod excluded by label, and of a Deployment scaled to 0
    When a copy of the deployed schedule backs up "guest"
    Then the suite reports each of these PVCs as missing from the backup

  @negative
  Scenario: The suite reports a namespace that a label excludes from backups
    Given an empty namespace "plain"
    # without the fault: an empty namespace "hidden"
    And a namespace "hidden" with the label that excludes it from backups
    When "plain" and "hidden" are backed up
    Then the suite reports "hidden" as missing because of its label
