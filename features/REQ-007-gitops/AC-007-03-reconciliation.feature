@AC-007-03
Feature: The cluster follows Git

  @exclusive @disrupt
  Scenario: A value that changes in Git reaches the live object
    When another validation frequency is committed to Git
    Then the live location has that frequency

  @exclusive @disrupt
  Scenario: Flux reverts manual edits and deletions
    Given the location and the schedule were edited and Velero's Service was deleted
    When Flux reconciles
    Then every object is as in Git again

  @exclusive @disrupt @negative
  Scenario: The suite reports drift that a suspended release keeps
    # without the fault: nothing
    Given Velero's release is suspended
    And Velero's Service was deleted
    When Flux is asked to reconcile the release
    Then the suite reports the Service as missing
