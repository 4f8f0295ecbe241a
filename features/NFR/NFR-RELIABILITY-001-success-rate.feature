@NFR-RELIABILITY-001
Feature: Scheduled backups keep succeeding

  There are two kinds of evidence, and they are never added up. The calendar's: the runs of the deployed schedule, as
  far back as they are known. And the mechanism's: copies of the schedule that are due every minute, with faults injected
  into some of their runs. The second shows that runs follow each other and that failures are visible; it does not stand
  for 30 days.

  Scenario: The deployed schedule's own runs, as far back as they are known
    Given the runs of the deployed schedule that the suite did not cause
    Then no more of them failed than the design allows
    And the report shows what the calendar proves and what it does not

  @disrupt @long
  Scenario: Runs every minute, some of them with a fault
    When a schedule of one minute runs, with faults in some of its runs
    Then the runs without a fault succeeded
    And every run with a fault counts as a failure, and the next one succeeded
    And the report shows what these runs prove and what they do not

  @disrupt @long @negative
  Scenario: The suite reports a success rate that failures bring down
    When a schedule of one minute runs, with faults in some of its runs
    # without the fault: the suite reports the success rate of the runs without a fault as too low
    Then the suite reports the success rate of all the runs as too low
    And the suite reports more failures than the design allows for as many days

  @soak @long
  Scenario: Backups, restores and retention for hours
    Given an application that is backed up every minute and keeps few of its backups
    When the soak runs for its hours
    Then every backup succeeded, every restore was equal, and every expired backup is gone
