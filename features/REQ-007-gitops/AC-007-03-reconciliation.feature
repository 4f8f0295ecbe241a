@AC-007-03
Feature: The cluster follows Git

  @exclusive @disrupt
  Scenario: A value that changes in Git reaches the live object
    When another validation frequency is committed to Git
    Then the live location has that frequency

  @exclusive @disrupt
  Scenario: Flux reverts manual edits and deletions
    Given every object that Flux applies for Velero was edited, and Velero's Service was deleted
    When Flux reconciles
    Then every object is as in Git again
    And Flux was told to ignore none of the objects that it applies for Velero

  @exclusive @disrupt @negative
  Scenario: The suite reports drift that a suspended release keeps
    # without the fault: nothing
    Given Velero's release is suspended
    And Velero's Service was deleted
    When Flux is asked to reconcile the release
    Then the suite reports the Service as missing

  @passive
  Scenario: Flux corrects every object
    Then Flux was told to ignore none of the objects that it applies for Velero

  @exclusive @disrupt @negative
  Scenario: The suite reports an object that Flux was told to ignore
    # without the fault: nothing
    Given Flux is told to ignore what happens to the schedule
    Then the suite reports the schedule as exempt from reconciliation
