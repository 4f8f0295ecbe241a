@AC-007-01
Feature: A commit becomes a working Velero in time

  @exclusive @disrupt
  Scenario: Flux deploys Velero into an empty namespace
    When Velero is committed to Git for a new namespace
    Then Flux reports the committed release there as Ready, and its pods and location are ready, all in time

  @exclusive @disrupt @negative
  Scenario: The suite reports a release that cannot be rendered
    # without the fault: Velero is committed to Git for a new namespace
    When Velero is committed to Git for a new namespace, with the value deployRestic of the design
    Then the suite reports the release there as not deployed, with the cause that Flux names
