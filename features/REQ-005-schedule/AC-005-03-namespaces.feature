@shares-schedule-run
@AC-005-03
Feature: The daily backup holds the namespaces of the design and no others

  What a backup was asked to hold and what it holds may differ. The suite reads what it holds, from the bucket.

  @disrupt
  Scenario: A run holds exactly the namespaces of the design
    Given a backup of the standard application
    When the deployed schedule runs
    Then the resource list and the archive of the run hold the design's namespaces and no others
    And the run holds the data of their volumes and of no others

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

  @negative
  Scenario: The suite reports a missing and an unexpected namespace
    Given an empty namespace "plain"
    # without the fault: the deployed schedule runs
    When "plain" and a namespace that does not exist are backed up
    Then the suite reports the missing namespace, and "plain" as unexpected
    And the suite reports that the backup has no data of "plain"

  @negative
  Scenario: The suite reports a namespace that a label excludes from backups
    Given an empty namespace "plain"
    # without the fault: an empty namespace "hidden"
    And a namespace "hidden" with the label that excludes it from backups
    When "plain" and "hidden" are backed up
    Then the suite reports "hidden" as missing because of its label
