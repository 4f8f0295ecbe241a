@AC-007-01
Feature: A commit becomes a working Velero in time

  @exclusive @disrupt
  Scenario: Velero comes up in an empty namespace
    When Velero is committed to Git for a new namespace
    Then the release is Ready there for what was committed, and pods and location with it, in time

  @exclusive @disrupt @negative
  Scenario: A release that cannot be rendered is not taken for deployed
    # without the fault: Velero is committed to Git for a new namespace
    When Velero is committed to Git for a new namespace, with the value deployRestic of the design
    Then the release there fails, and Flux says why
