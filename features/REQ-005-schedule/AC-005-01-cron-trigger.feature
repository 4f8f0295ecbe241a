@shares-schedule-run
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

  @long
  Scenario: A run comes in its minute, and not before
    When the one that is set right has run
    Then it ran in time, and not before its minute, though Velero had looked at it

  @negative
  Scenario: A run before its minute is seen
    # without the fault: the one that is set right has run
    When the one that is set too early has run
    Then the suite calls it early

  @negative
  Scenario: A paused schedule, and one that is not due, make nothing
    # without the fault: three copies of the deployed schedule, all of them due
    Given three copies of the deployed schedule: due, due but paused, and not due
    Then only the one that is due makes a backup

  Scenario: Unpaused, a schedule makes up for what it missed, once
    Given an empty namespace "source"
    And a paused copy of the deployed schedule for "source" that missed its time
    When the copy is unpaused
    Then it makes up for what it missed at once, by one backup

  Scenario: A schedule that is edited to a time that has passed runs at once
    Given an empty namespace "source"
    And a copy of the deployed schedule for "source"
    When the copy is edited to a time that has passed since its last run
    Then it makes up for what it missed at once, by one backup

  @negative
  Scenario: Unpaused, a schedule that missed nothing makes nothing
    Given an empty namespace "source"
    # without the fault: a paused copy of the deployed schedule for "source" that missed its time
    And a paused copy of the deployed schedule for "source" that missed nothing
    When the copy is unpaused
    Then the suite sees that it made no backup

  @exclusive @disrupt
  Scenario: Away when it was due three times, Velero makes up for it once
    Given an empty namespace "source"
    And a copy of the deployed schedule for "source"
    When Velero is away while the copy is due three times
    Then it makes up for what it missed at once, by one backup
