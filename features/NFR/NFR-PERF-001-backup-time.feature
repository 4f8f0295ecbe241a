@shares-timed-run
@NFR-PERF-001
Feature: A backup takes no longer than the design allows

  With less data than the register asks for (--data-size) this is a prediction, shown with its interval.

  @exclusive @long
  Scenario: Fresh data is backed up in time
    Given fresh data, backed up and restored with the clock running
    Then what moved the data ran with no more than the design's limits of node-agent
    And the backup was in time, or would be with as much data as the register asks for
    And what came back is what was there

  @exclusive @long @negative
  Scenario: A backup that leaves the data out is quick, and no success
    Given fresh data, backed up and restored with the clock running
    # without the fault: it is backed up again with its volume, and restored as "copy"
    When it is backed up again without its volume, and restored as "copy"
    Then that took no time, and is not called a success
