@shares-schedule-run
@AC-005-01
Feature: The daily backup starts by itself

  @disrupt
  Scenario: The deployed schedule fires when it is due
    Given the deployed schedule is enabled and Velero runs in UTC
    When the last run of the schedule is moved to two days ago
    Then it creates a backup in time, with the schedule's name and label
    And its next due times match the design

  @passive
  Scenario: The deployed schedule is due at the times of the design
    Given the deployed schedule is enabled and Velero runs in UTC
    Then its next due times match the design

  @long
  Scenario: A run starts within its minute and not before
    When a correctly timed copy of the deployed schedule has run
    Then it ran in time and not before its minute, although Velero had checked the schedule before

  @negative
  Scenario: The suite reports a run before its minute
    # without the fault: a correctly timed copy of the deployed schedule has run
    When a copy of the deployed schedule that is timed too early has run
    Then the suite reports the run as premature

  @negative
  Scenario: A paused schedule and one that is not due create no backup
    # without the fault: three copies of the deployed schedule are created, all due
    When three copies of the deployed schedule are created: one due, one due but paused, and one not due
    Then only the copy that is due creates a backup

  Scenario: A schedule that missed its time catches up once when it is unpaused
    Given an empty namespace "source"
    And a paused copy of the deployed schedule for "source" that missed its time
    When the copy is unpaused
    Then exactly one catch-up backup starts immediately

  Scenario: A schedule that is edited to a time that has passed runs immediately
    Given an empty namespace "source"
    And a copy of the deployed schedule for "source"
    When the copy is edited to a time that has passed since its last run
    Then exactly one catch-up backup starts immediately

  @negative
  Scenario: A schedule that missed nothing does not catch up when it is unpaused
    Given an empty namespace "source"
    # without the fault: a paused copy of the deployed schedule for "source" that missed its time
    And a paused copy of the deployed schedule for "source" that missed nothing
    When the copy is unpaused
    Then the suite reports that no catch-up backup started

  @exclusive @disrupt
  Scenario: Velero catches up once after it was down for three due times
    Given an empty namespace "source"
    And a copy of the deployed schedule for "source"
    When Velero is down while the copy is due three times
    Then exactly one catch-up backup starts immediately
