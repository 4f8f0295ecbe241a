@AC-005-01
Feature: The daily backup starts by itself

  @disrupt
  Scenario: The deployed schedule fires when it is due
    Given the deployed schedule is enabled and its clock is UTC
    When its last run is moved to two days ago
    Then it makes a backup in time, with its name and label
    And its next due times are those of the design

  @passive
  Scenario: The deployed schedule is due when the design says
    Given the deployed schedule is enabled and its clock is UTC
    Then its next due times are those of the design

  @negative
  Scenario: A paused schedule, and one that is not due, make nothing
    # without the fault: three copies of the deployed schedule, all of them due
    Given three copies of the deployed schedule: due, due but paused, and not due
    Then only the one that is due makes a backup
