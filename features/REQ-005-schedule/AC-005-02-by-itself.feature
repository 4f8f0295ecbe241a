@shares-schedule-run
@AC-005-02
Feature: Nobody has to make the daily backup

  @disrupt
  Scenario: Velero's own account makes the run
    Given a run of the deployed schedule
    Then the API server saw Velero's own account make it, and nobody else

  @exclusive @negative
  Scenario: A backup by hand does not pass for a run
    Given an empty namespace "source"
    # without the fault: Velero makes a run of the deployed schedule
    When somebody makes a backup of "source" that calls itself a run of the schedule
    Then it is seen not to be Velero's
