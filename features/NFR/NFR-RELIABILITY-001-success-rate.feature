@NFR-RELIABILITY-001
Feature: The schedule's backups succeed, again and again

  Two kinds of evidence, never added up. The calendar's: what the deployed schedule did by itself, as
  far back as it is known. And the mechanism's: copies of it that are due every minute, some of whose
  runs are made to fail. The second says that runs follow each other and that failures show; it does
  not stand for 30 days.

  Scenario: The schedule's own runs, as far as they are known
    Given the runs that the deployed schedule made by itself
    Then no more of them failed than the design allows
    And the report says what they prove, and what they do not

  @disrupt @long
  Scenario: Runs every minute, some of them with a fault
    Given an accelerated schedule, some of whose runs have a fault
    When its runs without a fault are judged
    Then they succeeded
    And every run with a fault counts as a failure, and the next one succeeded
    And the report says what they prove, and what they do not

  @disrupt @long @negative
  Scenario: Failures of every kind bring the rate down
    Given an accelerated schedule, some of whose runs have a fault
    # without the fault: its runs without a fault are judged
    When all of its runs are judged
    Then the suite calls the rate too low
    And had they been the calendar's, more failed than the design allows

  @soak @long
  Scenario: Schedule, restores and retention for hours
    Given an application that is backed up every minute, and keeps few of its backups
    When this goes on for the hours of the soak
    Then every backup succeeded, every restore was equal, and what expired is gone
