@shares-timed-run
@NFR-PERF-002
Feature: A restore takes no longer than the design allows

  With less data than the register asks for (--data-size) the result is a prediction with its interval.

  @exclusive @long
  Scenario: Fresh data is restored in time
    When fresh data is backed up and restored, and both are timed
    Then the pods that moved the data had no more than the design's limits of node-agent
    And the restored data is equal to the original
    And the restore was in time, or would be for the data size of the register

  # Velero restores a volume's data into the pods that it restores.
  @exclusive @long @negative
  Scenario: The suite reports a fast restore that leaves the data out
    Given fresh data, backed up and restored
    # without the fault: its backup is restored into "copy" with its pods
    When its backup is restored into "copy" without its pods
    Then the suite reports the data as missing
