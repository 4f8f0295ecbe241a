@AC-001-04
Feature: S3 stays within reach while Velero runs

  Velero keeps no connection open; what can be observed is that it validates the location in every
  period, and finds it available.

  @long
  Scenario: The location is validated and available in every period
    Given the location is watched
    Then the location is available in every period

  @passive
  Scenario: Nothing else going on, the location is available in every period
    Given the location is watched
    Then the location is available in every period

  @exclusive @disrupt @negative
  Scenario: An outage is noticed, and healing needs no restart
    Given the location is watched
    # without the fault: nothing
    And S3 refuses connections
    Then Velero calls the location unavailable and says why
    And the outage is seen among the periods
    And the location is available again once S3 answers
