@shares-schedule-run
@AC-005-02
Feature: Nobody has to create the daily backup

  @disrupt
  Scenario: Velero's own service account creates the run
    When the deployed schedule runs
    Then Velero's own service account created the run, by the audit log of the API server

  @exclusive @negative
  Scenario: The suite reports a manual backup that carries the schedule's label
    Given an empty namespace "source"
    # without the fault: the deployed schedule runs
    When "source" is backed up manually, with the label of the deployed schedule
    Then the suite reports that Velero did not create the backup
