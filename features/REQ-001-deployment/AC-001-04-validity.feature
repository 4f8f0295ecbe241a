@AC-001-04
Feature: S3 stays reachable while Velero runs

  Velero keeps no connection open. What can be observed is that it validates the location in every period of its
  validation frequency, and finds it Available.

  @long
  Scenario: Velero validates the location in every period
    Given the suite watches the location
    When several validation periods have passed
    Then Velero validated the location in every period and found it Available

  @passive
  Scenario: Velero validates the location in every period while nothing else runs
    Given the suite watches the location
    When several validation periods have passed
    Then Velero validated the location in every period and found it Available

  @exclusive @disrupt @negative
  Scenario: The suite reports an outage, and Velero recovers without a restart
    Given the suite watches the location
    # without the fault: nothing
    When S3 refuses connections
    Then Velero reports the location as Unavailable, with the cause
    And the suite reports the outage as a missed validation
    When S3 accepts connections again
    Then the location becomes Available again
