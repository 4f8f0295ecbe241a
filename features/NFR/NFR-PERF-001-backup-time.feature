@shares-timed-run
@NFR-PERF-001
Feature: A backup takes no longer than the design allows

  With less data than the register asks for (--data-size) the result is a prediction with its interval.

  @exclusive @long
  Scenario: Fresh data is backed up in time
    When fresh data is backed up and restored, and both are timed
    Then the pods that moved the data had no more than the design's limits of node-agent
    And the restored data is equal to the original
    And the backup was in time, or would be for the data size of the register

  @exclusive @long @negative
  Scenario: The suite reports a fast backup that leaves the data out
    Given fresh data, backed up and restored
    # without the fault: it is backed up again with its volume and restored into "copy"
    When it is backed up again without its volume and restored into "copy"
    Then the suite reports the data as missing
