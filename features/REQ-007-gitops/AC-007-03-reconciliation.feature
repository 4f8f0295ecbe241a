@AC-007-03
Feature: The cluster follows Git, and goes back to it

  @exclusive @disrupt
  Scenario: A value changed in Git reaches the live object
    When another validation frequency is committed to Git
    Then the live location has that frequency

  @exclusive @disrupt
  Scenario: What is edited or deleted by hand comes back
    Given somebody edits the location and the schedule, and deletes Velero's service
    When Flux looks at its objects again
    Then all of them are again as Git says

  @exclusive @disrupt @negative
  Scenario: A suspended release does not come back
    # without the fault: nothing
    Given Velero's release is suspended
    And somebody deletes Velero's service
    When Flux is asked to look at the release again
    Then the service is still missing
