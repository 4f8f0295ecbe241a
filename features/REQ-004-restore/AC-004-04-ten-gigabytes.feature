@shares-timed-run
@AC-004-04
Feature: A large volume is restored in time

  With less data than the register asks for (--data-size) the result is a prediction with its interval.

  @exclusive @long
  Scenario: Fresh data is restored from S3 in time and intact
    When fresh data is backed up and restored, and both are timed
    Then the pods that moved the data had no more than the design's limits of node-agent
    And the restored data is equal to the original
    And the restore was in time, or would be for the data size of the register

  @exclusive @long @disrupt @negative
  Scenario: Small volumes over a slow link already show that the restore would be late
    # without the fault: fresh data is restored at full link speed
    When small volumes are restored over a link that is far too slow
    Then the suite predicts a late restore for the data size of the register

  @exclusive @long @negative
  Scenario: The suite reports that Velero would give up on the restore of that much data
    When fresh data is backed up and restored, and both are timed
    # without the fault: Velero is taken to give up after 4 hours
    And Velero is taken to give up after 1 second
    Then the suite reports that Velero would give up before the end of the restore
