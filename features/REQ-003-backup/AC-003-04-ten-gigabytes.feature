@shares-timed-run
@AC-003-04
Feature: A large volume is backed up in time

  With less data than the register asks for (--data-size) the result is a prediction with its interval.

  @exclusive @long
  Scenario: Fresh data is backed up in time and restored intact
    When fresh data is backed up and restored, and both are timed
    Then the pods that moved the data had no more than the design's limits of node-agent
    And the restored data is equal to the original
    And the backup was in time, or would be for the data size of the register

  @exclusive @long @disrupt @negative
  Scenario: Small volumes over a slow link already show that the backup would be late
    # without the fault: fresh data is backed up at full link speed
    When small volumes are backed up over a link that is far too slow
    Then the suite predicts a late backup for the data size of the register

  @exclusive @long @negative
  Scenario: The suite reports that Velero would give up on the backup of that much data
    When fresh data is backed up and restored, and both are timed
    # without the fault: Velero is taken to give up after 4 hours
    And Velero is taken to give up after 1 second
    Then the suite reports that Velero would give up before the end of the backup
